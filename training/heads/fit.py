"""Solve the last layers of one split."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serd.audio import Floats
from training import whole
from training.config import Config
from training.heads import body, hearing, layers, not_speech
from training.heads.solve import Heard, solve
from training.recordings import Recordings
from training.runs import ADAPTATION_FILE, MODEL_FILE, Fold, Run
from training.schedules import Head
from training.splits import Split
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
    heard = _heard(recordings, split, embeddings)
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
        gate = not_speech.gate(heard, sounds, found, not_speech.group(split))
    adaptation = {
        "prior": options.prior,
        "keep": options.keep,
        "mean": head.mean.tolist(),
        "spread": head.spread.tolist(),
    }
    whole.write_json(fold.path / ADAPTATION_FILE, adaptation)
    part = fold.path / f"part.{MODEL_FILE}"
    layers.added(network, head, gate).save(part)
    part.replace(fold.path / MODEL_FILE)


def _heard(recordings: Recordings, split: Split, embeddings: Sequence[Floats]) -> Heard:
    """The training side: every emotion counts as much as any other, in it every corpus."""
    wanted = set(split.train)
    rows = [row for row, u in enumerate(recordings.utterances) if u.clip in wanted]
    clips = [recordings.clips[recordings.utterances[row].clip] for row in rows]
    copies = len(embeddings)
    labels = recordings.labels
    emotions = np.array([labels.index(clip.emotion) for clip in clips])
    corpora = np.array([clip.corpus for clip in clips])
    known = np.zeros((len(clips), len(labels)), bool)
    weights = np.zeros(len(clips), np.float32)
    for label in np.unique(emotions):
        there = np.unique(corpora[emotions == label])
        for corpus in there:
            own = (emotions == label) & (corpora == corpus)
            weights[own] = 1 / (own.sum() * len(there))
            known[corpora == corpus, label] = True
    return Heard(
        np.concatenate([each[rows] for each in embeddings]),
        np.tile([clip.speaker for clip in clips], copies),
        np.tile(emotions, copies),
        np.tile(np.eye(len(labels), dtype=np.float32)[emotions], (copies, 1)),
        np.tile(known, (copies, 1)),
        np.tile(weights, copies),
        np.repeat(np.arange(copies), len(rows)),
    )
