"""nEMO: 9 actors, 90 sentences in Polish, 6 emotions.

Reference:
    Christop, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024.
"""

import re
from pathlib import Path

from training.corpora.clip import Clip, CorpusError
from training.corpora.files import rows, sounds
from training.corpora.labels import Sex, emotion, sex

_NAME = re.compile(r"([A-Z0-9]+)_([a-z]+)_(\d+)")


def load(root: Path) -> list[Clip]:
    """All clips below a folder, in the order of their paths.

    The speakers' sexes stand in `speakers.tsv`; without it they are unknown.

    Raises:
        CorpusError: there is no such folder, nothing in it, or a file name that does not
            follow SPEAKER_emotion_sentence.
    """
    paths = sounds(root, "nEMO")
    table = root / "speakers.tsv"
    people = rows(table, ("speaker", "sex"), "\t") if table.is_file() else []
    sexes = {person["speaker"]: sex(person["sex"], table) for person in people}
    return [_clip(path, sexes) for path in paths]


def _clip(path: Path, sexes: dict[str, Sex]) -> Clip:
    if not (match := _NAME.fullmatch(path.stem)):
        raise CorpusError(f"{path}: not named as an nEMO clip")
    speaker, label, sentence = match.groups()
    return Clip(
        path,
        "nemo",
        emotion(label, path),
        f"nemo-{speaker}",
        sexes.get(speaker, "unknown"),
        f"nemo-{sentence}",
    )
