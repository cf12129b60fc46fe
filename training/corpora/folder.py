"""Anybody's recordings, sorted into one folder per emotion."""

from pathlib import Path

from training.corpora.clip import Clip, CorpusError
from training.corpora.files import sounds
from training.corpora.labels import emotion


def load(root: Path, name: str) -> list[Clip]:
    """All clips below a folder: LABEL/clip or LABEL/SPEAKER/clip, in the order of their paths.

    Clips without a folder of their speaker could be by anybody, so that all of them count as
    one speaker, `NAME-unknown`, and never stand on two sides of a split.

    Args:
        root: the folder.
        name: the corpus's name, `folder:PATH`, with which the speakers' names begin.

    Raises:
        CorpusError: there is no such folder, nothing in it, a clip that lies deeper or not in
            any label's folder, or an unknown label.
    """
    return [_clip(path, path.relative_to(root).parts[:-1], name) for path in sounds(root, name)]


def _clip(path: Path, folders: tuple[str, ...], name: str) -> Clip:
    if len(folders) not in (1, 2):
        raise CorpusError(f"{path}: neither LABEL/clip nor LABEL/SPEAKER/clip")
    label, speaker = folders if len(folders) == 2 else (folders[0], "unknown")
    return Clip(path, name, emotion(label, path), f"{name}-{speaker}")
