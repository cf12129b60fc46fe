"""Codecs: sound as it is after it was encoded and decoded, in its place and as long as before."""

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soundfile
from numpy.random import Generator

from serd.audio import SAMPLE_RATE, Floats
from training.channel import TELEPHONE_RATE, from_telephone, to_telephone

Name = Literal["mu-law", "mp3", "vorbis", "opus"]

_MP3_DELAY = 576 + 529
"""Samples of LAME's filter and of the decoder's."""
_MP3_RATES = (24, 32, 40, 48, 64, 96)
"""kbit/s."""


class CodecError(Exception):
    """A codec that this machine's libsndfile does not have; one line."""


@dataclass(frozen=True)
class Codec:
    """What libsndfile is told."""

    format: str
    subtype: str
    compression: float | None = None
    """0, the best, to 1, the smallest."""
    by_telephone: bool = False

    def __call__(self, samples: Floats) -> Floats:
        """Encode and decode.

        Args:
            samples: float32 `[n]`, at least one; what is beyond -1…1 is scaled down before and
                up again after.

        Returns:
            float32 `[n]`: what filters delay is moved back.
        """
        peak = max(np.float32(1), np.abs(samples).max())
        given = to_telephone(samples / peak) if self.by_telephone else samples / peak
        heard = self._decoded(self._encoded(given))
        # With a frame too small to say how long its sound is, as below 40 kbit/s, all comes out.
        late = _MP3_DELAY if self.format == "MP3" and heard.size > given.size else 0
        heard = heard[late : late + given.size]
        heard = np.pad(heard, (0, given.size - heard.size)) * peak
        return from_telephone(heard, samples.size) if self.by_telephone else heard

    def _encoded(self, samples: Floats) -> io.BytesIO:
        rate = TELEPHONE_RATE if self.by_telephone else SAMPLE_RATE
        constant = {"bitrate_mode": "CONSTANT"} if self.format == "MP3" else {}
        file = io.BytesIO()
        soundfile.write(
            file,
            samples,
            rate,
            format=self.format,
            subtype=self.subtype,
            compression_level=self.compression,
            **constant,
        )
        file.seek(0)
        return file

    def _decoded(self, file: io.BytesIO) -> Floats:
        return soundfile.read(file, dtype="float32")[0]


MU_LAW = Codec("WAV", "ULAW", by_telephone=True)
"""A telephone's eight bits a sample, with its band.

Reference:
    ITU-T G.711, Pulse code modulation of voice frequencies.
"""


def mp3(kbit_s: float) -> Codec:
    """At the constant bitrate next to this, 16…160 kbit/s."""
    return Codec("MP3", "MPEG_LAYER_III", 1 - (kbit_s - 8) / (160 - 8))


def opus(kbit_s: float) -> Codec:
    """At about this bitrate, 6…256 kbit/s: pauses take less."""
    return Codec("OGG", "OPUS", 1 - (kbit_s - 6) / (256 - 6))


def vorbis(compression: float) -> Codec:
    """From about 50 kbit/s at 0 to 20 at 1."""
    return Codec("OGG", "VORBIS", compression)


_SOME: dict[Name, Callable[[Generator], Codec]] = {
    "mu-law": lambda _: MU_LAW,
    "mp3": lambda rng: mp3(_MP3_RATES[rng.integers(len(_MP3_RATES))]),
    "vorbis": lambda rng: vorbis(rng.uniform()),
    "opus": lambda rng: opus(rng.uniform(8, 40)),
}


def some(name: Name, rng: Generator) -> Codec:
    """A codec at a random bitrate."""
    return _SOME[name](rng)


def check(names: Collection[Name]) -> None:
    """Make sure that these can be used; raises CodecError."""
    for name in names:
        codec = some(name, np.random.default_rng(0))
        if not soundfile.check_format(codec.format, codec.subtype):
            version = soundfile.__libsndfile_version__
            raise CodecError(f"{name}: libsndfile {version} has no such codec; 1.1 and later have")
