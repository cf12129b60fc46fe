"""CREMA-D: 91 actors, 12 sentences, 6 emotions.

Reference:
    Cao et al., CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE Transactions on
    Affective Computing 5(4), 2014, doi 10.1109/TAFFC.2014.2336244.
"""

import os
import re
from pathlib import Path

from training.corpora.clip import Clip, CorpusError, Votes
from training.corpora.files import rows, sounds
from training.corpora.labels import Sex, emotion, sex

UNFINISHED = "unfinished"
"""A file of this name stands among the prepared clips until all are there."""

PREPARED_NOTE = "CREMA-D's audio was made from mel spectrograms of it (serd-train prepare)"

# ACTOR_SENTENCE_EMOTION_LEVEL; the level of one clip is X instead of XX.
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_[A-Z]{1,2}")


def prepared() -> Path:
    """Where clips made from spectrograms are: `$SERD_PREPARED/crema_d`.

    Without the variable it is `.cache/prepared/crema_d` in the working folder; the data folder
    may be read-only.
    """
    return Path(os.environ.get("SERD_PREPARED") or ".cache/prepared") / "crema_d"


def load(root: Path) -> list[Clip]:
    """All clips, in the order of their paths.

    The original audio, `AudioWAV/` in this folder, goes before what `training.prepare` made;
    the two are never mixed. The actors' sexes come from `VideoDemographics.csv` or
    `speakers.csv` in this folder, or `speakers.csv` beside the spectrograms; without any of
    them they are unknown. What listeners heard is in `voice_votes.csv`, here or there, if at all.

    Raises:
        CorpusError: there is neither, what was prepared is not complete, or a file name does
            not follow ACTOR_SENTENCE_EMOTION_LEVEL; or a table cannot be understood.
    """
    folder = root / "AudioWAV"
    if not folder.is_dir():
        folder = prepared()
        if not folder.is_dir():
            raise CorpusError(
                f"{root}: no CREMA-D clips: neither AudioWAV here nor any prepared in {folder}"
            )
        if (folder / UNFINISHED).exists():
            raise CorpusError(f"{folder}: prepared in part only: run serd-train prepare again")
    sexes, votes = _sexes(root), _votes(root)
    return [_clip(path, sexes, votes) for path in sounds(folder, "CREMA-D")]


def _sexes(root: Path) -> dict[str, Sex]:
    if not (table := _table(root, "VideoDemographics.csv", "speakers.csv")):
        return {}
    people = rows(table, ("actorid", "sex"))
    return {person["actorid"]: sex(person["sex"], table) for person in people}


def _votes(root: Path) -> dict[str, Votes]:
    """By the names of clips: a column for each emotion."""
    if not (table := _table(root, "voice_votes.csv")):
        return {}
    votes = {}
    for row in rows(table, ("clip",)):
        clip = row.pop("clip")
        if wrong := [cell for cell in row.values() if not cell.isdecimal()]:
            raise CorpusError(f"{table}: {clip}: {wrong[0]!r} is no number of votes")
        votes[clip] = tuple((emotion(word, table), int(cell)) for word, cell in row.items())
    return votes


def _table(root: Path, *names: str) -> Path | None:
    """The first that is there: in the corpus' folder by any name, or beside the spectrograms."""
    places = (folder / name for folder in (root, root.parent / "crema_d_mel") for name in names)
    return next(filter(Path.is_file, places), None)


def _clip(path: Path, sexes: dict[str, Sex], votes: dict[str, Votes]) -> Clip:
    if not (match := _NAME.fullmatch(path.stem)):
        raise CorpusError(f"{path}: not named as a CREMA-D clip")
    actor, sentence, label = match.groups()
    return Clip(
        path,
        "crema_d",
        emotion(label, path),
        f"crema_d-{actor}",
        sexes.get(actor, "unknown"),
        f"crema_d-{sentence}",
        votes.get(path.stem, ()),
    )
