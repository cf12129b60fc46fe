"""What loaders find on disk: sound files, and tables about them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from serd.wording import reason
from training.corpora.clip import CorpusError

SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")


def sounds(root: Path, corpus: str) -> list[Path]:
    """All sound files below a folder, sorted by path; hidden ones are passed over.

    Args:
        root: where to look, at any depth.
        corpus: what is looked for, for the message.

    Raises:
        CorpusError: there is no such folder, or no sound in it.
    """
    found = sorted(filter(is_sound, root.rglob("*")))
    if not found:
        what = "no sound files below this folder" if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: no clips of {corpus}: {what}")
    return found


def is_sound(path: Path) -> bool:
    """Whether a file's name is that of a sound; of a hidden one it is not."""
    # macOS leaves ._NAME.wav files, which are no sound, in archives.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def rows(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table with a header, in UTF-8.

    Args:
        path: of the table.
        columns: those that it must have, in lower case.
        delimiter: between cells.

    Returns:
        A dictionary a row, its keys in lower case; cells that are missing are empty.

    Raises:
        CorpusError: it is not readable, or lacks one of the columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file, delimiter=delimiter)) or [[]]
    except OSError as error:
        raise CorpusError(f"{path}: {reason(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a table in UTF-8: {error}") from error
    names = [name.strip().lower() for name in header]
    if lacking := [column for column in columns if column not in names]:
        between = "tabs" if delimiter == "\t" else f"'{delimiter}'"
        raise CorpusError(
            f"{path}: no column {', '.join(lacking)} in its first line ({between} between cells)"
        )
    if len(set(names)) < len(names):
        raise CorpusError(f"{path}: a column stands there twice")
    empty = dict.fromkeys(names, "")
    return [
        empty | dict(zip(names, (cell.strip() for cell in line), strict=False))
        for line in lines
        if any(line)
    ]
