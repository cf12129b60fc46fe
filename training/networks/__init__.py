"""Networks, one a file, in backend-neutral Keras 3.

Each has `embed(shapes, …)`: from the shapes of its inputs to the inputs themselves and
one vector that sums up the utterance. What makes it a classifier is the same for all.
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
"""Of one example, by input: `[frames, size]`, or `[size]` of statistics."""
Inputs = dict[str, Any]
"""Keras' tensors by name."""


class NetworkError(Exception):
    """A network that cannot be built as asked for; one line."""


def embed(shapes: Shapes, kind: str, **options: Any) -> tuple[dict[str, Any], Any]:
    """The inputs and the embedding of the network in the file `kind`; raises NetworkError."""
    try:
        own = importlib.import_module(f"training.networks.{kind}").embed
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != f"training.networks.{kind}":
            raise  # Keras is missing
        raise NetworkError(f"[network] {kind}: no such network") from error
    known = list(inspect.signature(own).parameters)[1:]
    if unknown := sorted(set(options) - set(known)):
        said = f"no {unknown[0]} here; it takes {', '.join(known)}" if known else "takes no options"
        raise NetworkError(f"[network] {kind}: {said}")
    try:
        return own(shapes, **options)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"[network] {kind}: {' '.join(str(error).split())}") from error


def build(shapes: Shapes, n_labels: int, kind: str, **options: Any) -> Any:
    """An untrained network.

    Args:
        shapes: of its inputs. Those with frames get a second input `NAME_mask`,
            `[frames]`: 1 where a frame is real, 0 where it only fills up the window.
        n_labels: classes.
        kind: a file of this folder.
        options: of its `embed`.

    Returns:
        A `keras.Model` from `{name: [b, …]}` to `{"scores": [b, n_labels]}`, logits.

    Raises:
        NetworkError: there is no such network, or it does not take these inputs or options.
    """
    import keras

    inputs, embedding = embed(shapes, kind, **options)
    scores = keras.layers.Dense(n_labels, name="scores")(embedding)
    return keras.Model(inputs, {"scores": scores}, name=kind)


def load(file: Path) -> Any:
    """The `keras.Model` in a file; Keras raises OSError, ValueError or BadZipFile."""
    import keras

    import training.networks.denoiser  # they have layers of their own
    import training.networks.whisper  # noqa: F401

    return keras.models.load_model(file, compile=False)


def only(shapes: Shapes, dimensions: int) -> tuple[str, tuple[int, ...]]:
    """The name and shape of the single input of a network; raises NetworkError."""
    if len(shapes) != 1:
        raise NetworkError(f"takes one input, not {len(shapes)}")
    ((name, shape),) = shapes.items()
    if len(shape) != dimensions:
        wanted = "statistics" if dimensions == 1 else "frames"
        raise NetworkError(f"input {name}: takes {wanted}")
    return name, shape
