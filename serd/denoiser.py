"""Takes noise out of speech.

A network looks at the spectrum, a window at a time, and says how much of each piece of it is
speech; the rest is taken away, and sound is made of it again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from serd import bundle, stft
from serd.audio import Floats, Pcm, float_to_pcm, pcm_to_float
from serd.bundle import BundleError, DenoiserCard
from serd.tflite import Network


class Denoiser:
    """Runs a bundle's network on sound of any length; not thread-safe."""

    def __init__(self, card: DenoiserCard, network: Network) -> None:
        self.card = card
        self._network = network
        self._least_gain = np.float32(10 ** (card.least_gain_db / 20))

    def __call__(self, samples: Pcm) -> Pcm:
        """A whole sound, int16 `[n]` at 16 kHz, without its noise, int16 `[n]`."""
        return np.concatenate(list(self.blocks([samples])))

    def blocks(self, blocks: Iterable[Pcm]) -> Iterator[Pcm]:
        """A sound in pieces of any length, without its noise, in other pieces."""
        stream = self.stream()
        for block in blocks:
            yield stream.feed(block)
        yield stream.flush()

    def stream(self) -> "Stream":
        """For a sound that comes in pieces."""
        return Stream(self)

    def window(self, samples: Floats) -> Floats:
        """What the middle of a window adds to the sound.

        Args:
            samples: float32 `[(frames + 1) * hop]`.

        Returns:
            float32 `[(frames - 2 * context + 1) * hop]`, as of `stft.overlapped`.
        """
        frames = stft.spectra(samples, self.card.n_fft)
        root = self._network({"spectrum": stft.log_power(frames)[None]})["mask"][0]
        gain = np.maximum(np.square(root), self._least_gain)
        gain = np.pad(gain, ((0, 0), (0, 1)), mode="edge")  # the highest follows the next
        middle = slice(self.card.context, len(frames) - self.card.context)
        return stft.overlapped(frames[middle] * gain[middle])


class Stream:
    """One sound, in pieces; the pieces it gives are the same however it is fed."""

    def __init__(self, denoiser: Denoiser) -> None:
        card = denoiser.card
        self._denoiser = denoiser
        self._hop = card.n_fft // 2
        self._needed = (card.frames + 1) * self._hop
        # Quiet before the first sample: the context, and the frame that the sample ends.
        self._pending = np.zeros((card.context + 1) * self._hop, np.int16)
        self._tail = np.zeros(self._hop, np.float32)
        self._to_drop = self._hop  # what comes out before the first sample
        self._left = 0  # samples that were fed and have not come out

    def feed(self, block: Pcm) -> Pcm:
        """What is ready after these samples, int16 `[m]`; up to a window stays inside."""
        self._left += block.size
        return self._ready(block)

    def flush(self) -> Pcm:
        """The rest, at the end of the sound."""
        rest = self._left
        made = [self._ready(np.zeros(0, np.int16))]
        while sum(map(len, made)) < rest:
            made.append(self._ready(np.zeros(self._needed, np.int16)))
        return np.concatenate(made)[:rest]

    def _ready(self, block: Pcm) -> Pcm:
        self._pending = np.concatenate([self._pending, block])
        made = []
        while self._pending.size >= self._needed:
            sound = self._denoiser.window(pcm_to_float(self._pending[: self._needed]))
            sound[: self._hop] += self._tail
            sound, self._tail = sound[: -self._hop], sound[-self._hop :]
            self._pending = self._pending[sound.size :]
            made.append(sound[self._to_drop :])
            self._to_drop = 0
        self._left -= min(self._left, sum(map(len, made)))
        return float_to_pcm(np.concatenate([np.zeros(0, np.float32), *made]))


def load(path: Path) -> Denoiser:
    """Read a bundle; raises BundleError."""
    card = bundle.read_any_card(path)
    if not isinstance(card, DenoiserCard):
        raise BundleError(f"{path}: it recognises emotions and takes no noise out")
    network = bundle.open_network(path, card)
    shape = (1, card.frames, card.n_fft // 2)
    if network.input_shapes != {"spectrum": shape} or network.output_shapes != {"mask": shape}:
        raise BundleError(f"{path}: the network does not map spectrum to mask, {shape}")
    if card.frames <= 2 * card.context:
        raise BundleError(f"{path}: its context leaves nothing of a window")
    return Denoiser(card, network)
