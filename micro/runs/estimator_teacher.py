"""A teacher made of scikit-learn's estimators, with or without a network: the mean of what they give.

A forest knows its own training windows by heart, and would teach their labels. For training windows it gives what estimators
say that were fitted on other folds of them (stacking: Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_kd import Supplied
from micro.config import NETWORK, Config
from micro.datasets.pieces import evenly_spaced
from micro.datasets.prepared import Prepared
from micro.datasets.window_parts import Windows
from micro.errors import DataError
from micro.runs.detectors import names_of
from micro.runs.estimators import LEAST_PROBABILITY, Predictor, fit_estimator, require_estimators
from micro.runs.evaluate import keras_logits
from micro.runs.recorded_teacher import RecordedTeacher
from micro.runs.score_teacher import fitting_sets, folds_of, near_of

# Windows that estimators are tried on before a run begins.
TRIED = 400


@dataclass(frozen=True)
class EstimatorTeacher:
    """Fitted estimators, and what a student learns of them.

    Attributes:
        members: What each gives for windows as the teacher sees them, by name: (n, *shape) -> (n, outputs), logits or
            standardized numbers.
        combined: The same of all together.
        recorded: What they give for the windows that a student learns from.
        model: The network among them; None where there is none.
    """

    members: Mapping[str, Predictor]
    combined: Predictor
    recorded: RecordedTeacher
    model: keras.Model | None


def known_estimators(outputs: int | None) -> Supplied:
    """What a Distiller knows of such a teacher: logits or standardized numbers, which come with the batches."""
    assert outputs is not None
    return Supplied({"outputs": (outputs,)}, {"outputs": "linear"})


def check_estimators(config: Config, data: Prepared) -> None:
    """Make every estimator of a config and try it on some training windows, before a run begins.

    Raises:
        DataError: For an estimator that cannot be made or fitted.
    """
    require_estimators(config.teacher.estimators, config.task)
    windows = data.of_teacher.train
    rows = evenly_spaced(len(windows), TRIED)
    if data.class_names:
        # A class that lies in few windows would not be among them.
        first = [np.flatnonzero(windows.labels == label)[0] for label in np.unique(windows.labels)]
        rows = np.union1d(rows, first)
    x, y = _rows(windows.x[rows]), _targets(data, windows)[rows]
    assert data.outputs is not None
    for each in config.teacher.estimators:
        if each != NETWORK:
            fit_estimator(each, config.task, x, y, data.outputs, config.seed)(x[:2])


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
    seen = data.of_teacher
    task, estimators = config.task, config.teacher.estimators
    classes = bool(data.class_names)
    x, y = _rows(seen.train.x), _targets(data, seen.train)
    sets = fitting_sets(data.train, _folds(data.train, classes), near_of(data))
    assert data.outputs is not None
    members: dict[str, Predictor] = {}
    unseen = []
    for each, name in zip(estimators, names_of(estimators)):
        if each == NETWORK:
            assert network is not None
            members[name] = _network(network, classes)
            unseen.append(members[name](seen.train.x))
            continue
        begin(name)
        held_out = np.empty((len(x), data.outputs))
        for mine, others in sets:
            held_out[mine] = fit_estimator(each, task, x[others], y[others], data.outputs, seed)(x[mine])
        unseen.append(held_out)
        members[name] = _of_windows(fit_estimator(each, task, x, y, data.outputs, seed))

    def combined(windows: np.ndarray) -> np.ndarray:
        return _as_outputs(np.mean([member(windows) for member in members.values()], axis=0), classes)

    outputs = _as_outputs(np.mean(unseen, axis=0), classes)
    if data.unlabeled is not None:
        outputs = np.concatenate([outputs, combined(data.unlabeled.as_teacher.x)])
    recorded = RecordedTeacher(
        known_estimators(data.outputs), outputs.astype(np.float32), combined(seen.validation.x).astype(np.float32)
    )
    judged = {name: _alone(member, classes) for name, member in members.items()}
    return EstimatorTeacher(judged, combined, recorded, network)


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


def _targets(data: Prepared, windows: Windows) -> np.ndarray:
    """Classes, (n,), or standardized numbers, (n, targets)."""
    return windows.labels if data.target is None else data.target.standardized(windows.labels)


def _folds(windows: Windows, classes: bool) -> np.ndarray:
    """Which fold each window is in, (n,): those of each class are divided by themselves, so that every class is in all.

    Raises:
        DataError: For too few windows.
    """
    if not classes:
        return _require_some(folds_of(windows))
    folds = np.zeros(len(windows), int)
    for label in np.unique(windows.labels):
        mine = np.flatnonzero(windows.labels == label)
        folds[mine] = folds_of(windows.at(mine))
    return _require_some(folds)


def _require_some(folds: np.ndarray) -> np.ndarray:
    if len(np.unique(folds)) < 2:
        raise DataError("teacher.estimators need training windows in two recordings, or five in one after another")
    return folds


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)
