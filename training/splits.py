"""Who trains, who validates, who tests: always different people."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.corpora.clip import Clip


class SplitError(Exception):
    """Sides that overlap or lack something; one line."""


@dataclass(frozen=True)
class Split:
    """Indices into the clips. Everything that is chosen is chosen on `validation`."""

    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def by_speaker(
    clips: Sequence[Clip], name: str, test: Sequence[str], validators: int, seed: int
) -> Split:
    """Test on some speakers, validate on others, train on the rest.

    Args:
        clips: all clips.
        name: of the split, for files and tables.
        test: the speakers to test on; may be none.
        validators: how many further speakers validate, half of them women and half men.
        seed: chooses them.

    Raises:
        SplitError: a side lacks an emotion, or a test speaker has no clips.
    """
    sexes = {clip.speaker: clip.sex for clip in clips}
    if missing := set(test) - set(sexes):
        raise SplitError(f"split {name}: no clips by {', '.join(sorted(missing))}")
    rest = sorted(set(sexes) - set(test))
    random.Random(f"{seed}-{name}").shuffle(rest)  # noqa: S311 - not a secret
    women = [s for s in rest if sexes[s] == "female"]
    men = [s for s in rest if sexes[s] != "female"]
    validating = set(women[: (validators + 1) // 2] + men[: validators // 2])
    split = Split(
        name,
        _indices(clips, set(rest) - validating),
        _indices(clips, validating),
        _indices(clips, set(test)),
    )
    check(clips, split)
    return split


def check(clips: Sequence[Clip], split: Split) -> None:
    """Make sure that no speaker and no file is on two sides and that each side is whole.

    Raises:
        SplitError: otherwise.
    """
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        for what in ("speaker", "path"):
            shared = {getattr(clips[i], what) for i in sides[one]} & {
                getattr(clips[i], what) for i in sides[other]
            }
            if shared:
                first = min(map(str, shared))
                raise SplitError(f"split {split.name}: {what} {first} is in {one} and {other}")
    emotions = {clip.emotion for clip in clips}
    for side, indices in sides.items():
        lacking = emotions - {clips[i].emotion for i in indices}
        if indices and lacking:
            raise SplitError(f"split {split.name}: no {', '.join(sorted(lacking))} in {side}")


def _indices(clips: Sequence[Clip], speakers: set[str]) -> tuple[int, ...]:
    return tuple(i for i, clip in enumerate(clips) if clip.speaker in speakers)
