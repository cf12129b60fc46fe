"""Corpora: one file each, from file names to clips."""

from collections.abc import Callable
from pathlib import Path

from training.corpora import ravdess
from training.corpora.clip import Clip

LOADERS: dict[str, Callable[[Path], list[Clip]]] = {"ravdess": ravdess.load}
FOLDERS = {"ravdess": "ravdess"}
"""Where each corpus is expected below the data folder."""


def load(name: str, data: Path) -> list[Clip]:
    """All clips of a corpus below the data folder; raises `CorpusError`."""
    return LOADERS[name](data / FOLDERS[name])


LICENCES = {
    "ravdess": {
        "licence": "CC BY-NC-SA 4.0",
        "source": "Livingstone and Russo 2018, doi 10.1371/journal.pone.0196391",
    }
}
"""What stands in the card of a model that was trained on a corpus."""
