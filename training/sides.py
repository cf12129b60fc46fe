"""The sides of a split, and what makes sure that they are apart and complete."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.corpora.clip import Clip


class SplitError(Exception):
    """Sides that overlap or lack something; one line."""


@dataclass(frozen=True)
class Split:
    """Indices into the clips. Everything that is chosen is chosen on `validation`."""

    protocol: str
    seed: int
    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def check(clips: Sequence[Clip], split: Split, digests: Sequence[str] | None = None) -> None:
    """Make sure that nothing is on two sides that must not be, and that somebody trains.

    Args:
        clips: all clips.
        split: of them.
        digests: of each clip's samples, where copies under other names matter too.

    Raises:
        SplitError: otherwise.
    """
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    if not split.train:
        raise SplitError(
            f"split {split.name}: nobody is left to train on: more speakers are needed, or fewer"
            " training.validators"
        )
    for what, of in _apart(split.protocol, clips, digests).items():
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if what == "statement" and other == "validation":
                continue  # only the test needs other words
            shared = {of(i) for i in sides[one]} & {of(i) for i in sides[other]}
            if shared:
                raise SplitError(
                    f"split {split.name}: {what} {min(shared)} is in {one} and {other}"
                )


def check_emotions(clips: Sequence[Clip], split: Split) -> None:
    """Make sure that no emotion is missing on a side; raises SplitError.

    Nobody needs to be tested on an emotion that none of the corpora in the test has, and so in the
    validation. Across corpora, only what is tested must have been trained: see `only_trained`.
    """
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    there = {side: {clips[i].emotion for i in indices} for side, indices in sides.items()}
    corpora = {side: {clips[i].corpus for i in indices} for side, indices in sides.items()}
    used = [clips[i] for indices in sides.values() for i in indices]
    wanted = {
        side: {clip.emotion for clip in used if side == "train" or clip.corpus in corpora[side]}
        for side in sides
    }
    if split.protocol == "cross-corpus":
        wanted = {"train": there["test"]}
    for side, emotions in wanted.items():
        if sides[side] and (lacking := emotions - there[side]):
            raise SplitError(f"split {split.name}: no {', '.join(sorted(lacking))} in {side}")


def only_trained(clips: Sequence[Clip], split: Split) -> Split:
    """Without tests of emotions that nobody trains on, as there may be across corpora.

    Raises:
        SplitError: nothing is left to test.
    """
    trained = {clips[i].emotion for i in split.train}
    test = tuple(i for i in split.test if clips[i].emotion in trained)
    if split.test and not test:
        raise SplitError(f"split {split.name}: none of its emotions is in train")
    return replace(split, test=test)


def _apart(
    protocol: str, clips: Sequence[Clip], digests: Sequence[str] | None
) -> dict[str, Callable[[int], str]]:
    """What must not be on two sides, and how to get it of a clip."""
    apart: dict[str, Callable[[int], str]] = {"clip": lambda i: str(clips[i].path)}
    if digests is not None:
        apart["audio"] = lambda i: digests[i]
    if protocol in ("subject-independent", "cross-corpus", "final"):
        apart["speaker"] = lambda i: clips[i].speaker
    if protocol == "statement-held-out":
        apart["statement"] = lambda i: clips[i].statement
    return apart
