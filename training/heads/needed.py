"""What labels are told by: the few numbers of an encoder's that a smaller network must know best.

What varies most in all that the encoder knows of an utterance is not what tells an emotion.
"""

from collections.abc import Sequence

import numpy as np

from serd.audio import Floats
from training.heads.layers import Scale
from training.heads.solve import Heard, solve
from training.schedules import Head


def needed(heard: Sequence[Heard], scale: Scale, options: Head) -> Floats:
    """Solve last layers on the encoder itself; what they multiply by is what is needed.

    Args:
        heard: utterances by what the encoder knows of them, scaled: all of them, and again those
            of each corpus, as what tells emotions in one does not always in others.
        scale: by which that was scaled.
        options: of the last layers.

    Returns:
        Weights of the numbers before they were scaled, `[size, numbers]`.
    """
    heads = [
        solve(
            each,
            penalty=options.penalty,
            directions=options.directions,
            prior=options.prior,
            seed=1,
        )
        for each in heard
    ]
    logits = [
        weights[:, each.known.any(axis=0)]
        for head, each in zip(heads, heard, strict=True)
        for weights in (head.first[0], head.scores[0])
    ]
    # Logits that all grow alike say the same.
    apart = [x - x.mean(axis=1, keepdims=True) for x in logits]
    found = np.concatenate([*apart, heads[0].voice], axis=1) / scale.deviation[:, None]
    return found.astype(np.float32)
