"""The layers before the last ones: taught once for all folds that may hear it, then for each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from serd.audio import Pcm
from serd.classifier import windows
from training import fitting, provenance, teaching
from training.batches import window_samples
from training.config import Config
from training.recordings import Recordings
from training.runs import Fold, Run
from training.schedules import Teaching
from training.sides import Split
from training.states import Teacher
from training.teaching import Speech

TAUGHT = "teaching"
"""In the place of a protocol: `teaching/seed-1/crema_d+nemo/`."""


def body(
    config: Config,
    recordings: Recordings,
    split: Split,
    seed: int,
    run: Run,
    data: Path,
    cache: Path,
) -> Fold:
    """The layers for this split, taught if they have not been yet.

    Of a corpus in which somebody is tested, only the training side is ever heard: after the rest is
    learnt, or where nothing else is there to be heard, from the start.
    """
    options = config.teaching
    if options is None:
        untaught = run.fold(TAUGHT, seed, "none")
        if not untaught.is_trained:
            untaught.begin({}, provenance.made())
            fitting.save(teaching.build(config, data), untaught.path)
        return untaught
    tested = {recordings.clips[i].corpus for i in split.test}
    listened = [name for name in options.corpora if name not in tested]
    everybody = [i for i, clip in enumerate(recordings.clips) if clip.corpus in listened]
    study = _Study(config, recordings, options, everybody or split.train, data, cache)
    common = None
    if everybody:
        common = run.fold(TAUGHT, seed, _name(listened))
        if not common.is_trained:
            people = sorted({recordings.clips[i].speaker for i in everybody})
            judges = set(np.random.default_rng(seed).permutation(people)[: options.validators])
            apart = [i for i in everybody if recordings.clips[i].speaker in judges]
            study.teach(common, sorted({*everybody} - {*apart}), apart, None)
        if not options.own_epochs:
            return common
    own = run.fold(TAUGHT, seed, f"{_name(listened)}, {split.protocol}, {split.name}")
    if not own.is_trained:
        study.teach(own, split.train, split.validation, common)
    return own


def _name(listened: Sequence[str]) -> str:
    return "+".join(listened).replace("/", "_") or "none"


@dataclass(frozen=True)
class _Study:
    """What teaching needs to know."""

    config: Config
    recordings: Recordings
    options: Teaching
    first: Sequence[int]
    """Clips that are heard first: what their states vary in is what is told of all states."""
    data: Path
    cache: Path

    def teach(
        self, fold: Fold, train: Sequence[int], judges: Sequence[int], before: Fold | None
    ) -> None:
        """Teach of some clips' speech, and look at how it goes by others'."""
        sides = {"train": train, "validation": judges}
        hashes = {side: self.recordings.hash_of(clips) for side, clips in sides.items()}
        fold.begin(hashes, provenance.made())
        print(f"{self.config.name}: teaching, seed {fold.seed}, {fold.name}", flush=True)
        own, held_out = (self._speech(clips) for clips in sides.values())
        there = before.path if before else None
        teaching.teach(self.config, own, held_out, fold.seed, self.data, fold.path, there)

    def _speech(self, clips: Sequence[int]) -> Speech:
        """The windows of these clips; the states of a whole corpus are found at once, and kept."""
        wanted = set(clips)
        found = Speech([], [], [])
        corpora = [clip.corpus for clip in self.recordings.clips]
        for corpus in sorted({corpora[i] for i in clips}):
            numbers, sounds = self._windows({i for i, of in enumerate(corpora) if of == corpus})
            states = self._teacher.hear(sounds)
            for number, sound, heard in zip(numbers, sounds, states, strict=True):
                if number in wanted:
                    found.sounds.append(sound)
                    found.states.append(heard)
                    found.corpora.append(corpus)
        return found

    def _windows(self, clips: Collection[int]) -> tuple[list[int], list[Pcm]]:
        """The windows of clips, and which clip each is of."""
        length = window_samples(self.config.inputs)
        each = [
            (u.clip, window)
            for u in self.recordings.utterances
            if u.clip in clips
            for window in windows(u.samples, length)
        ]
        return [number for number, _ in each], [window for _, window in each]

    @cached_property
    def _teacher(self) -> Teacher:
        _, some = self._windows(set(self.first))
        return Teacher(self.config, self.options, some, self.data, self.cache)
