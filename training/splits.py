"""Who trains, who validates, who is tested on: one function a protocol.

- `subject-independent`: nobody is on two sides. The headline.
- `random`: a quarter of the clips at random, the same people on both sides, as many
  tutorials do it; only to reproduce their figures.
- `cross-corpus`: one corpus after the other is left out of training and tested on; where
  some are only for tests, these.
- `statement-held-out`: what is said in the test is never said in training, by the same people;
  those who validate are not tested.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from training.corpora import ravdess
from training.corpora.clip import Clip

Protocol = Literal["subject-independent", "random", "cross-corpus", "statement-held-out"]
STRICT: Protocol = "subject-independent"

FOLDS = 5
_RANDOM_TEST = 0.25
_RANDOM_VALIDATION = 0.1


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


def splits(
    clips: Sequence[Clip],
    protocol: Protocol,
    seed: int,
    validators: int,
    test_only: Collection[str] = (),
) -> list[Split]:
    """All splits of a protocol.

    Args:
        clips: all clips.
        protocol: how to split.
        seed: chooses validators, and what else is left to chance.
        validators: how many speakers validate: of each corpus as many, half of them women; but
            of several corpora all leave somebody to train on.
        test_only: corpora that only `cross-corpus` may use, as tests.

    Raises:
        SplitError: the clips do not allow the protocol.
    """
    if protocol not in get_args(Protocol):
        raise SplitError(f"{protocol}: no such protocol")
    found = _PROTOCOLS[protocol](clips, seed, validators, test_only)
    for split in found:
        check(clips, split)
    return found


def final(
    clips: Sequence[Clip], seed: int, validators: int, test_only: Collection[str] = ()
) -> Split:
    """For the network of the bundle: all train except the validators; nobody is tested on."""
    split = _of_speakers(clips, "final", "final", (), seed, validators, test_only)
    check(clips, split)
    return split


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

    Corpora differ in their emotions: across them, only what is tested must have been trained.
    """
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    across = split.protocol == "cross-corpus"
    emotions = {clips[i].emotion for i in (split.test if across else sum(sides.values(), ()))}
    for side, indices in sides.items():
        lacking = emotions - {clips[i].emotion for i in indices}
        if indices and lacking and (side == "train" or not across):
            raise SplitError(f"split {split.name}: no {', '.join(sorted(lacking))} in {side}")


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


def _subject_independent(
    clips: Sequence[Clip], seed: int, validators: int, test_only: Collection[str]
) -> list[Split]:
    """RAVDESS by the folds of the literature, the speakers of others dealt out in turn."""
    speakers = sorted({clip.speaker for clip in clips if clip.corpus not in test_only})
    published = {ravdess.speaker(a): n for n, fold in enumerate(ravdess.FOLDS) for a in fold}
    count = len(ravdess.FOLDS) if any(s in published for s in speakers) else FOLDS
    others = [speaker for speaker in speakers if speaker not in published]
    random.Random(0).shuffle(others)  # noqa: S311 - the same folds whatever the seed
    dealt = published | {speaker: n % count for n, speaker in enumerate(others)}
    folds = [[s for s in speakers if dealt[s] == n] for n in range(count)]
    folds = [fold for fold in folds if fold]  # of a part of RAVDESS some are empty
    if len(folds) < 2:
        raise SplitError(f"{len(speakers)} speakers are too few for folds")
    return [
        _of_speakers(clips, "subject-independent", f"fold-{n}", fold, seed, validators, test_only)
        for n, fold in enumerate(folds, 1)
    ]


def _random(
    clips: Sequence[Clip],
    seed: int,
    validators: int,  # noqa: ARG001 - here nobody is kept apart
    test_only: Collection[str],
) -> list[Split]:
    rng = random.Random(f"{seed}-random")  # noqa: S311 - not a secret
    by_emotion: dict[str, list[int]] = defaultdict(list)
    for i, clip in enumerate(clips):
        if clip.corpus not in test_only:
            by_emotion[clip.emotion].append(i)
    train: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for indices in by_emotion.values():
        rng.shuffle(indices)
        tested = max(1, round(_RANDOM_TEST * len(indices)))
        validated = max(1, round(_RANDOM_VALIDATION * len(indices)))
        test += indices[:tested]
        validation += indices[tested : tested + validated]
        train += indices[tested + validated :]
    sides = (tuple(sorted(side)) for side in (train, validation, test))
    return [Split("random", seed, "quarter", *sides)]


def _cross_corpus(
    clips: Sequence[Clip], seed: int, validators: int, test_only: Collection[str]
) -> list[Split]:
    corpora = {clip.corpus for clip in clips}
    if len(corpora) < 2:
        raise SplitError("cross-corpus needs two corpora at least")
    return [
        _of_speakers(
            clips,
            "cross-corpus",
            corpus,
            sorted({clip.speaker for clip in clips if clip.corpus == corpus}),
            seed,
            validators,
            test_only,
            corpus,
        )
        for corpus in sorted(corpora & set(test_only) or corpora)
    ]


def _statement_held_out(
    clips: Sequence[Clip], seed: int, validators: int, test_only: Collection[str]
) -> list[Split]:
    usable = [i for i, clip in enumerate(clips) if clip.corpus not in test_only]
    statements: dict[str, set[str]] = defaultdict(set)
    for i in usable:
        statements[clips[i].corpus].add(clips[i].statement)
    fewest = min(map(len, statements.values()))
    if "" in set().union(*statements.values()) or fewest < 2:
        raise SplitError("statement-held-out needs corpora that tell which sentence is said")
    count = min(FOLDS, fewest)
    validating = _validators(clips, usable, f"{seed}-statements", validators)
    found = []
    for n in range(count):
        held_out = {said for own in statements.values() for said in sorted(own)[n::count]}
        said = [i for i in usable if clips[i].statement not in held_out]
        found.append(
            Split(
                "statement-held-out",
                seed,
                f"statements-{n + 1}",
                tuple(i for i in said if clips[i].speaker not in validating),
                tuple(i for i in said if clips[i].speaker in validating),
                tuple(
                    i
                    for i in usable
                    if clips[i].statement in held_out and clips[i].speaker not in validating
                ),
            )
        )
    return found


_PROTOCOLS = {
    "subject-independent": _subject_independent,
    "random": _random,
    "cross-corpus": _cross_corpus,
    "statement-held-out": _statement_held_out,
}


def _of_speakers(
    clips: Sequence[Clip],
    protocol: str,
    name: str,
    test: Collection[str],
    seed: int,
    validators: int,
    test_only: Collection[str],
    only: str | None = None,
) -> Split:
    """Test on some speakers (their clips of the corpus `only`), validate on others."""
    rest = [
        i
        for i, clip in enumerate(clips)
        if clip.speaker not in test and clip.corpus not in test_only
    ]
    validating = _validators(clips, rest, f"{seed}-{name}", validators)
    return Split(
        protocol,
        seed,
        name,
        tuple(i for i in rest if clips[i].speaker not in validating),
        tuple(i for i in rest if clips[i].speaker in validating),
        tuple(
            i
            for i, clip in enumerate(clips)
            if clip.speaker in test
            and (clip.corpus not in test_only if only is None else clip.corpus == only)
        ),
    )


def _validators(clips: Sequence[Clip], usable: Iterable[int], seed: str, count: int) -> set[str]:
    """Some of the speakers: of one corpus after the other, in each a woman and another in turn."""
    known = {clips[i].speaker: clips[i] for i in usable}
    drawn = sorted(known)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - not a secret
    corpora = sorted({clip.corpus for clip in known.values()})
    queues = []
    for n, corpus in enumerate(corpora):
        own = [speaker for speaker in drawn if known[speaker].corpus == corpus]
        women = [speaker for speaker in own if known[speaker].sex == "female"]
        others = [speaker for speaker in own if speaker not in women]
        in_turn = _in_turn(others, women) if n % 2 else _in_turn(women, others)
        # Of several corpora none is left without anybody to train on.
        queues.append(in_turn[:-1] if len(corpora) > 1 else in_turn)
    return set(_in_turn(*queues)[:count])


def _in_turn(*queues: Sequence[str]) -> list[str]:
    """The first of each, the second of each, …, as long as there are any."""
    return [speaker for row in itertools.zip_longest(*queues) for speaker in row if speaker]
