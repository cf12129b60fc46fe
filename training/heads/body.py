"""The layers before the last ones: taught once for all folds that may hear the same."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from serd.audio import Floats, Pcm
from serd.classifier import windows
from training import fitting, provenance, teaching
from training.batches import window_samples
from training.config import Config
from training.heads import layers, side
from training.heads.needed import needed
from training.recordings import Recordings
from training.runs import Fold, Run
from training.schedules import Head, Teaching
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

    A corpus in which somebody is tested is not heard; where there is nothing else, its training
    side is.
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
    if everybody:
        fold = run.fold(TAUGHT, seed, _name(listened))
        people = sorted({recordings.clips[i].speaker for i in everybody})
        judges = set(np.random.default_rng(seed).permutation(people)[: options.validators])
        apart = [i for i in everybody if recordings.clips[i].speaker in judges]
        train: Sequence[int] = sorted({*everybody} - {*apart})
    else:
        fold = run.fold(TAUGHT, seed, f"none, {split.protocol}, {split.name}")
        train, apart = split.train, list(split.validation)
    if not fold.is_trained:
        study = _Study(config, recordings, options, everybody or split.train, data, cache)
        study.teach(fold, train, apart)
    return fold


def _name(listened: Sequence[str]) -> str:
    return "+".join(listened).replace("/", "_")


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

    def teach(self, fold: Fold, train: Sequence[int], judges: Sequence[int]) -> None:
        """Teach of some clips' speech, and look at how it goes by others'."""
        sides = {"train": train, "validation": judges}
        hashes = {side: self.recordings.hash_of(clips) for side, clips in sides.items()}
        fold.begin(hashes, provenance.made())
        print(f"{self.config.name}: teaching, seed {fold.seed}, {fold.name}", flush=True)
        own, held_out = (self._speech(clips) for clips in sides.values())
        there = self._needed(own, train)
        teaching.teach(self.config, own, held_out, there, fold.seed, self.data, fold.path)

    def _speech(self, clips: Sequence[int]) -> Speech:
        """The windows of these clips; the states of a whole corpus are found at once, and kept."""
        wanted = set(clips)
        found = Speech([], [], [], [])
        corpora = [clip.corpus for clip in self.recordings.clips]
        for corpus in sorted({corpora[i] for i in clips}):
            rows, sounds = self._windows({i for i, of in enumerate(corpora) if of == corpus})
            states = self._teacher.hear(sounds)
            for row, sound, heard in zip(rows, sounds, states, strict=True):
                if self.recordings.utterances[row].clip in wanted:
                    found.rows.append(row)
                    found.sounds.append(sound)
                    found.states.append(heard)
                    found.corpora.append(corpus)
        return found

    def _needed(self, speech: Speech, clips: Sequence[int]) -> Floats:
        """What the labels of clips are told by in the sums of the states."""
        each = np.stack([teaching.sums_of(states) for states in speech.states])
        sums = np.zeros((len(self.recordings.utterances), each.shape[1]), np.float32)
        np.add.at(sums, speech.rows, each)
        sums /= np.maximum(np.bincount(speech.rows, minlength=len(sums)), 1)[:, None]
        scale = layers.scale_of(sums[side.rows(self.recordings, clips)])
        corpora: dict[str, list[int]] = {}
        for i in clips:
            corpora.setdefault(self.recordings.clips[i].corpus, []).append(i)
        groups = [clips, *corpora.values()] if len(corpora) > 1 else [clips]
        heard = [side.heard(self.config, self.recordings, own, [scale(sums)]) for own in groups]
        return needed(heard, scale, self.config.head or Head())

    def _windows(self, clips: Collection[int]) -> tuple[list[int], list[Pcm]]:
        """The windows of clips, and which utterance each is of."""
        length = window_samples(self.config.inputs)
        each = [
            (row, window)
            for row, u in enumerate(self.recordings.utterances)
            if u.clip in clips
            for window in windows(u.samples, length)
        ]
        return [row for row, _ in each], [window for _, window in each]

    @cached_property
    def _teacher(self) -> Teacher:
        _, some = self._windows(set(self.first))
        return Teacher(self.config, self.options, some, self.data, self.cache)
