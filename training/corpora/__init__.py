"""Corpora: one file each, from file names to clips.

A loader is a function from a path to its clips that raises `CorpusError`.
"""

from collections.abc import Callable
from pathlib import Path

from training.corpora import crema_d, folder, nemo, ravdess, table, tess
from training.corpora.clip import Clip, CorpusError

LOADERS: dict[str, Callable[[Path], list[Clip]]] = {
    "ravdess": ravdess.load,
    "ravdess_song": ravdess.load_song,
    "tess": tess.load,
    "crema_d": crema_d.load,
    "nemo": nemo.load,
}
"""Each is expected in the folder of its name below the data folder."""

_USERS: dict[str, Callable[[Path, str], list[Clip]]] = {"folder": folder.load, "csv": table.load}

_RAVDESS = {
    "licence": "CC BY-NC-SA 4.0",
    "source": "Livingstone and Russo 2018, doi 10.1371/journal.pone.0196391",
}
LICENCES = {
    "ravdess": _RAVDESS,
    "ravdess_song": _RAVDESS,
    "tess": {
        "licence": "CC BY-NC-ND 4.0",
        "source": "Pichora-Fuller and Dupuis 2020, doi 10.5683/SP2/E8H2MF",
    },
    "crema_d": {
        "licence": "ODbL 1.0",
        "source": "Cao et al. 2014, doi 10.1109/TAFFC.2014.2336244",
    },
    "nemo": {"licence": "CC BY-NC-SA 4.0", "source": "Christop 2024, LREC-COLING"},
}
"""What stands in the card of a model that was trained on a corpus."""


def load(name: str, data: Path) -> list[Clip]:
    """All clips of a corpus.

    Args:
        name: one of `LOADERS`, or `folder:PATH` or `csv:PATH`, relative to `data`.
        data: the folder of the corpora.

    Raises:
        CorpusError: there is no such corpus, or it is not what its name says.
    """
    if name in LOADERS:
        return LOADERS[name](data / name)
    kind, path = _users(name)
    return _USERS[kind](data / path, name)


def licence(name: str) -> dict[str, str]:
    """`LICENCES` of a corpus; a user's own recordings are under no licence that is known.

    Raises:
        CorpusError: there is no such corpus.
    """
    if name in LICENCES:
        return LICENCES[name]
    kind, _ = _users(name)
    return {"licence": "unknown: the user's own", "source": f"a {kind} of recordings"}


def _users(name: str) -> tuple[str, Path]:
    kind, _, path = name.partition(":")
    if kind not in _USERS or not path:
        known = ", ".join([*LOADERS, *(f"{kind}:PATH" for kind in _USERS)])
        raise CorpusError(f"no corpus is called {name!r}; there are {known}")
    return kind, Path(path).expanduser()
