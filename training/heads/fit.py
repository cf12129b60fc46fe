"""Solve the last layers of one split."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serd.audio import Floats
from training import fitting, whole
from training.config import Config
from training.heads import body, hearing, layers, not_speech
from training.heads.solve import Heard, solve
from training.recordings import Recordings
from training.runs import ADAPTATION_FILE, Fold, Run
from training.schedules import Head
from training.sides import Split
from training.targets import UNKNOWN, Targets
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
    own = _rows(recordings, split)
    scale = layers.scale_of(np.concatenate([rows[own] for rows in embeddings]))
    heard = _heard(config, recordings, split, [scale(rows) for rows in embeddings])
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


def _rows(recordings: Recordings, split: Split) -> list[int]:
    """The utterances of the training side."""
    wanted = set(split.train)
    return [row for row, u in enumerate(recordings.utterances) if u.clip in wanted]


def _heard(
    config: Config, recordings: Recordings, split: Split, embeddings: Sequence[Floats]
) -> Heard:
    """The training side: every emotion counts as much as any other, in it every corpus."""
    rows = _rows(recordings, split)
    own = recordings.examples(split.train)
    targets = Targets(config, own)(own).reshape(len(rows), -1)
    known = targets != UNKNOWN
    kinds = [f"{clip.emotion} {clip.corpus}" for clip in own.clips]
    there = Counter(kind.partition(" ")[0] for kind in set(kinds))
    counts = Counter(kinds)
    weights = [1 / (counts[kind] * there[kind.partition(" ")[0]]) for kind in kinds]
    copies = len(embeddings)
    return Heard(
        np.concatenate([each[rows] for each in embeddings]),
        np.tile([clip.speaker for clip in own.clips], copies),
        np.tile(own.labels, copies),
        np.tile(np.where(known, targets, 0), (copies, 1)),
        np.tile(known, (copies, 1)),
        np.tile(np.array(weights, np.float32), copies),
        np.repeat(np.arange(copies), len(rows)),
    )
