"""What `serd-train report` writes: a page for people, and training/RESULTS.md."""

from collections.abc import Iterable
from pathlib import Path

from training.report.denoisers import Denoisers
from training.report.page import write
from training.report.results import write as write_results
from training.report.systems import ReportError, System

__all__ = ["Denoisers", "ReportError", "System", "read", "write", "write_results"]


def read(runs: Iterable[Path]) -> tuple[list[System], list[Denoisers]]:
    """Run folders, of whichever kind; raises ReportError."""
    found: tuple[list[System], list[Denoisers]] = [], []
    for path in runs:
        if Denoisers.are_in(path):
            found[1].append(Denoisers(path))
        else:
            found[0].append(System(path))
    return found
