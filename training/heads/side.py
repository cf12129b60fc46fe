"""The training side of a split, as last layers learn from it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from serd.audio import Floats
from training.config import Config
from training.heads.solve import Heard
from training.recordings import Recordings
from training.targets import UNKNOWN, Targets


def rows(recordings: Recordings, clips: Sequence[int]) -> list[int]:
    """The utterances in clips."""
    wanted = set(clips)
    return [row for row, u in enumerate(recordings.utterances) if u.clip in wanted]


def heard(
    config: Config, recordings: Recordings, clips: Sequence[int], embeddings: Sequence[Floats]
) -> Heard:
    """What clips are: every emotion counts as much as any other, in it every corpus.

    Args:
        config: with the labels.
        recordings: of the study.
        clips: to learn from.
        embeddings: of all utterances, of mean 0 and deviation 1; as they are, and of each of their
            variations, `[utterances, size]` each.
    """
    wanted = rows(recordings, clips)
    own = recordings.examples(clips)
    targets = Targets(config, own)(own).reshape(len(wanted), -1)
    known = targets != UNKNOWN
    kinds = [f"{clip.emotion} {clip.corpus}" for clip in own.clips]
    there = Counter(kind.partition(" ")[0] for kind in set(kinds))
    counts = Counter(kinds)
    weights = [1 / (counts[kind] * there[kind.partition(" ")[0]]) for kind in kinds]
    copies = len(embeddings)
    return Heard(
        np.concatenate([each[wanted] for each in embeddings]),
        np.tile([clip.speaker for clip in own.clips], copies),
        np.tile(own.labels, copies),
        np.tile(np.where(known, targets, 0), (copies, 1)),
        np.tile(known, (copies, 1)),
        np.tile(np.array(weights, np.float32), copies),
        np.repeat(np.arange(copies), len(wanted)),
    )
