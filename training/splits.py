"""Who trains, who validates, who is tested on: one function a protocol.

- `subject-independent`: nobody is on two sides. The headline.
- `random`: a quarter of the clips at random, the same people on both sides, as many
  tutorials do it; only to reproduce their figures.
- `cross-corpus`: one corpus after the other is left out of training and tested on; where
  some are only for tests, these.
- `statement-held-out`: what is said in the test is never said in training, by the same people;
  those who validate are not tested.

Corpora that are only to train on help all of them: nothing is tested on them, except in
`cross-corpus`, which leaves them out in their turn. Their speakers all train: who validates is of a
corpus that may be tested, for only there networks have heard nobody's like (`training.teaching`).
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from training.corpora import ravdess
from training.corpora.clip import Clip
from training.sides import Split, SplitError, check

Protocol = Literal["subject-independent", "random", "cross-corpus", "statement-held-out"]
STRICT: Protocol = "subject-independent"
CROSS: Protocol = "cross-corpus"

FOLDS = 5
_RANDOM_TEST = 0.25
_RANDOM_VALIDATION = 0.1


@dataclass(frozen=True)
class _Wanted:
    """Of which clips, and how."""

    clips: Sequence[Clip]
    seed: int
    validators: int
    test_only: Collection[str]
    train_only: Collection[str] = ()

    @property
    def usable(self) -> list[int]:
        """Clips that may be trained on."""
        return [i for i, clip in enumerate(self.clips) if clip.corpus not in self.test_only]

    @property
    def testable(self) -> list[int]:
        """Clips that may be tested on too."""
        return [i for i in self.usable if self.clips[i].corpus not in self.train_only]


def splits(
    clips: Sequence[Clip],
    protocol: Protocol,
    seed: int,
    validators: int,
    test_only: Collection[str] = (),
    train_only: Collection[str] = (),
) -> list[Split]:
    """All splits of a protocol.

    Args:
        clips: all clips.
        protocol: how to split.
        seed: chooses validators, and what else is left to chance.
        validators: how many speakers validate: of each corpus that may be tested as many, half of
            them women; but of several corpora all leave somebody to train on.
        test_only: corpora that only `cross-corpus` may use, as tests.
        train_only: corpora that only `cross-corpus` may test on.

    Raises:
        SplitError: the clips do not allow the protocol.
    """
    if protocol not in get_args(Protocol):
        raise SplitError(f"{protocol}: no such protocol")
    found = _PROTOCOLS[protocol](_Wanted(clips, seed, validators, test_only, train_only))
    for split in found:
        check(clips, split)
    return found


def final(
    clips: Sequence[Clip],
    seed: int,
    validators: int,
    test_only: Collection[str] = (),
    train_only: Collection[str] = (),
) -> Split:
    """For the network of the bundle: all train except the validators; nobody is tested on."""
    wanted = _Wanted(clips, seed, validators, test_only, train_only)
    split = _of_speakers(wanted, "final", "final", ())
    check(clips, split)
    return split


def _subject_independent(wanted: _Wanted) -> list[Split]:
    """RAVDESS by the folds of the literature, the speakers of others dealt out in turn."""
    speakers = sorted({wanted.clips[i].speaker for i in wanted.testable})
    published = {ravdess.speaker(a): n for n, fold in enumerate(ravdess.FOLDS) for a in fold}
    count = len(ravdess.FOLDS) if any(s in published for s in speakers) else FOLDS
    others = [speaker for speaker in speakers if speaker not in published]
    random.Random(0).shuffle(others)  # noqa: S311 - the same folds whatever the seed
    dealt = published | {speaker: n % count for n, speaker in enumerate(others)}
    folds = [[s for s in speakers if dealt[s] == n] for n in range(count)]
    folds = [fold for fold in folds if fold]  # of a part of RAVDESS some are empty
    if len(folds) < 2:
        raise SplitError(f"{len(speakers)} speakers are too few for folds")
    return [_of_speakers(wanted, STRICT, f"fold-{n}", fold) for n, fold in enumerate(folds, 1)]


def _random(wanted: _Wanted) -> list[Split]:
    """Nobody is kept apart, so that there are no validators either."""
    rng = random.Random(f"{wanted.seed}-random")  # noqa: S311 - not a secret
    by_emotion: dict[str, list[int]] = defaultdict(list)
    for i in wanted.testable:
        by_emotion[wanted.clips[i].emotion].append(i)
    train = sorted(set(wanted.usable) - set(wanted.testable))
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
    return [Split("random", wanted.seed, "quarter", *sides)]


def _cross_corpus(wanted: _Wanted) -> list[Split]:
    corpora = {clip.corpus for clip in wanted.clips}
    if len(corpora) < 2:
        raise SplitError("cross-corpus needs two corpora at least")
    return [
        _of_speakers(
            wanted,
            CROSS,
            corpus,
            {clip.speaker for clip in wanted.clips if clip.corpus == corpus},
            corpus,
        )
        for corpus in sorted(corpora & set(wanted.test_only) or corpora)
    ]


def _statement_held_out(wanted: _Wanted) -> list[Split]:
    clips, usable, testable = wanted.clips, wanted.usable, set(wanted.testable)
    statements: dict[str, set[str]] = defaultdict(set)
    for i in testable:
        statements[clips[i].corpus].add(clips[i].statement)
    fewest = min(map(len, statements.values()))
    if not all(clips[i].statement for i in usable) or fewest < 2:
        raise SplitError("statement-held-out needs corpora that tell which sentence is said")
    count = min(FOLDS, fewest)
    validating = _validators(wanted, usable, f"{wanted.seed}-statements")
    found = []
    for n in range(count):
        held_out = {said for own in statements.values() for said in sorted(own)[n::count]}
        said = [i for i in usable if clips[i].statement not in held_out]
        found.append(
            Split(
                "statement-held-out",
                wanted.seed,
                f"statements-{n + 1}",
                tuple(i for i in said if clips[i].speaker not in validating),
                tuple(i for i in said if clips[i].speaker in validating),
                tuple(
                    i
                    for i in sorted(testable)
                    if clips[i].statement in held_out and clips[i].speaker not in validating
                ),
            )
        )
    return found


_PROTOCOLS = {
    STRICT: _subject_independent,
    "random": _random,
    CROSS: _cross_corpus,
    "statement-held-out": _statement_held_out,
}


def _of_speakers(
    wanted: _Wanted, protocol: str, name: str, test: Collection[str], only: str | None = None
) -> Split:
    """Test on some speakers (their clips of the corpus `only`), validate on others."""
    clips, seed = wanted.clips, wanted.seed
    rest = [i for i in wanted.usable if clips[i].speaker not in test]
    validating = _validators(wanted, rest, f"{seed}-{name}")
    tested = wanted.testable if only is None else range(len(clips))
    return Split(
        protocol,
        seed,
        name,
        tuple(i for i in rest if clips[i].speaker not in validating),
        tuple(i for i in rest if clips[i].speaker in validating),
        tuple(i for i in tested if clips[i].speaker in test and only in (None, clips[i].corpus)),
    )


def _validators(wanted: _Wanted, usable: Iterable[int], seed: str) -> set[str]:
    """Some of the speakers: of one corpus after the other, in each a woman and another in turn."""
    clips = [wanted.clips[i] for i in usable]
    testable = [clip for clip in clips if clip.corpus not in wanted.train_only]
    known = {clip.speaker: clip for clip in testable or clips}
    drawn = sorted(known)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - not a secret
    corpora = sorted({clip.corpus for clip in known.values()})
    alone = len({clip.corpus for clip in clips}) == 1
    queues = []
    for n, corpus in enumerate(corpora):
        own = [speaker for speaker in drawn if known[speaker].corpus == corpus]
        women = [speaker for speaker in own if known[speaker].sex == "female"]
        others = [speaker for speaker in own if speaker not in women]
        in_turn = _in_turn(others, women) if n % 2 else _in_turn(women, others)
        # Of several corpora none is left without anybody to train on.
        queues.append(in_turn if alone else in_turn[:-1])
    return set(_in_turn(*queues)[: wanted.validators])


def _in_turn(*queues: Sequence[str]) -> list[str]:
    """The first of each, the second of each, …, as long as there are any."""
    return [speaker for row in itertools.zip_longest(*queues) for speaker in row if speaker]
