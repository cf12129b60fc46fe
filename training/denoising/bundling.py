"""From a fitted denoiser to a bundle."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serd import bundle, denoiser
from serd.audio import Pcm
from serd.bundle import DenoiserCard
from training import bundling
from training.convert import Kind, to_tflite
from training.denoising.card import readme
from training.denoising.config import Study
from training.denoising.mixtures import Surroundings
from training.runs import Fold

_CALIBRATION = 200
"""Windows that give the int8 ranges."""


def convert(
    study: Study,
    fold: Fold,
    kind: Kind,
    utterances: Sequence[Pcm],
    around: Surroundings,
    facts: dict[str, Any],
) -> Path:
    """A fitted network as a bundle, unless it is one already.

    Args:
        study: that it was fitted by.
        fold: of the network.
        kind: what weights and activations become.
        utterances: that it was trained on, for the ranges of activations.
        around: noises and rooms that it was trained on.
        facts: for the card: `data`, `trained_by`.

    Returns:
        The bundle's folder; nothing is known yet of when to use it.

    Raises:
        RunError: there is no network yet.
        ConversionError: as in `training.convert`.
    """
    from training.denoising.fit import Batches

    folder = fold.path / kind
    if (folder / bundle.CARD_FILE).is_file():
        return folder
    folder.mkdir(exist_ok=True)
    file = folder / bundle.MODEL_FILE
    batches = Batches(study, utterances, around, _CALIBRATION, varied=False)
    windows = [batches[i][0]["spectrum"][0] for i in range(_CALIBRATION)]
    to_tflite(fold.model, {"spectrum": np.stack(windows)}, {kind: file})
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
        licence=bundling.licence(study.data.corpora),
        **facts,
    )
    bundling.write(card, folder)
    return folder


def publish(folder: Path, output: Path, metrics: dict[str, Any], threshold_db: float) -> None:
    """Copy a bundle to where people find it, with its threshold, figures and card for people.

    Raises:
        BundlingError: there is something else already.
    """
    known = {"metrics": metrics, "below_snr_db": threshold_db}
    card = denoiser.load(folder).card.model_copy(update=known)
    bundling.copy(folder, output, card, readme(card))
