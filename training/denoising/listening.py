"""Sound before and after: measured on mixtures that nobody trained on."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from serd.audio import Floats, Pcm, pcm_to_float
from training import augment
from training.denoising.quality import MEASURES
from training.surroundings import Mixture, Surroundings, mix

Method = Callable[[Floats], Floats]
"""From what is heard to what is left, float32 `[n]` each."""
SNRS_DB = (-5, 0, 5, 10, 20, 30)
ROOMS_DB = 5


@dataclass(frozen=True)
class Row:
    """One mixture, after one method."""

    method: str
    snr_db: int
    kind: str
    """Of noise."""
    in_room: bool
    """Whether the speech is heard in a room."""
    figures: Mapping[str, float]
    """By the names of `MEASURES`."""


@dataclass(frozen=True)
class Heard:
    """A mixture, and what it is made of; as of `Row`."""

    mixture: Mixture
    snr_db: int
    kind: str
    in_room: bool


def mixtures(utterances: Sequence[Pcm], around: Surroundings, seed: int) -> Iterator[Heard]:
    """Each utterance at each SNR in the same noise; kinds in turn, then all again in rooms."""
    kinds = sorted(around.noises)
    for number, utterance in enumerate(utterances):
        rng = np.random.default_rng([seed, number])
        speech = pcm_to_float(utterance)
        in_room = bool(number // len(kinds) % 2)
        if in_room:
            speech = augment.in_room(speech, around.rooms[int(rng.integers(len(around.rooms)))])
        kind = kinds[number % len(kinds)]
        noise = around.noise(speech.size, rng, kind)
        for snr_db in SNRS_DB:
            mixture = mix(speech, noise, snr_db, augment.power(speech))
            yield Heard(mixture, snr_db, kind, in_room)


def measure(
    utterances: Sequence[Pcm], around: Surroundings, methods: Mapping[str, Method], seed: int
) -> list[Row]:
    """What each method makes of each mixture."""
    rows = []
    total = len(utterances) * len(SNRS_DB)
    for heard in track(mixtures(utterances, around, seed), "sound", total):
        for name, method in methods.items():
            estimate = method(heard.mixture.noisy)
            figures = {key: own(heard.mixture.speech, estimate) for key, own in MEASURES.items()}
            rows.append(Row(name, heard.snr_db, heard.kind, heard.in_room, figures))
    return rows


def write(rows: Sequence[Row], file: Path) -> None:
    """As CSV: method, snr_db, kind, in_room (0 or 1), then a column for each measure."""
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["method", "snr_db", "kind", "in_room", *MEASURES])
        for row in rows:
            figures = (f"{row.figures[name]:.4f}" for name in MEASURES)
            table.writerow([row.method, row.snr_db, row.kind, int(row.in_room), *figures])


def read(file: Path) -> list[Row]:
    """What `write` wrote."""
    with file.open(newline="") as given:
        return [
            Row(
                row["method"],
                int(row["snr_db"]),
                row["kind"],
                row["in_room"] == "1",
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


def in_rooms(rows: Sequence[Row]) -> dict[str, dict[str, list[float]]]:
    """Measure → method → its mean without a room and in one, at `ROOMS_DB`."""
    own = [row for row in rows if row.snr_db == ROOMS_DB]
    sides = [[row for row in own if row.in_room == in_room] for in_room in (False, True)]
    return {
        measure: {
            method: [means(side, measure)[method][ROOMS_DB] for side in sides]
            for method in means(own, measure)
        }
        for measure in MEASURES
    }
