"""One recording and what is known of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Named as in RAVDESS, in its order."""


Votes = tuple[tuple[str, int], ...]
"""Emotions, and how many people heard each."""


class CorpusError(Exception):
    """A corpus that is missing or not what its name says; one line."""


@dataclass(frozen=True)
class Clip:
    """A labelled recording."""

    path: Path
    corpus: str
    emotion: str
    """One of `EMOTIONS`."""
    speaker: str
    """Unique over all corpora, as `ravdess-07`; the same person has the same name in all."""
    sex: Literal["male", "female", "unknown"] = "unknown"
    statement: str = ""
    """What is said, unique over all corpora, as `ravdess-1`; empty where it is not known."""
    votes: Votes = ()
    """What was heard in it; empty where nobody was asked."""
