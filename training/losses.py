"""What a classifier lowers, and how often it is right, for any targets of `training.targets`."""

from typing import Any

import keras
from keras import ops

_NEVER = -1e9
"""A logit that has no share in the softmax, and no gradient."""


def crossentropy(*, label_smoothing: float, masked: bool) -> keras.losses.Loss:
    """Of logits `[b, labels]` and targets, `[b, labels]` or, if `masked`, `[b, parts, labels]`."""
    if masked:
        return KnownCrossentropy(label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


class KnownCrossentropy(keras.losses.Loss):  # type: ignore[misc] # Keras has no types
    """The cross-entropy over those labels of which something is known.

    An utterance is of one or several parts, as mixup makes them: each has its own labels, over
    which its softmax runs, and its targets sum to its share in the whole. A label is unknown
    where its target is below 0; what is known decides alone, smoothing included.
    """

    def __init__(self, label_smoothing: float) -> None:
        super().__init__(name="known_crossentropy")
        self._label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of targets `[b, parts, labels]` and logits `[b, labels]`: `[b]`."""
        known = y_true >= 0
        targets = ops.where(known, y_true, 0.0)
        share = ops.sum(targets, axis=-1, keepdims=True)
        count = ops.sum(ops.cast(known, targets.dtype), axis=-1, keepdims=True)
        targets += self._label_smoothing * (share / count - targets)
        said = ops.log_softmax(ops.where(known, y_pred[:, None], _NEVER), axis=-1)
        return -ops.sum(ops.where(known, targets * said, 0.0), axis=(1, 2))


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """How often the highest logit `[b, labels]` is the highest target, of any shape: `[b]`."""
    if len(y_true.shape) == 3:
        y_true = ops.sum(ops.maximum(y_true, 0.0), axis=1)
    right = ops.argmax(y_true, axis=-1) == ops.argmax(y_pred, axis=-1)
    return ops.cast(right, y_pred.dtype)
