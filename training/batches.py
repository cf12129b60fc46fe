"""What a network is given: utterances as batches, varied anew each time."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats, pcm_to_float
from serd.classifier import fill, mask
from serd.features import extract
from training import spec_augment
from training.augment import Augmenter
from training.config import Config, Window
from training.dataset import Examples, Utterance
from training.targets import Targets

BASELINE = "baseline"
"""The input for what a source has said so far."""


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Training batches: every label as often as any other, each utterance varied anew.

    With `balance = "label+corpus"` every corpus is as often within a label as any other too.
    """

    def __init__(self, examples: Examples, config: Config, data: Path, seed: int) -> None:
        super().__init__()
        self._utterances = examples.utterances
        self.targets = Targets(config, examples)
        self._targets = self.targets(examples)
        self._groups = _groups(examples, by_corpus=config.training.balance == "label+corpus")
        self._config = config
        self._augmenter = Augmenter(config.augmentation, data)
        self._seed = seed
        self._epoch = 0
        self._order = self._balanced_order()

    def __len__(self) -> int:
        return max(1, len(self._utterances) // self._config.training.batch_size)

    def on_epoch_end(self) -> None:
        self.go_on_with(self._epoch + 1)

    def go_on_with(self, epoch: int) -> None:
        """Shuffle for this epoch, unless that is done."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = self._balanced_order()

    def __getitem__(self, index: int) -> tuple[dict[str, Floats], Floats]:
        size = self._config.training.batch_size
        rng = self._rng(index)
        chosen = self._order[index * size : (index + 1) * size]
        rows = [self._varied(self._utterances[i], rng) for i in chosen]
        inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        targets = self._targets[chosen]
        if self._config.augmentation.mixup:
            return spec_augment.mixup(inputs, targets, self._config.augmentation.mixup, rng)
        return inputs, targets

    def _varied(self, utterance: Utterance, rng: np.random.Generator) -> dict[str, Floats]:
        options = self._config.augmentation
        length = window_samples(self._config.inputs)
        if options.of_samples or utterance.samples.size > (length or np.inf):
            samples = self._augmenter(pcm_to_float(utterance.samples), rng)
            if length is not None and samples.size > length:
                start = int(rng.integers(0, samples.size - length + 1))
                samples = samples[start : start + length]
            features = {name: extract(samples, spec) for name, spec in self._config.specs.items()}
        else:
            features = utterance.features
        if options.time_masks or options.frequency_masks:
            features = {
                name: x
                if x.ndim == 1
                else spec_augment.mask(x, options.time_masks, options.frequency_masks, rng)
                for name, x in features.items()
            }
        return windowed(features, self._config.inputs)

    def _balanced_order(self) -> NDArray[np.int_]:
        """As many indices as utterances, the labels equally often."""
        rng = self._rng(-1)
        each = -(-len(self._utterances) // len(self._groups))
        chosen = [
            drawn(own, each // len(parts) + (place < each % len(parts)), rng)
            for parts in self._groups
            for place, own in enumerate(parts)
        ]
        return rng.permutation(np.concatenate(chosen))

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._epoch, index + 1])


def _groups(examples: Examples, *, by_corpus: bool) -> list[list[NDArray[np.int_]]]:
    """Places of the utterances of each label that is there, apart by corpus or all in one."""
    corpora = np.array([clip.corpus if by_corpus else "" for clip in examples.clips])
    groups = []
    for label in np.unique(examples.labels):
        own = np.flatnonzero(examples.labels == label)
        groups.append([own[corpora[own] == corpus] for corpus in np.unique(corpora[own])])
    return groups


def drawn(own: NDArray[np.int_], count: int, rng: np.random.Generator) -> NDArray[np.int_]:
    """So many of these, none again before all were drawn."""
    rounds = max(1, -(-count // len(own)))
    return np.concatenate([rng.permutation(own) for _ in range(rounds)])[:count]


def window_samples(inputs: dict[str, Window]) -> int | None:
    """The longest sound that fits every window, samples; none without windows."""
    lengths = [w.frames * w.features.hop_length for w in inputs.values() if w.frames is not None]
    return min(lengths, default=None)


def windowed(features: dict[str, Floats], inputs: dict[str, Window]) -> dict[str, Floats]:
    """One example for the network: filled-up features, and a mask for those with frames."""
    example: dict[str, Floats] = {}
    for name, window in inputs.items():
        if window.frames is None:
            example[name] = features[name]
        else:
            example[name] = fill(features[name], window.frames)
            example[f"{name}_mask"] = mask(len(features[name]), window.frames)
    return example


def stacked(
    utterances: Sequence[Utterance], inputs: dict[str, Window], baselines: Floats | None = None
) -> dict[str, Floats]:
    """At most one window of each, as arrays with the utterances first.

    With `baselines` `[size]`, or `[utterances, size]`, they are the input of that name.
    """
    rows = [windowed(u.features, inputs) for u in utterances]
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    if baselines is not None:
        arrays[BASELINE] = np.broadcast_to(baselines, (len(rows), baselines.shape[-1]))
    return arrays
