"""Models that get used to voices, made up: a few numbers of the sound, and no training."""

import hashlib
import json

import numpy as np

from serd.audio import pcm_to_float
from serd.bundle import Card
from serd.cleaning import Cleaning
from serd.features import FeatureSpec, extract
from serd.settings import SegmentSettings
from serd.speech import Speech

from .tflite_file import tflite_file

LABELS = ("calm", "happy", "sad")
SOUND = FeatureSpec(statistics=("mean", "std"))
"""What the embedding is a linear function of."""


def made_up(folder):
    """A model whose embedding is of 2 numbers."""
    rng = np.random.default_rng(0)
    trained = {"prior": 3, "keep": 0.99, "mean": [0.5, -0.5], "spread": [1, 2]}
    weights, bias, head = rng.normal(size=(2, SOUND.size)), np.zeros(2), rng.normal(size=(3, 2))
    return write_bundle(folder, weights, bias, head, trained)


def telling_apart(folder, one, other):
    """A model to whose embedding two recordings are two voices, far from each other.

    Its first direction leads from voice to voice, the second one goes along with what else
    varies; a voice's utterances have variance 1 in both, as the contract has it.
    """
    voices = [
        np.array([extract(pcm_to_float(part.samples), SOUND) for part in spoken(path)])
        for path in (one, other)
    ]
    means = np.array([voice.mean(axis=0) for voice in voices])
    rest = np.concatenate([voice - mean for voice, mean in zip(voices, means, strict=True)])
    within = rest.T @ rest / len(rest) + 0.003 * np.eye(SOUND.size)
    away = np.linalg.solve(within, means[1] - means[0])
    along = np.linalg.svd(rest)[2][0]
    weights = np.array([row / (rest @ row).std() for row in (away, along)])
    placed = means @ weights.T
    spread = placed.var(axis=0)
    assert spread[0] > 100  # or the demo's recordings are not what they were
    trained = {"prior": 3, "keep": 0.9, "mean": [0, 0], "spread": spread.tolist()}
    head = np.array([[1.5, 0.3], [-0.7, 0.2], [-1, -0.4]]) / [spread[0] ** 0.5, 1]
    return write_bundle(folder, weights, -placed.mean(axis=0), head, trained)


def spoken(path):
    """The utterances of a recording as they are, by the default settings."""
    return Speech(path, Cleaning(below_snr_db=float("-inf")), SegmentSettings())


def write_bundle(folder, weights, bias, head, adaptation):
    """Scores are `head @ (embedding - baseline)`, the embedding `weights @ features + bias`.

    Args:
        folder: to make.
        weights: `[size, SOUND.size]`.
        bias: `[size]`.
        head: `[labels, size]`.
        adaptation: of the card.
    """
    labels, size = head.shape
    shapes = {"sound": (1, SOUND.size), "baseline": (1, size), "embedding": (1, len(weights))}
    constants = {"w": weights, "b": bias, "head": head, "nothing": np.zeros(labels)}
    operations = [
        ("FULLY_CONNECTED", ("sound", "w", "b"), "embedding"),
        ("SUB", ("embedding", "baseline"), "moved"),
        ("FULLY_CONNECTED", ("moved", "head", "nothing"), "scores"),
    ]
    shapes |= {"moved": (1, size), "scores": (1, labels)}
    content = tflite_file(constants, operations, shapes, ["scores", "embedding"])
    card = Card(
        name=folder.name,
        version="1",
        quantization="none",
        sha256=hashlib.sha256(content).hexdigest(),
        labels=LABELS[:labels],
        inputs=[
            {"name": "sound", "features": SOUND},
            {"name": "baseline", "baseline": size},
        ],
        outputs=["scores", "embedding"],
        adaptation=adaptation,
    )
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    (folder / "card.json").write_text(json.dumps(card.model_dump(mode="json")))
    return folder
