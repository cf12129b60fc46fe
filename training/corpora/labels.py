"""One map from the words of all corpora to the emotions that serd knows."""

from pathlib import Path
from typing import Literal

from training.corpora.clip import CorpusError

_WORDS = {
    "neutral": ("neutral", "neu"),
    "calm": ("calm",),
    "happy": ("happy", "happiness", "hap", "joy"),
    "sad": ("sad", "sadness"),
    "angry": ("angry", "anger", "ang"),
    "fearful": ("fearful", "fear", "fea"),
    "disgust": ("disgust", "disgusted", "dis"),
    "surprised": ("surprised", "surprise", "sur", "ps", "pleasant surprise", "pleasant surprised"),
}
LABELS = {word: emotion for emotion, words in _WORDS.items() for word in words}
"""In lower case, with spaces instead of `_` and `-`."""

Sex = Literal["male", "female", "unknown"]
_SEXES: dict[str, Sex] = {
    "male": "male",
    "m": "male",
    "female": "female",
    "f": "female",
    "unknown": "unknown",
    "": "unknown",
}


def emotion(word: str, path: Path) -> str:
    """One of `EMOTIONS` for a corpus's word, in any case.

    Raises:
        CorpusError: the word is not in the map; the message names `path`.
    """
    try:
        return LABELS[word.strip().lower().replace("_", " ").replace("-", " ")]
    except KeyError:
        raise CorpusError(f"{path}: unknown emotion {word!r}") from None


def sex(word: str, path: Path) -> Sex:
    """A table's word for a sex, in any case; nothing is unknown.

    Raises:
        CorpusError: the word says something else; the message names `path`.
    """
    try:
        return _SEXES[word.strip().lower()]
    except KeyError:
        raise CorpusError(f"{path}: unknown sex {word!r}") from None
