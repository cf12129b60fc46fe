"""Fit one denoiser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from serd import stft
from serd.audio import Floats, Pcm
from training import fitting
from training.backup import Backup
from training.denoising.config import Study
from training.denoising.mixtures import vary
from training.networks import denoiser
from training.surroundings import Mixture, Surroundings


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Windows of mixtures, and what the loss needs to know of them."""

    def __init__(
        self,
        study: Study,
        utterances: Sequence[Pcm],
        around: Surroundings,
        count: int,
        *,
        varied: bool,
    ) -> None:
        """So many batches, in every epoch other ones if they are to be varied."""
        super().__init__()
        self._study = study
        self._utterances = utterances
        self._around = around
        self._count = count
        self._varied = varied
        self._epoch = 0

    def __len__(self) -> int:
        return self._count

    def on_epoch_end(self) -> None:
        self.go_on_with(self._epoch + 1)

    def go_on_with(self, epoch: int) -> None:
        """Make those of this epoch."""
        if self._varied:
            self._epoch = epoch

    def __getitem__(self, index: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
        rng = np.random.default_rng([self._study.seed, self._varied, self._epoch, index])
        rows = [self._example(rng) for _ in range(self._study.training.batch_size)]
        spectra, targets = zip(*rows, strict=True)
        return {"spectrum": np.stack(spectra)}, {"mask": np.stack(targets)}

    def _example(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        study = self._study
        utterance = self._utterances[int(rng.integers(len(self._utterances)))]
        mixture = vary(utterance, study.mixtures, self._around, rng)
        return example(_window(mixture, study, rng), study)


class Error(keras.losses.Loss):  # type: ignore[misc]
    """Of the compressed spectrum: of its magnitude, and of it as a complex number.

    The root of the magnitude stands for its loudness; the complex error tells the network to
    take more away where the noise has spoilt the phase, which it cannot repair.

    Reference:
        Braun and Tashev, A consolidated view of loss functions for supervised deep learning-based
        speech enhancement, TSP 2021.
    """

    def __init__(self, magnitude_share: float, context: int) -> None:
        super().__init__()
        self._magnitude_share = magnitude_share
        self._context = context

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of `target` and the root of the gain, `[b, frames, bins]`; the context does not count."""
        used = slice(self._context, y_pred.shape[1] - self._context)
        noisy, speech, cosine = (y_true[:, used, :, i] for i in range(3))
        made = y_pred[:, used] * noisy
        magnitude = ops.square(made - speech)
        whole = ops.square(made) + ops.square(speech) - 2 * made * speech * cosine
        share = self._magnitude_share
        return ops.mean(share * magnitude + (1 - share) * whole, axis=(1, 2))


def example(window: Mixture, study: Study) -> tuple[Floats, Floats]:
    """What the network is given of a window of samples, and what the loss is.

    Returns:
        float32 `[frames, bins]`, and `[frames, bins, 3]`: the roots of the magnitudes of what is
        heard and of the speech, and the cosine of the angle between the two.
    """
    noisy, speech = (stft.spectra(x, study.n_fft) for x in (window.noisy, window.speech))
    roots = np.sqrt(np.abs(noisy)), np.sqrt(np.abs(speech))
    product = np.abs(noisy) * np.abs(speech)
    cosine = (noisy * speech.conj()).real / np.maximum(product, 1e-20)
    level = max(float(roots[0].mean()), 1e-6)
    target = np.stack([roots[0] / level, roots[1] / level, cosine], axis=-1)
    return stft.log_power(noisy), target[:, :-1].astype(np.float32)


def fit(
    study: Study,
    network: dict[str, Any],
    own: tuple[Sequence[Pcm], Surroundings],
    held_out: tuple[Sequence[Pcm], Surroundings],
    folder: Path,
) -> keras.Model:
    """Train to the end of the schedule.

    Args:
        study: how.
        network: arguments of `denoiser.build`.
        own: utterances and surroundings to train on.
        held_out: for the learning curve.
        folder: for `model.keras` and `history.json`; a fit that was cut off goes on after its
            last epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = study.training
    fitting.begin(study.seed)
    model = denoiser.build(study.frames, study.n_fft // 2, **network)
    backup = Backup(folder / "backup")
    fitting.stage(
        model,
        Batches(study, *own, options.steps, varied=True),
        Batches(study, *held_out, max(1, options.steps // 10), varied=False),
        options,
        Error(options.magnitude_share, study.context),
        backup,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
    )
    fitting.keep(model, [backup], folder)
    return model


def _window(mixture: Mixture, study: Study, rng: np.random.Generator) -> Mixture:
    """A random window, up to as much before the sound and after as a stream would have."""
    hop = study.n_fft // 2
    length, before = (study.frames + 1) * hop, (study.context + 1) * hop
    size = mixture.noisy.size
    start = int(rng.integers(-before, max(1 - before, size - length + before) + 1))

    def cut(x: Floats) -> Floats:
        return np.pad(x, (before, length))[start + before : start + before + length]

    return Mixture(cut(mixture.noisy), cut(mixture.speech))
