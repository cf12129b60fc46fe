"""Anybody's recordings, listed in a CSV file."""

from pathlib import Path

from training.corpora.clip import Clip, CorpusError
from training.corpora.files import rows
from training.corpora.labels import emotion, sex


def load(path: Path, name: str) -> list[Clip]:
    """All clips of a table with the columns path, emotion, speaker, and perhaps sex, statement.

    Paths are relative to the table. Speakers and statements are taken as they stand there: the
    same name in two tables, or one such as `ravdess-07`, is the same person.

    Args:
        path: of the table; UTF-8, with commas and a header.
        name: the corpus's name, `csv:PATH`.

    Raises:
        CorpusError: the table is not readable, lacks a column or rows, or a row names no
            speaker, no file, or an unknown emotion or sex.
    """
    table = rows(path, ("path", "emotion", "speaker"))
    if not table:
        raise CorpusError(f"{path}: no clips in this table")
    return [_clip(row, number, path, name) for number, row in enumerate(table, 1)]


def _clip(row: dict[str, str], number: int, table: Path, name: str) -> Clip:
    if not row["path"]:
        raise CorpusError(f"{table}: no path in row {number}")
    path = table.parent / row["path"]
    if not path.is_file():
        raise CorpusError(f"{table}: no such file: {path}")
    if not row["speaker"]:
        raise CorpusError(f"{table}: no speaker of {path}")
    return Clip(
        path,
        name,
        emotion(row["emotion"], path),
        row["speaker"],
        sex(row.get("sex", ""), path),
        row.get("statement", ""),
    )
