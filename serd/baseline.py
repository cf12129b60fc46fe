"""What is known of one voice: the mean of its embeddings, and how many utterances that is of."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Floats = NDArray[np.float32]

_CHECKED = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Adaptation(BaseModel):
    """A card's `adaptation`: where the embeddings of one voice lie, and where those of all.

    The network scales them so that the utterances of one voice have variance 1 around its mean,
    in every direction.
    """

    model_config = _CHECKED

    prior: float = Field(gt=0)
    """With how many utterances the training mean weighs in a baseline."""
    keep: float = Field(gt=0, le=1)
    """What an utterance's weight shrinks to with each further one of the same voice."""
    mean: tuple[float, ...] = Field(min_length=1)
    """Of the training voices: the baseline of one that has not spoken."""
    spread: tuple[Annotated[float, Field(ge=0)], ...]
    """Variance of the voices' means around `mean`, in each direction."""

    @model_validator(mode="after")
    def _fitting(self) -> "Adaptation":
        if len(self.spread) != len(self.mean):
            raise ValueError("mean and spread differ in length")
        return self


class Baseline(BaseModel):
    """One voice, as far as it has been heard; it is never changed, but replaced."""

    model_config = _CHECKED

    weight: float = Field(ge=0)
    """Utterances heard, less what has been forgotten of them."""
    mean: tuple[float, ...]
    """Of their embeddings; of no account while `weight` is 0."""
    silent: int = Field(0, ge=0)
    """Utterances of others since it spoke."""

    @classmethod
    def of(cls, adaptation: Adaptation, embeddings: Sequence[Floats]) -> "Baseline":
        """A voice of which all is known at once, so that nothing of it is forgotten; or none."""
        if not embeddings:
            return cls(weight=0, mean=adaptation.mean)
        return cls(weight=len(embeddings), mean=_numbers(np.mean(embeddings, axis=0, dtype=float)))

    def add(self, embedding: Floats, keep: float) -> "Baseline":
        """The voice after a further utterance; older ones weigh `keep` times what they did."""
        before = keep * self.weight
        weight = before + 1
        mean = (before * np.array(self.mean) + embedding) / weight
        return Baseline(weight=weight, mean=_numbers(mean))

    def value(self, adaptation: Adaptation) -> Floats:
        """What the network is given, float32 `[size]`: the mean, as far as it can be known yet."""
        prior = adaptation.prior
        known = prior * np.array(adaptation.mean) + self.weight * np.array(self.mean)
        return (known / (prior + self.weight)).astype(np.float32)


def _numbers(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
