"""Sound before and after: measured on mixtures that nobody trained on."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from serd.audio import Floats, Pcm, pcm_to_float
from training import augment
from training.denoising.mixtures import Mixture, Surroundings, mix
from training.denoising.quality import MEASURES

Method = Callable[[Floats], Floats]
"""From what is heard to what is left, float32 `[n]` each."""
SNRS_DB = (-5, 0, 5, 10, 20, 30)
_ROOM_SHARE = 0.5


@dataclass(frozen=True)
class Row:
    """One mixture, after one method."""

    method: str
    snr_db: int
    kind: str
    """Of noise."""
    figures: Mapping[str, float]
    """By the names of `MEASURES`."""


def mixtures(
    utterances: Sequence[Pcm], around: Surroundings, seed: int
) -> Iterator[tuple[int, str, Mixture]]:
    """Each utterance at each SNR in the same noise, half of them in a room; kinds in turn."""
    kinds = sorted(around.noises)
    for number, utterance in enumerate(utterances):
        rng = np.random.default_rng([seed, number])
        speech = pcm_to_float(utterance)
        if rng.random() < _ROOM_SHARE:
            speech = augment.in_room(speech, around.rooms[int(rng.integers(len(around.rooms)))])
        kind = kinds[number % len(kinds)]
        noise = around.noise(speech.size, rng, kind)
        for snr_db in SNRS_DB:
            yield snr_db, kind, mix(speech, noise, snr_db, augment.power(speech))


def measure(
    utterances: Sequence[Pcm], around: Surroundings, methods: Mapping[str, Method], seed: int
) -> list[Row]:
    """What each method makes of each mixture."""
    rows = []
    total = len(utterances) * len(SNRS_DB)
    for snr_db, kind, mixture in track(mixtures(utterances, around, seed), "sound", total):
        for name, method in methods.items():
            estimate = method(mixture.noisy)
            figures = {key: own(mixture.speech, estimate) for key, own in MEASURES.items()}
            rows.append(Row(name, snr_db, kind, figures))
    return rows


def write(rows: Sequence[Row], file: Path) -> None:
    """As CSV: method, snr_db, kind, then a column for each measure."""
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["method", "snr_db", "kind", *MEASURES])
        for row in rows:
            figures = (f"{row.figures[name]:.4f}" for name in MEASURES)
            table.writerow([row.method, row.snr_db, row.kind, *figures])


def read(file: Path) -> list[Row]:
    """What `write` wrote."""
    with file.open(newline="") as given:
        return [
            Row(
                row["method"],
                int(row["snr_db"]),
                row["kind"],
                {name: float(row[name]) for name in MEASURES},
            )
            for row in csv.DictReader(given)
        ]


def means(rows: Sequence[Row], measure: str) -> dict[str, dict[int, float]]:
    """Method → SNR → mean of a measure."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        found.setdefault(row.method, {}).setdefault(row.snr_db, []).append(row.figures[measure])
    return {
        method: {snr_db: float(np.mean(values)) for snr_db, values in own.items()}
        for method, own in found.items()
    }
