"""TESS, the Toronto Emotional Speech Set: 2 women, 200 words, 7 emotions.

Reference:
    Pichora-Fuller and Dupuis, Toronto emotional speech set (TESS), 2020, doi 10.5683/SP2/E8H2MF.
"""

import re
from pathlib import Path

from training.corpora.clip import Clip, CorpusError
from training.corpora.files import sounds
from training.corpora.labels import emotion

# One original clip is called OA_bite_neutral.
_NAME = re.compile(r"(OA|YA)F?_([a-z]+)_([a-z]+)", re.IGNORECASE)


def load(root: Path) -> list[Clip]:
    """All clips below a folder, in the order of their paths, with or without OAF_Fear/ folders.

    Raises:
        CorpusError: there is no such folder, nothing in it, or a file name that does not
            follow SPEAKER_word_emotion.
    """
    return [_clip(path) for path in sounds(root, "TESS")]


def _clip(path: Path) -> Clip:
    if not (match := _NAME.fullmatch(path.stem)):
        raise CorpusError(f"{path}: not named as a TESS clip")
    speaker, word, label = match.groups()
    return Clip(
        path,
        "tess",
        emotion(label, path),
        f"tess-{speaker.upper()}F",
        "female",
        f"tess-{word.lower()}",
    )
