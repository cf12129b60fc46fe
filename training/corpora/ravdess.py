"""RAVDESS: 24 actors, 2 sentences, spoken with 8 emotions and sung with 6.

Reference:
    Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song,
    PLoS ONE 13(5), 2018, doi 10.1371/journal.pone.0196391. Folds: Luna-Jiménez et al.,
    Multimodal emotion recognition on RAVDESS dataset using transfer learning, Sensors 21, 2021.
"""

import re
from pathlib import Path

from training.corpora.clip import EMOTIONS, Clip, CorpusError
from training.corpora.files import sounds

FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
"""The actors of each test fold, as the literature uses them."""

# modality-channel-emotion-intensity-statement-repetition-actor
_NAME = re.compile(r"0\d-0([12])-0([1-8])-0\d-0([12])-0\d-(\d\d)")
_CHANNELS = {"1": "ravdess", "2": "ravdess_song"}


def speaker(actor: int) -> str:
    """The name of an actor among the speakers of all corpora, speaking or singing."""
    return f"ravdess-{actor:02}"


def load(root: Path) -> list[Clip]:
    """All speech clips below a folder, in the order of their paths.

    Raises:
        CorpusError: there is no such folder, no speech in it, or a file name that does not
            follow modality-channel-emotion-intensity-statement-repetition-actor.
    """
    return _load(root, "ravdess")


def load_song(root: Path) -> list[Clip]:
    """All song clips below a folder; as `load`."""
    return _load(root, "ravdess_song")


def _load(root: Path, corpus: str) -> list[Clip]:
    clips = [clip for path in sounds(root, "RAVDESS") if (clip := _clip(path)).corpus == corpus]
    if not clips:
        raise CorpusError(f"{root}: RAVDESS clips, but none of {corpus}")
    return clips


def _clip(path: Path) -> Clip:
    if not (match := _NAME.fullmatch(path.stem)):
        raise CorpusError(f"{path}: not named as a RAVDESS clip")
    channel, emotion, statement, actor = match.groups()
    return Clip(
        path,
        _CHANNELS[channel],
        EMOTIONS[int(emotion) - 1],
        speaker(int(actor)),
        "female" if int(actor) % 2 == 0 else "male",
        f"ravdess-{statement}",
    )
