"""The layers before the last ones: taught once, and shared by all folds that may hear of them."""

from pathlib import Path

import numpy as np

from training import fitting, provenance, teaching
from training.config import Config
from training.recordings import Recordings
from training.runs import Fold, Run
from training.sides import Split

TAUGHT = "teaching"
"""In the place of a protocol: `teaching/seed-1/crema_d+nemo/`."""


def body(
    config: Config,
    recordings: Recordings,
    split: Split,
    seed: int,
    run: Run,
    data: Path,
    cache: Path,
) -> Fold:
    """The layers for this split; they are taught if no other split has had them taught yet.

    Nobody that is tested, nor anybody of the same corpus, is ever heard by them in training.
    """
    options = config.teaching
    tested = {recordings.clips[i].corpus for i in split.test}
    listened = [name for name in options.corpora if name not in tested] if options else []
    fold = run.fold(TAUGHT, seed, "+".join(listened).replace("/", "_") or "none")
    if fold.is_trained:
        return fold
    clips = [i for i, clip in enumerate(recordings.clips) if clip.corpus in listened]
    fold.begin({"train": recordings.hash_of(clips)}, provenance.made())
    if options is None or not listened:
        fitting.save(teaching.build(config, data), fold.path)
        return fold
    people = sorted({recordings.clips[i].speaker for i in clips})
    judges = set(np.random.default_rng(seed).permutation(people)[: options.validators])
    each = [u for u in recordings.utterances if recordings.clips[u.clip].corpus in listened]
    judged = [recordings.clips[u.clip].speaker in judges for u in each]
    print(f"{config.name}: teaching, seed {seed}, {fold.name}", flush=True)
    teaching.teach(
        config,
        [u for u, apart in zip(each, judged, strict=True) if not apart],
        [u for u, apart in zip(each, judged, strict=True) if apart],
        seed,
        data,
        fold.path,
        cache,
    )
    return fold
