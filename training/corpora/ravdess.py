"""RAVDESS speech: 24 actors, 8 emotions, 2 sentences.

Reference:
    Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song,
    PLoS ONE 13(5), 2018, doi 10.1371/journal.pone.0196391. Folds: Luna-Jiménez et al.,
    Multimodal emotion recognition on RAVDESS dataset using transfer learning, Sensors 21, 2021.
"""

from pathlib import Path

from training.corpora.clip import EMOTIONS, Clip, CorpusError

FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
"""The actors of each test fold, as the literature uses them."""


def speaker(actor: int) -> str:
    """The name of an actor among the speakers of all corpora."""
    return f"ravdess-{actor:02}"


def load(root: Path) -> list[Clip]:
    """All speech clips below a folder, `.wav` or `.flac`, in the order of their names.

    Raises:
        CorpusError: there is no such folder, nothing in it, or a file name that does not
            follow modality-channel-emotion-intensity-statement-repetition-actor.
    """
    paths = sorted(p for p in root.rglob("*") if p.suffix in (".wav", ".flac"))
    if not paths:
        raise CorpusError(f"{root}: no RAVDESS clips (.wav or .flac) below this folder")
    return [_clip(path) for path in paths if path.stem.split("-")[1:2] != ["02"]]


def _clip(path: Path) -> Clip:
    try:
        _, _, emotion, _, _, _, actor = (int(part) for part in path.stem.split("-"))
        label = EMOTIONS[emotion - 1] if emotion > 0 else EMOTIONS[len(EMOTIONS)]
    except (ValueError, IndexError):
        raise CorpusError(f"{path}: not named as a RAVDESS clip") from None
    sex = "female" if actor % 2 == 0 else "male"
    return Clip(path, "ravdess", label, speaker(actor), sex)
