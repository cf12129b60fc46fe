"""How a system's score changes with a parameter, and with the number of clips."""

from collections.abc import Sequence
from typing import Any

from training.classical.config import Curve
from training.classical.models import SCORING, Part, inner_folds, one_line
from training.config import ConfigError


def validation(pipeline: Any, curve: Curve, part: Part, folds: int) -> dict[str, Any]:
    """Scores by the value of a parameter, over folds of the training speakers.

    Returns:
        `parameter`, `values`, and the unweighted average recalls `train` and `test`,
        `[values][folds]` each.

    Raises:
        ConfigError: the model has no such parameter, or does not take a value.
    """
    from sklearn.model_selection import validation_curve

    if curve.parameter not in pipeline["model"].get_params():
        raise ConfigError(f"curve: no parameter {curve.parameter}")
    with one_line():
        train, test = validation_curve(
            pipeline,
            part.features,
            part.truth,
            param_name=f"model__{curve.parameter}",
            param_range=curve.values,
            cv=inner_folds(part.speakers, folds),
            scoring=SCORING,
            error_score="raise",
        )
    return {
        "parameter": curve.parameter,
        "values": list(curve.values),
        "train": train.round(4).tolist(),
        "test": test.round(4).tolist(),
    }


def learning(
    pipeline: Any, shares: Sequence[float], part: Part, folds: int, seed: int
) -> dict[str, Any]:
    """Scores by the number of training utterances, over folds of the training speakers.

    Returns:
        `sizes`, and the unweighted average recalls `train` and `test`, `[sizes][folds]` each.

    Raises:
        ConfigError: a share leaves too few utterances.
    """
    from sklearn.model_selection import learning_curve

    with one_line():
        sizes, train, test = learning_curve(
            pipeline,
            part.features,
            part.truth,
            train_sizes=list(shares),
            cv=inner_folds(part.speakers, folds),
            scoring=SCORING,
            error_score="raise",
            shuffle=True,
            random_state=seed,
        )
    return {
        "sizes": sizes.tolist(),
        "train": train.round(4).tolist(),
        "test": test.round(4).tolist(),
    }
