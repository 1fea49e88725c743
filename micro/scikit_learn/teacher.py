"""Any detector of anomalies as the teacher of a student: its scores of healthy rows and of synthetic ones around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro.detection.threshold import reconstruction_error
from micro.runs.detectors import TINY, Scorer
from micro.runs.synthetic_windows import synthesized
from micro.signal import Scaling

# A teacher that is fitted here scores each healthy row by a copy that was fitted without it.
FOLDS = 5


@dataclass(frozen=True)
class Lesson:
    """What a student learns of a teacher: scaled rows, (n, features) float32, and the score of each, (n, 1) float32."""

    x: np.ndarray
    scores: np.ndarray


def lesson_of(
    teacher: Any, scaled: np.ndarray, scaling: Scaling, groups: np.ndarray | None, count: int, seed: int
) -> Lesson:
    """The healthy rows and about `count` synthetic ones with their scores, standardized by those of the healthy ones.

    Args:
        teacher: A detector of scikit-learn or PyOD, or a Keras model; one that is fitted judges as it is, another is fitted.
        scaled: Healthy rows of features, scaled, (n, features).
        scaling: Of `scaled`; the teacher judges rows in their own units.
        groups: Rows of one group, (n,), are not divided between what a copy is fitted on and what it scores.
        count: Synthetic rows.
        seed: Of folds and synthetic rows.

    Raises:
        ValueError: For a teacher that is no detector, and for scores that tell nothing.
    """
    # Imports TensorFlow, for which those who load a detector need not wait.
    from micro.runs.score_teacher import Member, targets_of_scores

    rows = unscaled(scaled, scaling)
    if is_fitted(teacher):
        score = _scorer(teacher)
        healthy = _checked(score(rows), rows, teacher)
    else:
        healthy = np.empty(len(rows))
        for mine, others in _folds(len(rows), groups, seed):
            healthy[mine] = _checked(_scorer(fitted(teacher, rows[others]))(rows[mine]), rows[mine], teacher)
        score = _scorer(fitted(teacher, rows))
    mean, deviation = float(healthy.mean()), float(healthy.std())
    if not deviation > 1e-6 * max(1.0, abs(mean)):
        raise ValueError(
            f"teacher: {name_of(teacher)} gives all {len(rows)} healthy rows the same score, {mean:.4g}: there is nothing to "
            "learn from it"
        )
    member = Member(score, mean, deviation)
    made = synthesized(scaled, count, seed)
    scores = _checked(score(unscaled(made, scaling)), made, teacher)
    standardized = np.concatenate([member.standardized(healthy), member.standardized(scores)])
    return Lesson(np.concatenate([scaled, made]), targets_of_scores(standardized[:, None], "mean"))


def unscaled(scaled: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Rows of scaled features in their own units, (n, features) float64."""
    repeats = scaled.shape[1] // len(scaling.centre)
    return scaled * np.tile(scaling.spread, repeats) + np.tile(scaling.centre, repeats)


def require_teacher(teacher: Any) -> None:
    """ValueError for what gives no score of anomaly."""
    if teacher is not None and not (is_keras(teacher) or _method(_last(teacher)) is not None):
        raise ValueError(
            "teacher must be a detector of scikit-learn or PyOD, with decision_function or score_samples, or a Keras model, "
            f"got {name_of(teacher)}"
        )


def _folds(count: int, groups: np.ndarray | None, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of each fold, and those of the others."""
    order = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    different = int(order.max()) + 1
    if different < 2:
        raise ValueError(f"teacher: at least two {'rows' if groups is None else 'groups'} are needed to fit it on")
    fold_of = np.random.default_rng([seed, 11]).permutation(different) % min(FOLDS, different)
    folds = fold_of[order]
    for fold in range(min(FOLDS, different)):
        yield folds == fold, folds != fold


def fitted(teacher: Any, *data: np.ndarray) -> Any:
    """A copy of a teacher that is fitted on rows, and of a classifier their classes; the teacher itself stays as it is."""
    from sklearn.base import clone

    return clone(teacher).fit(*data)


def is_fitted(teacher: Any) -> bool:
    """Whether a teacher can judge as it is."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if is_keras(teacher) or not hasattr(teacher, "fit"):
        return True
    try:
        check_is_fitted(teacher)
    except NotFittedError:
        return False
    return True


def _scorer(teacher: Any) -> Scorer:
    """A fitted teacher's scores, the higher the more anomalous."""
    if is_keras(teacher):
        return lambda rows: _keras_scores(teacher, rows)
    # PyOD's scores grow with anomaly, scikit-learn's with normality.
    sign = 1.0 if type(_last(teacher)).__module__.startswith("pyod.") else -1.0
    method = getattr(teacher, _method(_last(teacher)) or "decision_function")
    return lambda rows: sign * np.asarray(method(rows), np.float64)


def _keras_scores(model: Any, rows: np.ndarray) -> np.ndarray:
    """The logarithm of an autoencoder's reconstruction error, or the one number that another model gives."""
    shape = tuple(model.input_shape[1:])
    found = np.asarray(model.predict(rows.astype(np.float32).reshape(-1, *shape), batch_size=1024, verbose=0))
    found = found.reshape(len(rows), -1)
    if found.shape[1] == rows.shape[1]:
        return np.asarray(np.log(reconstruction_error(rows, found) + TINY))
    if found.shape[1] != 1:
        raise ValueError(
            f"teacher: model {model.name!r} gives {found.shape[1]} numbers a row; it must give one score, or reconstruct the "
            f"{rows.shape[1]} features"
        )
    return found[:, 0].astype(np.float64)


def _checked(scores: np.ndarray, rows: np.ndarray, teacher: Any) -> np.ndarray:
    if scores.shape != (len(rows),):
        raise ValueError(f"teacher: {name_of(teacher)} gives scores of shape {scores.shape} for {len(rows)} rows")
    if not np.isfinite(scores).all():
        raise ValueError(f"teacher: {name_of(teacher)} gives scores that are not finite")
    return scores


def is_keras(teacher: Any) -> bool:
    """Whether it is a Keras model, without importing Keras for what is none."""
    return any(base.__module__.startswith("keras.") and base.__name__ == "Model" for base in type(teacher).__mro__)


def _last(teacher: Any) -> Any:
    """What gives the scores: of a pipeline its last step, of a frozen estimator that estimator."""
    if hasattr(teacher, "steps"):
        return _last(teacher.steps[-1][1])
    return _last(teacher.estimator) if type(teacher).__name__ == "FrozenEstimator" else teacher


def _method(teacher: Any) -> str | None:
    """The method whose scores are taken."""
    return next((name for name in ("decision_function", "score_samples") if hasattr(teacher, name)), None)


def name_of(teacher: Any) -> str:
    """What messages call it."""
    return type(teacher).__name__
