"""How networks learn: by steps downhill, from another network, or solved at once."""

from typing import Literal

from pydantic import Field

from serd.settings import Table


class Schedule(Table):
    """How any network is fitted."""

    epochs: int = Field(60, gt=0)
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    """The highest; rises for a tenth of the steps, then falls as a cosine."""
    weight_decay: float = Field(1e-2, ge=0)
    average: float = Field(0.998, ge=0, lt=1)
    """Exponential moving average of the weights, a step."""
    validators: int = Field(4, gt=0)
    """Speakers kept out of training, for whatever is chosen and the learning curve."""


class Training(Schedule):
    """`[training]` of a classifier."""

    frozen_epochs: int = Field(0, ge=0)
    """Before the others, with all pretrained layers frozen."""
    frozen_learning_rate: float = Field(1e-3, gt=0)
    unfreeze_from: str = ""
    """Afterwards pretrained layers are trained from the one of this name on."""
    balance: Literal["label", "label+corpus"] = "label"
    """What an epoch has as often as any other: each label, or within it each corpus too."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mask_lacking: bool = True
    """Whether labels that an utterance's corpus lacks, and others have, are out of its loss."""
    votes: float = Field(0, ge=0, le=1)
    """Share of what listeners heard in a clip, the rest being what was meant."""
    uncertain_share: float = Field(0.1, ge=0, lt=1)
    """How much of what the validators say may be called uncertain."""


class Teaching(Schedule):
    """`[teaching]`: what the network learns from Whisper's encoder first."""

    weights: str
    """A file of the encoder, below the data folder or anywhere."""
    corpora: tuple[str, ...] = Field(min_length=1)
    """What is listened to; never a corpus in which somebody is tested."""
    layers: int = Field(3, gt=0)
    """So many of the encoder's layers are guessed."""
    size: int = Field(256, gt=0)
    """So many main components of their states are."""
    sums: float = Field(0.3, ge=0)
    """What means and spreads over time weigh beside the steps."""
    copies: int = Field(4, gt=0)
    """So many variations of each window are heard, one an epoch, in turn."""
    needed: float = Field(1.0, ge=0)
    """What the numbers that labels are told by weigh beside the steps."""
    average: float = Field(0, ge=0, lt=1)


class Head(Table):
    """`[head]`: the last layers are solved, and take the voices of those who speak into account."""

    penalty: float = Field(0.01, gt=0)
    """Of their weights."""
    copies: int = Field(2, ge=0)
    """So many variations of each utterance are learnt from, beside itself."""
    directions: int = Field(8, gt=0)
    """In which voices are told apart."""
    prior: float = Field(3.0, gt=0)
    """With how many utterances the mean of all voices weighs in a baseline."""
    keep: float = Field(0.99, gt=0, le=1)
    """What an utterance's weight in a baseline shrinks to with each further one."""
    not_speech: tuple[str, ...] = ()
    """Folders of sounds, below the data folder, that must not get an emotion; a fold learns four
    fifths of the kinds and is tested with the others."""
