"""Recordings that are there twice, whatever their names and formats."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from serd.audio import Pcm


def digest(samples: Pcm) -> str:
    """A hash of decoded sound, int16 `[n]`: a WAV file and its FLAC copy have the same."""
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def duplicates(digests: Sequence[str]) -> list[tuple[int, ...]]:
    """Places with the same digest, a tuple for each that is there more than once, in order."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, value in enumerate(digests):
        places[value].append(place)
    return [tuple(same) for same in places.values() if len(same) > 1]
