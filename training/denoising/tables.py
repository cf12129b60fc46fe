"""What a denoiser does, in tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.denoising import grid, listening
from training.tables import Table, mean_sd

TITLES = {"si_sdr": ("SI-SDR, dB", 1), "pesq": ("PESQ, wide-band", 2), "stoi": ("STOI", 2)}
MODES = ("off", "on", "auto")

Means = Mapping[str, Mapping[str, Mapping[Any, float]]]
"""Measure → method → SNR, dB → mean; as JSON has it, the SNR is text."""


def of_sound(means: Means) -> list[Table]:
    """One for each measure."""
    found = []
    for measure, methods in means.items():
        title, digits = TITLES[measure]
        rows = [
            (method, *(f"{value:.{digits}f}" for value in own.values()))
            for method, own in methods.items()
        ]
        snrs = next(iter(methods.values()))
        head = ("method", *(f"{snr_db} dB" for snr_db in snrs))
        found.append(Table(f"{title}, by the SNR before", head, rows))
    return found


def of_rooms(rooms: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    """As `listening.in_rooms` gives them."""
    head, rows = ["method"], {method: [method] for method in next(iter(rooms.values()))}
    for measure, methods in rooms.items():
        title, digits = TITLES[measure]
        head += [f"{title}, dry", f"{title}, in a room"]
        for method, values in methods.items():
            rows[method] += [f"{value:.{digits}f}" for value in values]
    return Table(f"At {listening.ROOMS_DB} dB", tuple(head), [tuple(row) for row in rows.values()])


def of_recognition(asked: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """UAR by mode and SNR; of each classifier its folds, as `Denoising.ask` gives them."""
    rows = []
    for title, folds in asked.items():
        for mode in MODES:
            each = [[fold[mode][snr] for fold in folds] for snr in map(str, grid.SNRS_DB)]
            rows.append((title, mode, *map(mean_sd, each)))
    head = ("classifier", "noise is taken out", *map(snr_name, grid.SNRS_DB))
    return Table("UAR, in percent: mean ± sd over folds", head, rows)


def snr_name(snr_db: int) -> str:
    return "clean" if snr_db == grid.CLEAN else f"{snr_db} dB"
