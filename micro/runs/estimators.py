"""Estimators of scikit-learn that are too large for a chip: classifiers and regressors by their class, fitted on windows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from micro.config import NETWORK, Task
from micro.config.complaints import did_you_mean
from micro.errors import DataError
from micro.runs.libraries import class_of, imported, said_of, seeded

# Of the config, before what goes wrong with them.
KEY = "teacher.estimators"
# Windows, (n, features) -> probabilities of the classes, (n, classes), or standardized numbers, (n, targets).
Predictor = Callable[[np.ndarray], np.ndarray]
# A probability below which an estimator that saw few examples tells nothing: some give exactly 0.
LEAST_PROBABILITY = 1e-4


def fit_estimator(
    estimator: str | Mapping[str, Any],
    task: Task,
    x: np.ndarray,
    y: np.ndarray,
    outputs: int,
    seed: int,
    weights: np.ndarray | None = None,
) -> Predictor:
    """An estimator fitted on windows, whose predictions are checked.

    Args:
        estimator: A class of scikit-learn by its path, alone or as `class` of a table with its arguments.
        task: 'classification' or 'regression'.
        x: (n, features) float64.
        y: Classes, (n,) int, or standardized numbers, (n, targets).
        outputs: How many classes or targets there are; a class that no window is of gets probability 0.
        seed: Of what draws at random.
        weights: How much each window counts, (n,); None where all count the same.

    Raises:
        DataError: For a class that is not there, is no estimator of the task, or cannot be fitted; its predictor for values
            that are not finite.
    """
    path, arguments = class_of(estimator)
    made = _made(path, arguments, task, seed)
    with said_of(path, KEY):
        if task == "regression":
            return _checked(_numbers(made, x, y), path, outputs)
        made.fit(x, y, **({} if weights is None else {"sample_weight": weights}))
        return _checked(_probabilities(made, outputs), path, outputs)


def require_estimators(estimators: Sequence[str | Mapping[str, Any]], task: Task, *, weighted: bool = False) -> None:
    """DataError for a class that is not there, is no estimator of the task or does not take its arguments, or weights where
    windows are weighted."""
    from sklearn.utils.validation import has_fit_parameter

    for each in estimators:
        if each == NETWORK:
            continue
        path, arguments = class_of(each)
        made = _made(path, arguments, task, 0)
        if weighted and not has_fit_parameter(made, "sample_weight"):
            raise DataError(
                f"teacher.estimators: {path} takes no weights of windows, and class_weights is 'balanced'; take another class, "
                "or leave class_weights out"
            )


def _probabilities(made: Any, outputs: int) -> Predictor:
    """A fitted classifier's probabilities, 0 for classes that it was not fitted on."""
    places = np.asarray(made.classes_, int)

    def predict(rows: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(rows), outputs))
        probabilities[:, places] = made.predict_proba(rows)
        return probabilities

    return predict


def _numbers(made: Any, x: np.ndarray, y: np.ndarray) -> Predictor:
    """A regressor fitted on numbers; one that takes a single number is fitted for each."""
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.utils import get_tags

    several = y.shape[1] > 1
    if several and not get_tags(made).target_tags.multi_output:
        made = MultiOutputRegressor(made)
    made.fit(x, y if several else y[:, 0])
    return lambda rows: np.asarray(made.predict(rows), np.float64).reshape(len(rows), -1)


def _checked(predict: Predictor, path: str, outputs: int) -> Predictor:
    """Predictions, with DataError for those that are not a finite number for each window and output."""

    def checked(rows: np.ndarray) -> np.ndarray:
        with said_of(path, KEY):
            values = predict(rows)
        if values.shape != (len(rows), outputs):
            raise DataError(
                f"teacher.estimators: {path} gives {values.shape} for {len(rows)} windows, not {outputs} values each"
            )
        if not np.isfinite(values).all():
            raise DataError(f"teacher.estimators: {path} gives values that are not finite; leave it out")
        return values

    return checked


def _made(path: str, arguments: Mapping[str, Any], task: Task, seed: int) -> Any:
    """An object of a class of estimators, with the seed where it takes one and none is given."""
    from sklearn.base import is_classifier, is_regressor

    kind = imported(path, KEY)
    if not (isinstance(kind, type) and hasattr(kind, "fit")):
        raise DataError(f"teacher.estimators: {path} is no estimator with fit")
    known = list(inspect.signature(kind).parameters)
    unknown = next((each for each in arguments if each not in known and "kwargs" not in known), None)
    if unknown is not None:
        raise DataError(f"teacher.estimators: {path} takes no {unknown!r}{did_you_mean(unknown, known)}")
    with said_of(path, KEY):
        made = seeded(kind, arguments, seed)
        fits = is_classifier(made) if task == "classification" else is_regressor(made)
    wanted = "classifier" if task == "classification" else "regressor"
    if not fits:
        raise DataError(f"teacher.estimators: {path} is no {wanted}, and task is {task!r}")
    if task == "classification" and not hasattr(made, "predict_proba"):
        more = "; with probability = true it has" if "probability" in made.get_params() else "; take another class"
        raise DataError(f"teacher.estimators: {path} gives no probabilities (predict_proba){more}")
    return made
