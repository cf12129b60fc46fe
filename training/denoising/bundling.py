"""From a fitted denoiser to a bundle."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serd import bundle, denoiser
from serd.audio import Floats, Pcm
from serd.bundle import DenoiserCard
from training import bundling
from training.convert import Kind, to_tflite
from training.denoising.card import readme
from training.denoising.config import Study
from training.runs import Fold
from training.surroundings import Surroundings

_CALIBRATION = 200
"""Windows that give the int8 ranges."""


def convert(
    study: Study,
    fold: Fold,
    kinds: Iterable[Kind],
    utterances: Sequence[Pcm],
    around: Surroundings,
    facts: dict[str, Any],
) -> dict[Kind, Path]:
    """A fitted network as bundles, those that it is not already.

    Args:
        study: that it was fitted by.
        fold: of the network.
        kinds: what weights and activations become.
        utterances: that it was trained on, for the ranges of activations.
        around: noises and rooms that it was trained on.
        facts: for the card: `data`, `trained_by`.

    Returns:
        Kind → the bundle's folder; nothing is known yet of when to use it.

    Raises:
        RunError: there is no network yet.
        ConversionError: as in `training.convert`.
    """
    folders = {kind: fold.path / kind for kind in kinds}
    files = {
        kind: folder / bundle.MODEL_FILE
        for kind, folder in folders.items()
        if not (folder / bundle.CARD_FILE).is_file()
    }
    if files:
        model = fold.model
        for file in files.values():
            file.parent.mkdir(exist_ok=True)
        to_tflite(model, {"spectrum": _spectra(study, utterances, around)}, files)
    for kind, file in files.items():
        card = DenoiserCard(
            name=study.name,
            version=study.version,
            n_fft=study.n_fft,
            frames=study.frames,
            context=study.context,
            least_gain_db=study.least_gain_db,
            below_snr_db=0,
            quantization=kind,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            licence=bundling.licence(study.data.trained),
            **facts,
        )
        bundling.write(card, file.parent)
    return folders


def _spectra(study: Study, utterances: Sequence[Pcm], around: Surroundings) -> Floats:
    """Windows of mixtures, `[_CALIBRATION, frames, bins]`, as they are trained on."""
    from training.denoising.fit import Batches

    batches = Batches(study, utterances, around, _CALIBRATION, varied=False)
    return np.stack([batches[i][0]["spectrum"][0] for i in range(_CALIBRATION)])


def publish(folder: Path, output: Path, metrics: dict[str, Any], threshold_db: float) -> None:
    """Copy a bundle to where people find it, with its threshold, figures and card for people.

    Raises:
        BundlingError: there is something else already.
    """
    known = {"metrics": metrics, "below_snr_db": threshold_db}
    card = denoiser.load(folder).card.model_copy(update=known)
    bundling.copy(folder, output, card, readme(card))
