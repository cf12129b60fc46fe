"""Classifiers that scale by their training part and choose by its speakers."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from training.config import ConfigError

Folds = list[tuple[NDArray[np.int_], NDArray[np.int_]]]
Kind = Literal["mlp", "svm", "k-nn", "random-forest"]

SCORING = "balanced_accuracy"
"""Of choices and curves: the same as the unweighted average recall."""


@dataclass(frozen=True)
class Part:
    """Utterances to learn from."""

    features: Floats
    """float32 `[utterances, size]`."""
    truth: NDArray[np.int_]
    """`[utterances]`."""
    speakers: Sequence[str]
    """`[utterances]`."""


def build(kind: Kind, parameters: Mapping[str, Any], seed: int) -> Any:
    """A pipeline of `scaler` and `model` that has learnt nothing yet.

    Raises:
        ConfigError: there is no such parameter.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    kinds = {
        "mlp": MLPClassifier,
        "svm": SVC,
        "k-nn": KNeighborsClassifier,
        "random-forest": partial(RandomForestClassifier, oob_score=True),
    }
    model = kinds[kind]()
    known = model.get_params()
    if unknown := sorted(set(parameters) - set(known)):
        raise ConfigError(f"{kind}: no parameter {', '.join(unknown)}")
    own = {"random_state": seed} if "random_state" in known else {}
    model.set_params(**own | dict(parameters))
    return Pipeline([("scaler", StandardScaler()), ("model", model)])


def inner_folds(speakers: Sequence[str], count: int) -> Folds:
    """Divisions of a training part in which nobody is on both sides, `(train, test)` each.

    Raises:
        ConfigError: there is only one speaker.
    """
    from sklearn.model_selection import GroupKFold

    present = len(set(speakers))
    if present < 2:
        raise ConfigError("one speaker alone cannot be divided into folds to choose by")
    folds = GroupKFold(min(count, present))
    return list(folds.split(np.zeros(len(speakers)), groups=np.asarray(speakers)))


def search(
    pipeline: Any, grid: Mapping[str, Sequence[Any]], part: Part, folds: int
) -> dict[str, Any]:
    """Try every combination of the grid on folds of the training speakers.

    Returns:
        `results` (parameters, mean and sd of the unweighted average recall over the folds),
        `best` (parameters), `scoring`, `folds`.

    Raises:
        ConfigError: a parameter or its value is none of this model.
    """
    from sklearn.model_selection import GridSearchCV

    if unknown := sorted(set(grid) - set(pipeline["model"].get_params())):
        raise ConfigError(f"grid: no parameter {', '.join(unknown)}")
    inner = inner_folds(part.speakers, folds)
    every = {f"model__{name}": list(values) for name, values in grid.items()}
    with one_line():
        found = GridSearchCV(
            pipeline, every, scoring=SCORING, cv=inner, refit=False, error_score="raise"
        ).fit(part.features, part.truth)
    tried, means, sds = (
        found.cv_results_[key] for key in ("params", "mean_test_score", "std_test_score")
    )
    results = [
        {
            "parameters": {name.removeprefix("model__"): v for name, v in parameters.items()},
            "mean": round(float(mean), 4),
            "sd": round(float(sd) * math.sqrt(len(inner) / (len(inner) - 1)), 4),
        }
        for parameters, mean, sd in zip(tried, means, sds, strict=True)
    ]
    best = results[int(np.argmax(means))]["parameters"]
    return {"scoring": "UAR", "folds": len(inner), "results": results, "best": best}


def fit(pipeline: Any, part: Part, folds: int) -> Any:
    """Learn.

    What has no probabilities of its own (the SVM) gets them by Platt's scaling, fitted to
    what it says of training speakers that it has not learnt from.

    Returns:
        A classifier with `predict_proba`.

    Raises:
        ConfigError: a parameter's value is none of this model.
    """
    from sklearn.calibration import CalibratedClassifierCV

    if not hasattr(pipeline, "predict_proba"):
        inner = inner_folds(part.speakers, folds)
        pipeline = CalibratedClassifierCV(pipeline, cv=inner, ensemble=False)
    with one_line():
        return pipeline.fit(part.features, part.truth)


def probabilities(fitted: Any, features: Floats, labels: int) -> Floats:
    """What a fitted classifier says, float32 `[utterances, labels]`.

    Labels that it has not met get 0.
    """
    said = np.zeros((len(features), labels), np.float32)
    if len(features):
        said[:, fitted.classes_] = fitted.predict_proba(features)
    return said


def out_of_bag(fitted: Any) -> float | None:
    """A forest's accuracy on utterances by the trees that did not learn from them.

    The same speakers are on both sides.
    """
    steps = getattr(fitted, "named_steps", {})
    score = getattr(steps.get("model"), "oob_score_", None)
    return None if score is None else round(float(score), 4)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn scikit-learn's complaints into ConfigError, and keep it quiet otherwise."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # An MLP that used all its epochs was not cut off: how many is a parameter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The smallest sizes of a learning curve are less than a batch.
        warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger")
        # Corpora differ in their emotions, so speakers do too.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        try:
            yield
        except ValueError as error:
            raise ConfigError(" ".join(str(error).split())) from error
