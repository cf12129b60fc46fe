"""Solve the last layers of one split."""

from pathlib import Path

import numpy as np

from training import fitting, whole
from training.config import Config
from training.heads import body, hearing, layers, not_speech, side
from training.heads.solve import solve
from training.recordings import Recordings
from training.runs import ADAPTATION_FILE, Fold, Run
from training.schedules import Head
from training.sides import Split
from training.train import trained


def fit(
    config: Config,
    recordings: Recordings,
    split: Split,
    fold: Fold,
    run: Run,
    data: Path,
    cache: Path,
) -> None:
    """Put the last layers on the body that this split may have, which is taught where it isn't yet.

    Args:
        config: with `[head]`.
        recordings: of the study.
        split: whose training side is learnt from.
        fold: where `model.keras` and `adaptation.json` go.
        run: where bodies are kept.
        data: where weights, noise and rooms are.
        cache: for the encoder's states.
    """
    options = config.head or Head()
    taught = body.body(config, recordings, split, fold.seed, run, data, cache)
    network = trained(taught.model)
    samples = [u.samples for u in recordings.utterances]
    embeddings = hearing.all_of(network, samples, config, data, taught, "utterances")
    own = side.rows(recordings, split.train)
    scale = layers.scale_of(np.concatenate([rows[own] for rows in embeddings]))
    heard = side.heard(config, recordings, split.train, [scale(rows) for rows in embeddings])
    head = solve(
        heard,
        penalty=options.penalty,
        directions=options.directions,
        prior=options.prior,
        seed=fold.seed,
    )
    gate = None
    if options.not_speech:
        sounds = not_speech.load([data / name for name in options.not_speech], config.segments)
        found = hearing.all_of(network, sounds.samples, config, data, taught, "not-speech")
        found = [scale(rows) for rows in found]
        gate = not_speech.gate(heard, sounds, found, not_speech.group(split))
    adaptation = {
        "prior": options.prior,
        "keep": options.keep,
        "mean": head.mean.tolist(),
        "spread": head.spread.tolist(),
    }
    whole.write_json(fold.path / ADAPTATION_FILE, adaptation)
    fitting.save(layers.added(network, scale, head, gate), fold.path)
