"""From the samples of one utterance to a probability for each emotion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from serd.audio import Pcm, pcm_to_float
from serd.bundle import Bundle
from serd.features import extract

Floats = NDArray[np.float32]

UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Prediction:
    """What a sound was heard as."""

    scores: dict[str, float]
    """Probability of each label, in the card's order."""
    emotion: str
    """The most probable label, or `uncertain`."""
    best: str
    """The most probable label."""
    confidence: float
    """Its probability."""
    embedding: Floats | None = field(default=None, compare=False, repr=False)
    """Where it lies among voices, `[size]`; None of networks that get used to nobody."""


class Classifier:
    """Runs a bundle's network on utterances of any length; not thread-safe."""

    def __init__(self, bundle: Bundle) -> None:
        self.card = bundle.card
        self._network = bundle.network
        shapes = bundle.network.input_shapes
        windows = [
            shapes[i.name][1] * i.features.hop_length
            for i in self.card.inputs
            if i.features is not None and not i.features.statistics
        ]
        self._window_samples = min(windows, default=None)
        adaptation = self.card.adaptation
        self._unheard = np.array(adaptation.mean if adaptation else (), np.float32)

    def classify(self, samples: Pcm, baseline: Floats | None = None) -> Prediction:
        """Recognise one utterance.

        What is longer than the network's window is cut into windows that overlap by half;
        their probabilities are averaged, and so are their embeddings.

        Args:
            samples: int16 `[n]` at 16 kHz, at least one.
            baseline: of who speaks, `[size]`; by default the training mean. Networks that take
                none pass over it.
        """
        found = self._run(samples, baseline)
        probabilities = softmax(found["scores"] / self.card.temperature)
        prediction = self.combine([(row, 1.0) for row in probabilities])
        if self.card.adaptation is None:
            return prediction
        return replace(prediction, embedding=found["embedding"].mean(axis=0))

    def combine(self, weighted: Sequence[tuple[Mapping[str, float] | Floats, float]]) -> Prediction:
        """The weighted mean of several predictions' scores, as one prediction."""
        weights = np.array([weight for _, weight in weighted])
        rows = [list(s.values()) if isinstance(s, Mapping) else s for s, _ in weighted]
        probabilities = np.average(np.array(rows, np.float64), axis=0, weights=weights)
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        label = self.card.labels[best]
        return Prediction(
            scores=dict(zip(self.card.labels, map(float, probabilities), strict=True)),
            emotion=label if confidence >= self.card.uncertain_below else UNCERTAIN,
            best=label,
            confidence=confidence,
        )

    def logits(self, samples: Pcm) -> Floats:
        """The network's scores for each window of an utterance, float32 `[windows, labels]`."""
        return self._run(samples, None)["scores"]

    def _run(self, samples: Pcm, baseline: Floats | None) -> dict[str, Floats]:
        """The network's outputs for each window, float32 `[windows, size]`."""
        cut = map(pcm_to_float, windows(samples, self._window_samples))
        each = [self._network(self._inputs(window, baseline)) for window in cut]
        return {name: np.concatenate([one[name] for one in each]) for name in each[0]}

    def _inputs(self, samples: Floats, baseline: Floats | None = None) -> dict[str, Floats]:
        shapes = self._network.input_shapes
        features: dict[str, Floats] = {}
        for wanted in self.card.inputs:
            if wanted.features is not None:
                features[wanted.name] = extract(samples, wanted.features)
        inputs = {name: fill(values, shapes[name][1])[None] for name, values in features.items()}
        for wanted in self.card.inputs:
            if wanted.mask_of is not None:
                real = len(features[wanted.mask_of])
                inputs[wanted.name] = mask(real, shapes[wanted.name][1])[None]
            elif wanted.baseline is not None:
                inputs[wanted.name] = (self._unheard if baseline is None else baseline)[None]
        return inputs


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis.

    >>> softmax(np.zeros(4, np.float32))
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def fill(frames: Floats, length: int) -> Floats:
    """Features `[t, size]` in a window `[length, size]`: zeros follow, or the end is cut.

    Statistics `[size]` stay as they are.
    """
    if frames.ndim == 1:
        return frames
    kept = frames[:length]
    return np.pad(kept, ((0, length - len(kept)), (0, 0)))


def mask(frames: int, length: int) -> Floats:
    """float32 `[length]`: 1 for each real frame, 0 for the filling.

    >>> mask(2, 4)
    array([1., 1., 0., 0.], dtype=float32)
    """
    return (np.arange(length) < frames).astype(np.float32)


def windows(samples: Pcm, length: int | None) -> list[Pcm]:
    """Windows of a network's length that overlap by half; the last one ends with the samples.

    None: the network takes all at once.
    """
    if length is None or samples.size <= length:
        return [samples]
    starts = [*range(0, samples.size - length, length // 2), samples.size - length]
    return [samples[start : start + length] for start in starts]
