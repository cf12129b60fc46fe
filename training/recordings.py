"""The recordings of a study: what is heard in them, what they are, who is on which side."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd import audio
from serd.audio import Floats, Pcm, pcm_to_float
from serd.features import FeatureSpec
from serd.settings import SegmentSettings
from training import corpora, dataset, provenance, sides, splits
from training.augment import power
from training.config import ConfigError, Data
from training.corpora import crema_d
from training.corpora.clip import Clip
from training.corpora.duplicates import duplicates
from training.dataset import Examples, Utterance
from training.runs import Scores
from training.sides import Split
from training.splits import Protocol
from training.surroundings import Played


@dataclass(frozen=True)
class Recordings:
    """The clips of some emotions, cut into utterances; nothing is done with copies."""

    clips: Sequence[Clip]
    labels: tuple[str, ...]
    utterances: Sequence[Utterance]
    digests: Sequence[str]
    """Of each clip's samples."""
    test_only: tuple[str, ...] = ()
    """Corpora that nothing trains on."""
    train_only: tuple[str, ...] = ()
    """Corpora that nothing but `cross-corpus` tests on."""

    @cached_property
    def copies(self) -> dict[int, int]:
        """Clips that are another one's copy, and that one."""
        return {copy: first for first, *others in duplicates(self.digests) for copy in others}

    @cached_property
    def heard(self) -> frozenset[int]:
        """Clips in which some speech is found."""
        return frozenset(utterance.clip for utterance in self.utterances)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results has to know of the clips."""
        notes = [
            f"{self.clips[copy].path.name} has the same sound as {self.clips[first].path.name}"
            " and is left out"
            for copy, first in self.copies.items()
        ]
        silent = [clip.path.name for i, clip in enumerate(self.clips) if i not in self.heard]
        if silent:
            more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
            notes.append(f"no speech is found in {silent[0]}{more}")
        prepared = any(clip.path.is_relative_to(crema_d.prepared()) for clip in self.clips)
        return [*notes, crema_d.PREPARED_NOTE] if prepared else notes

    @property
    def facts(self) -> dict[str, Any]:
        """For `run.json`."""
        return provenance.facts(self.clips, self.digests)

    def splits(self, protocols: Mapping[Protocol, Sequence[int]], validators: int) -> list[Split]:
        """Of each protocol with each of its seeds; raises SplitError."""
        others = self.test_only, self.train_only
        return [
            self._checked(split)
            for protocol, seeds in protocols.items()
            for seed in seeds
            for split in splits.splits(self.clips, protocol, seed, validators, *others)
        ]

    def final(self, seed: int, validators: int) -> Split:
        """For the network of the bundle; raises SplitError."""
        others = self.test_only, self.train_only
        return self._checked(splits.final(self.clips, seed, validators, *others))

    def truth(self, clips: Sequence[int]) -> NDArray[np.int_]:
        """What clips are: places in `labels`."""
        return np.array([self.labels.index(self.clips[i].emotion) for i in clips], np.int_)

    def untested(self, found: Iterable[Split]) -> list[str]:
        """A note of each split in whose test an emotion is missing, whatever its seed."""
        notes = []
        for split in found:
            there = {self.clips[i].emotion for i in split.test}
            if lacking := [label for label in self.labels if label not in there]:
                notes.append(f"{split.protocol}, {split.name}: {', '.join(lacking)} not tested")
        return list(dict.fromkeys(notes))

    def sides(self, split: Split) -> dict[str, str]:
        """A hash of the clips on each side, and of who speaks in them."""
        return {
            side: self.hash_of(getattr(split, side)) for side in ("train", "validation", "test")
        }

    def hash_of(self, clips: Sequence[int]) -> str:
        """Of clips' sounds, and of who speaks in them."""
        lines = sorted(f"{self.digests[i]} {self.clips[i].speaker}" for i in clips)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def examples(self, clips: Sequence[int]) -> Examples:
        """The utterances in clips."""
        wanted = set(clips)
        own = [u for u in self.utterances if u.clip in wanted]
        places = [u.clip for u in own]
        return Examples(own, self.truth(places), [self.clips[i] for i in places])

    def played(self, clips: Sequence[int]) -> list[Played]:
        """Whole clips, numbered in this order; raises AudioError."""
        own: dict[int, list[Pcm]] = {clip: [] for clip in clips}
        for utterance in self.utterances:
            if utterance.clip in own:
                own[utterance.clip].append(utterance.samples)
        found = []
        for number, clip in enumerate(clips):
            samples = audio.read(self.clips[clip].path)
            heard = np.concatenate(own[clip] or [samples])
            found.append(Played(number, samples, power(pcm_to_float(heard))))
        return found

    def scores(self, clips: Sequence[int], probabilities: Floats) -> Scores:
        """What was said of clips, `[clips, labels]`, with all that is known of them."""
        known = [self.clips[i] for i in clips]
        return Scores(
            self.labels,
            tuple(clip.path.name for clip in known),
            tuple(clip.corpus for clip in known),
            tuple(clip.speaker for clip in known),
            tuple(clip.sex for clip in known),
            self.truth(clips),
            probabilities,
        )

    def _checked(self, split: Split) -> Split:
        """Without copies and what cannot be tested, and surely apart."""
        train, validation, test = (
            tuple(i for i in side if i not in self.copies)
            for side in (split.train, split.validation, split.test)
        )
        split = replace(split, train=train, validation=validation, test=test)
        if self.labels and split.protocol == "cross-corpus":
            split = sides.only_trained(self.clips, split)
        sides.check(self.clips, split, self.digests)
        if self.labels:
            sides.check_emotions(self.clips, split)
        for emotion in self.labels if split.protocol != "cross-corpus" else ():
            if not any(self.clips[i].emotion == emotion and i in self.heard for i in train):
                raise sides.SplitError(f"split {split.name}: nothing {emotion} is heard in train")
        return split


def gather(
    data: Data,
    labels: tuple[str, ...],
    inputs: Mapping[str, FeatureSpec],
    segments: SegmentSettings,
    folder: Path,
    cache: Path,
) -> Recordings:
    """Read the corpora and cut and compute what is not in the cache yet.

    Args:
        data: which corpora.
        labels: clips of other emotions are left out; none: emotions do not matter.
        inputs: features to compute, by name.
        segments: how clips are cut.
        folder: of the corpora.
        cache: for utterances and features, shared by all studies.

    Raises:
        CorpusError, CacheError: as their modules say.
        ConfigError: no clip has some label.
    """
    clips = [
        clip
        for name in dict.fromkeys([*data.trained, *data.test_only])
        for clip in corpora.load(name, folder)
        if not labels or clip.emotion in labels
    ]
    known = {clip.emotion for clip in clips}
    if lacking := [label for label in labels if label not in known]:
        raise ConfigError(f"no clip is {' or '.join(lacking)}")
    heard = dataset.load(clips, inputs, segments, cache)
    others = data.test_only, data.train_only
    return Recordings(clips, labels, heard.utterances, heard.digests, *others)
