"""What may happen to sound before it is recognised: conditions by name, made of whole clips."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import model_validator

from serd.audio import Floats, Pcm, float_to_pcm, pcm_to_float
from serd.settings import Table
from training import augment, channel, codec, noises
from training.augment import Augmentation
from training.surroundings import SNRS_DB, Played, Surroundings, in_noise

Condition = Callable[[Played], Pcm]
"""From a clip to what the daemon is given instead, int16 `[n]` as its samples."""

AS_IT_IS = "as it is"
_GAIN_DB = 12


class Robustness(Table):
    """`[robustness]`: what the published network is tried in; without it, nothing is."""

    noise: tuple[str, ...] = ()
    """Folders of recordings, below the data folder; with none, noise of a random colour."""
    noise_only: tuple[str, ...] = ()
    """The kinds of noise to hear, which training must leave out; with none, all."""
    rooms: str = ""
    """Folder of impulse responses, below the data folder; without, no rooms."""
    rooms_only: tuple[str, ...] = ()
    """The rooms to hear, which training must leave out; with none, all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what in ("noise", "rooms"):
            if getattr(self, f"{what}_only") and not getattr(self, what):
                raise ValueError(f"{what}_only: {what} is missing")
        return self

    def check(self, training: Augmentation) -> None:
        """Make sure that nothing is heard here which training hears; raises ValueError."""
        pairs = (
            ("noise", training.noise if training.noise_snr_db else (), self.noise),
            ("rooms", (training.rooms,) if training.room_share else (), (self.rooms,)),
        )
        for what, trained, tried in pairs:
            if set(trained) & set(tried):
                only = getattr(self, f"{what}_only")
                heard = sorted(set(only) - set(getattr(training, f"{what}_without")))
                if heard or not only:
                    raise ValueError(
                        f"robustness: training hears {heard[0] if only else what} too; name in"
                        f" {what}_only what augmentation.{what}_without leaves out"
                    )


def conditions(wanted: Robustness, data: Path) -> dict[str, Condition]:
    """Every condition by its name, first `AS_IT_IS`.

    What gets too loud is clipped, as a recorder does it; noise has its SNR to the speech without
    the pauses.

    Raises:
        NoiseError: a folder, a kind of noise or a room is missing.
        CodecError: libsndfile lacks a codec.
    """
    codec.check(["mp3", "opus"])
    around = Surroundings(_noise(wanted, data), ())
    coded = {"MP3": codec.mp3, "Opus": codec.opus}
    return {
        AS_IT_IS: lambda clip: clip.samples,
        **{f"gain {db:+d} dB": _of(partial(louder, gain_db=db)) for db in (_GAIN_DB, -_GAIN_DB)},
        "telephone": _of(channel.telephone),
        **{
            f"{name}, {kbit_s} kbit/s": _of(coded[name](kbit_s))
            for name, kbit_s in (("MP3", 64), ("MP3", 32), ("Opus", 16))
        },
        **{
            f"room {name}": _of(partial(augment.in_room, response=response))
            for name, response in _rooms(wanted, data).items()
        },
        **{
            f"noise, {snr_db} dB": partial(in_noise, around=around, snr_db=snr_db)
            for snr_db in SNRS_DB
        },
    }


def louder(samples: Floats, gain_db: float) -> Floats:
    """By so many dB."""
    return samples * np.float32(10 ** (gain_db / 20))


def _of(work: Callable[[Floats], Floats]) -> Condition:
    return lambda clip: float_to_pcm(work(pcm_to_float(clip.samples)))


def _noise(wanted: Robustness, data: Path) -> noises.Noises:
    found = noises.of_folders(data / folder for folder in wanted.noise)
    return noises.named(found, wanted.noise_only or found, "kind of noise")


def _rooms(wanted: Robustness, data: Path) -> dict[str, Floats]:
    found = noises.rooms(data / wanted.rooms) if wanted.rooms else {}
    return noises.named(found, wanted.rooms_only or found, "room")
