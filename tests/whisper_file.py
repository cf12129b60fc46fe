"""An encoder as Whisper's, but tiny and of chance."""

import numpy as np

from serd.audio import Floats

WIDTH, MELS, LAYERS, STEPS = 12, 80, 2, 200


def arrays() -> dict[str, Floats]:
    """By the names of `whisper_weights.read`; exact in float16."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (WIDTH, MELS, 3),
        "conv1.bias": (WIDTH,),
        "conv2.weight": (WIDTH, WIDTH, 3),
        "conv2.bias": (WIDTH,),
        "position_encodings.encodings": (STEPS, WIDTH),
    }
    for number in range(LAYERS):
        for part, inner, outer in (
            ("self_attention.linear_0", WIDTH, 3 * WIDTH),
            ("self_attention.linear_1", WIDTH, WIDTH),
            ("ffn.linear_0", WIDTH, 4 * WIDTH),
            ("ffn.linear_1", 4 * WIDTH, WIDTH),
        ):
            shapes[f"layer_{number}.{part}.weight"] = (outer, inner)
            shapes[f"layer_{number}.{part}.bias"] = (outer,)
        for part in ("self_attention", "ffn"):
            shapes[f"layer_{number}.{part}.layer_norm.gamma"] = (WIDTH,)
            shapes[f"layer_{number}.{part}.layer_norm.beta"] = (WIDTH,)
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(0, 0.3, shape).astype(np.float16).astype(np.float32)
        for name, shape in shapes.items()
    }
