"""A teacher made of scikit-learn's estimators, with or without a network: the mean of what they give.

A forest knows its own training windows by heart, and would teach their labels. For training windows it gives what estimators
say that were fitted on other folds of them (stacking: Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_kd import Supplied
from micro.config import NETWORK, Config
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced
from micro.datasets.window_parts import Windows
from micro.errors import DataError
from micro.runs.detectors import names_of
from micro.runs.estimators import LEAST_PROBABILITY, Predictor, fit_estimator, require_estimators
from micro.runs.evaluate import keras_logits
from micro.runs.held_out import held_out_sets
from micro.runs.recorded_teacher import RecordedTeacher
from micro.runs.score_teacher import near_of

# Windows that estimators are tried on before a run begins, and of each class at least.
TRIED, OF_EACH = 400, 40


@dataclass(frozen=True)
class EstimatorTeacher:
    """Fitted estimators, and what a student learns of them.

    Attributes:
        members: What each gives for windows as the teacher sees them, by name: (n, *shape) -> (n, outputs), logits or
            standardized numbers.
        combined: The same of all together.
        recorded: What they give for the windows that a student learns from.
    """

    members: Mapping[str, Predictor]
    combined: Predictor
    recorded: RecordedTeacher


def known_estimators(outputs: int | None) -> Supplied:
    """What a Distiller knows of such a teacher: logits or standardized numbers, which come with the batches."""
    assert outputs is not None
    return Supplied({"outputs": (outputs,)}, {"outputs": "linear"})


def check_estimators(config: Config, data: Prepared) -> None:
    """Make every estimator of a config and try it on some training windows, before a run begins.

    Raises:
        DataError: For an estimator that cannot be made or fitted, and for windows that cannot be divided.
    """
    require_estimators(config.teacher.estimators, config.task, weighted=bool(data.class_weights))
    sets = _sets(data)
    windows = data.of_teacher.train
    for each in config.teacher.estimators:
        if each == NETWORK:
            continue
        try:
            _fitted(each, config, data, windows, _some(windows), config.seed)
        except DataError:
            # Some need more examples than were tried: the fewest that it will be fitted on decide.
            _fitted(
                each, config, data, windows, min((np.flatnonzero(others) for _, others in sets), key=len), config.seed
            )


def _some(windows: Windows) -> np.ndarray:
    """Rows of windows to try an estimator on: some of every class, evenly spaced."""
    if windows.labels.ndim > 1 or not np.issubdtype(windows.labels.dtype, np.integer):
        return evenly_spaced(len(windows), TRIED)
    kinds = [np.flatnonzero(windows.labels == label) for label in np.unique(windows.labels)]
    count = max(OF_EACH, TRIED // len(kinds))
    return np.sort(np.concatenate([rows[evenly_spaced(len(rows), count)] for rows in kinds]))


def _fitted(
    estimator: str | Mapping[str, Any], config: Config, data: Prepared, windows: Windows, rows: np.ndarray, seed: int
) -> Predictor:
    """An estimator fitted on some of the windows as the teacher sees them, (n, features) -> (n, outputs)."""
    assert data.outputs is not None
    y = windows.labels[rows] if data.target is None else data.target.standardized(windows.labels[rows])
    weights = np.array(data.class_weights)[windows.labels[rows]] if data.class_weights else None
    return fit_estimator(estimator, config.task, _rows(windows.x[rows]), y, data.outputs, seed, weights)


def _sets(data: Prepared) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of the training windows: those of each, and those that its estimators are fitted on."""
    kinds = data.train.labels if data.class_names else np.zeros(len(data.train), int)
    return held_out_sets(data.train, kinds, data.class_names, data.related, near_of(data))


def fit_estimator_teacher(
    config: Config, data: Prepared, seed: int, network: keras.Model | None, begin: Callable[[str], None]
) -> EstimatorTeacher:
    """The estimators of a config fitted on the training windows, with what a student learns of them.

    Args:
        network: The one of section [teacher], where it is among them.
        begin: Called with the name of each estimator before it is fitted.

    Raises:
        DataError: For an estimator that cannot be fitted.
    """
    seen, estimators = data.of_teacher, config.teacher.estimators
    classes, windows, sets = bool(data.class_names), data.of_teacher.train, _sets(data)
    assert data.outputs is not None
    members: dict[str, Predictor] = {}
    unseen = []
    for each, name in zip(estimators, names_of(estimators)):
        if each == NETWORK:
            assert network is not None
            members[name] = _network(network, classes)
            unseen.append(members[name](windows.x))
            continue
        begin(name)
        held_out = np.empty((len(windows), data.outputs))
        for mine, others in sets:
            predict = _fitted(each, config, data, windows, np.flatnonzero(others), seed)
            held_out[mine] = predict(_rows(windows.x[mine]))
        unseen.append(held_out)
        members[name] = _of_windows(_fitted(each, config, data, windows, np.arange(len(windows)), seed))

    def combined(windows: np.ndarray) -> np.ndarray:
        return _as_outputs(np.mean([member(windows) for member in members.values()], axis=0), classes)

    outputs = _as_outputs(np.mean(unseen, axis=0), classes)
    if data.unlabeled is not None:
        outputs = np.concatenate([outputs, combined(data.unlabeled.as_teacher.x)])
    recorded = RecordedTeacher(
        known_estimators(data.outputs), outputs.astype(np.float32), combined(seen.validation.x).astype(np.float32)
    )
    judged = {name: _alone(member, classes) for name, member in members.items()}
    return EstimatorTeacher(judged, combined, recorded)


def _alone(member: Predictor, classes: bool) -> Predictor:
    return lambda windows: _as_outputs(member(windows), classes)


def _as_outputs(values: np.ndarray, classes: bool) -> np.ndarray:
    """Mean probabilities as logits, numbers as they are."""
    return np.log(np.maximum(values, LEAST_PROBABILITY)) if classes else values


def _network(model: keras.Model, classes: bool) -> Predictor:
    """What the network gives as estimators do: probabilities, or standardized numbers."""
    from scipy.special import softmax

    def predict(windows: np.ndarray) -> np.ndarray:
        if classes:
            return np.asarray(softmax(keras_logits(model, windows).astype(np.float64), axis=-1))
        return np.asarray(model.predict(windows, batch_size=1024, verbose=0), np.float64)

    return predict


def _of_windows(predict: Predictor) -> Predictor:
    return lambda windows: predict(_rows(windows))


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)
