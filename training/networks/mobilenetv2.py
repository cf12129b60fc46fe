"""MobileNetV2 that looks at spectrograms, from weights that know photographs.

Reference:
    Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018.
"""

from pathlib import Path

import keras
from keras import layers

from training.networks import NetworkError, Shapes, framed, only

STRIDE = 32
SIDE = 160
_MOMENTUM = 0.9
"""Of batch statistics: with Keras' 0.999, after the few hundred steps of a tuning they would still
be those of photographs, while training has long gone by those of spectrograms."""


def embed(
    shapes: Shapes,
    weights: str = "imagenet",
    until: str = "out_relu",
    dropout: float = 0.3,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[160, 160]` in about -1…1, as log-mels in Whisper's scale.
        weights: a Keras weights file of MobileNetV2 without its top; `imagenet`: Keras' own,
            from its cache or fetched; `none`: from scratch.
        until: the layer whose output is taken.
        dropout: of the embedding, 0…1.

    Raises:
        NetworkError: the weights cannot be had or do not fit.
    """
    name, (frames, size) = only(shapes, 2)
    if (frames, size) != (SIDE, SIDE):
        raise ValueError(f"looks at {SIDE} × {SIDE}, not {frames} × {size}")
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = layers.Reshape((frames, size, 1))(framed.silenced(features, mask, scale=False))
    base = _base(weights)
    base = keras.Model(base.input, base.get_layer(until).output, name="mobilenetv2_base")
    x = base(layers.Concatenate()([x, x, x]))
    x = layers.AveragePooling2D((1, SIDE // STRIDE))(x)
    x = layers.Reshape((frames // STRIDE, -1))(x)
    pooled = framed.attend(x, framed.strided(mask, STRIDE), 1)
    return inputs, layers.Dropout(dropout)(pooled)


def _base(weights: str) -> keras.Model:
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise NetworkError(f"no weights file {weights}: name one with --weights")
    named = weights if weights == "imagenet" else None
    try:
        base = keras.applications.MobileNetV2(
            input_shape=(SIDE, SIDE, 3), include_top=False, weights=named
        )
        if weights not in ("imagenet", "none"):
            base.load_weights(weights)
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = _MOMENTUM
    except Exception as error:  # a download or a file can fail in many ways
        reason = " ".join(str(error).split())[:200]
        raise NetworkError(
            f"weights {weights} cannot be had ({reason}); name a file with --weights FILE,"
            " or train from scratch with --weights none"
        ) from error
    return base
