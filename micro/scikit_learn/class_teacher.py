"""Any classifier as the teacher of a student: the probabilities that it gives the classes of each row."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from micro.scikit_learn.teacher import FOLDS, fitted, is_fitted, is_keras, name_of


def require_classifier(teacher: Any) -> None:
    """ValueError for what gives no probabilities of classes."""
    if teacher is not None and not (is_keras(teacher) or hasattr(teacher, "predict_proba")):
        raise ValueError(
            "teacher must be a classifier of scikit-learn with predict_proba (of an SVC set probability=True), or a Keras "
            f"model, got {name_of(teacher)}"
        )


def probabilities_of(
    teacher: Any, rows: np.ndarray, y: np.ndarray, classes: np.ndarray, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """What a teacher thinks of each row, (n, classes) float32, each row's sum 1.

    Args:
        teacher: A classifier of scikit-learn or a Keras model; one that is fitted judges as it is, another is fitted, in folds
            so that no row is judged by what has seen it.
        rows: Of features in their own units, (n, features).
        y: The class of each, (n,).
        classes: All of them, in the order of the result's columns.
        groups: Rows of one group, (n,), are not divided between what a copy is fitted on and what it judges.
        seed: Of the folds.

    Raises:
        ValueError: For a teacher of other classes, or probabilities that are none.
    """
    if is_keras(teacher):
        found = _of_keras(teacher, rows, classes)
    elif is_fitted(teacher):
        found = _in_order(teacher, rows, classes)
    else:
        found = np.empty((len(rows), len(classes)))
        for others, mine in _folds(y, groups, seed):
            found[mine] = _in_order(fitted(teacher, rows[others], y[others]), rows[mine], classes)
    sums = found.sum(axis=1, keepdims=True)
    if not np.isfinite(found).all() or found.min() < 0 or sums.min() <= 0:
        raise ValueError(f"teacher: {name_of(teacher)} gives probabilities that are negative or not finite")
    return np.asarray(found / sums, np.float32)


def _folds(y: np.ndarray, groups: np.ndarray | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to judge, of each fold; all of both where a class has too little to be divided."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = min(
        int((y == each).sum()) if groups is None else len(np.unique(groups[y == each])) for each in np.unique(y)
    )
    if units < 2:
        everything = np.arange(len(y))
        return [(everything, everything)]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # of classes that one fold lacks, which get a probability of 0 there
        return list(kind(min(FOLDS, units), shuffle=True, random_state=seed % 2**32).split(y, y, groups))


def _in_order(teacher: Any, rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A fitted classifier's probabilities in the order of `classes`; 0 of a class that its fold did not have."""
    given = np.asarray(teacher.predict_proba(rows), np.float64)
    known = np.asarray(teacher.classes_)
    strange = [each for each in known.tolist() if each not in set(classes.tolist())]
    if strange or given.shape != (len(rows), len(known)):
        raise ValueError(
            f"teacher: {name_of(teacher)} tells {known.tolist()} apart, and y holds {classes.tolist()}: fit it on the same"
        )
    found = np.zeros((len(rows), len(classes)))
    found[:, np.searchsorted(classes, known)] = given
    return found


def _of_keras(model: Any, rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A Keras model's outputs as probabilities: of logits their softmax, of one sigmoid both classes."""
    from keras_kd.layers import activation_of

    shape = tuple(model.input_shape[1:])
    given = np.asarray(
        model.predict(rows.astype(np.float32).reshape(-1, *shape), batch_size=1024, verbose=0), np.float64
    )
    given = given.reshape(len(rows), -1)
    activation = activation_of(model)
    if given.shape[1] == 1 and len(classes) == 2:
        second = given if activation == "sigmoid" else 1 / (1 + np.exp(-given))
        return np.concatenate([1 - second, second], axis=1)
    if given.shape[1] != len(classes):
        raise ValueError(
            f"teacher: model {model.name!r} gives {given.shape[1]} numbers a row, and y has {len(classes)} classes"
        )
    return given if activation in ("softmax", "sigmoid") else softmax(given)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, (n, classes) -> the same float64."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
