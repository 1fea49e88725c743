"""Detectors that are too large for a chip, each fitted on healthy windows: a score, the higher the less a window is like them.

Distances, errors and statistics are taken as logarithms. The isolation forest and the one-class SVM tell windows apart near
healthy ones alone: far away both give one score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro.errors import DataError
from micro.runs.libraries import class_of, imported, said_of, seeded

# Of the config, before what goes wrong with them.
KEY = "teacher.detectors"
# Windows, (m, features) -> their scores, (m,).
Scorer = Callable[[np.ndarray], np.ndarray]
# Healthy windows, (n, features), and a seed -> the scorer fitted on them.
Fit = Callable[[np.ndarray, int], Scorer]
# Neighbors whose distances are averaged; those of the local outlier factor, as its authors advise.
NEIGHBORS, LOCAL_NEIGHBORS = 5, 20
# Of the variance of healthy windows, what principal components keep.
KEPT_VARIANCE = 0.9
# Added before a logarithm, to what features with a variance of 1 give: above what rounding leaves of an exact fit.
TINY = 1e-9
# Above this many features a mixture's components have no covariances of their own.
MOST_COVARIANCES = 200


def fitted(detector: str | Mapping[str, Any], x: np.ndarray, seed: int) -> Scorer:
    """A detector fitted on healthy windows, whose scores are checked.

    Args:
        detector: A word of `DETECTORS`, or a class of scikit-learn or PyOD by its path, alone or as `class` of a table with its
            arguments.
        x: (n, features) float64.
        seed: Of what draws at random.

    Raises:
        DataError: For a class that is not there, is no detector, or cannot be fitted; its scorer for scores that are not one
            finite number a window.
    """
    (name,) = names_of([detector])
    if isinstance(detector, str) and detector in DETECTORS:
        return _checked(DETECTORS[detector](x, seed), name)
    path, arguments = class_of(detector)
    made = _made(path, arguments, seed)
    with said_of(name, KEY):
        made.fit(x)
    # PyOD's scores grow with anomaly, scikit-learn's with normality.
    sign = 1.0 if path.startswith("pyod.") else -1.0
    score = _checked(lambda rows: sign * np.asarray(made.decision_function(rows), np.float64), name)
    score(x[:2])  # some classes say only now that they cannot
    return score


def require_detectors(detectors: Sequence[str | Mapping[str, Any]]) -> None:
    """DataError for a class that is not there, is no detector or does not take its arguments."""
    for each in detectors:
        if isinstance(each, dict) or each not in {*DETECTORS, "autoencoder"}:
            path, arguments = class_of(each)
            _made(path, arguments, 0)


def names_of(detectors: Sequence[str | Mapping[str, Any]]) -> list[str]:
    """What a report calls detectors: their words, or the names of their classes, numbered where one comes again."""
    names = [(each if isinstance(each, str) else str(each["class"])).rpartition(".")[2] for each in detectors]
    numbers = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [name if number == 1 else f"{name} {number}" for name, number in zip(names, numbers)]


def _checked(score: Scorer, name: str) -> Scorer:
    """A detector's scores, with DataError for those that are not one finite number a window."""

    def checked(rows: np.ndarray) -> np.ndarray:
        with said_of(name, KEY):
            scores = np.asarray(score(rows), np.float64)
        if scores.shape != (len(rows),):
            raise DataError(f"teacher.detectors: {name} gives scores of shape {scores.shape} for {len(rows)} windows")
        if not np.isfinite(scores).all():
            raise DataError(f"teacher.detectors: {name} gives scores that are not finite; leave it out")
        return scores

    return checked


def _made(path: str, arguments: Mapping[str, Any], seed: int) -> Any:
    """An object of a class of detectors, with the seed where it takes one and none is given."""
    kind = imported(path, KEY)
    if not (isinstance(kind, type) and _detects(kind)):
        raise DataError(f"teacher.detectors: {path} is no detector of outliers with fit and decision_function")
    with said_of(path, KEY):
        return seeded(kind, arguments, seed)


def _detects(kind: type) -> bool:
    """Whether a class detects outliers: what classifies has a decision_function too."""
    from sklearn.base import OutlierMixin

    bases = {f"{base.__module__}.{base.__name__}" for base in kind.__mro__}
    return hasattr(kind, "decision_function") and (
        issubclass(kind, OutlierMixin) or "pyod.models.base.BaseDetector" in bases
    )


def _neighbors(x: np.ndarray, seed: int) -> Scorer:
    """Mean distance to the nearest healthy windows."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(x))).fit(x)
    return lambda rows: np.log(index.kneighbors(rows)[0].mean(axis=1) + TINY)


def _local_outlier_factor(x: np.ndarray, seed: int) -> Scorer:
    """How much thinner healthy windows lie around one than around its neighbors (Breunig et al. 2000)."""
    from sklearn.neighbors import LocalOutlierFactor

    made = LocalOutlierFactor(n_neighbors=min(LOCAL_NEIGHBORS, len(x) - 1), novelty=True).fit(x)
    return lambda rows: np.log(np.maximum(-made.score_samples(rows), TINY))


def _gaussian_mixture(x: np.ndarray, seed: int) -> Scorer:
    """The likelihood under a mixture of normal distributions, below that of the likeliest healthy window."""
    from sklearn.mixture import GaussianMixture

    count, features = x.shape
    covariance = "full" if features <= MOST_COVARIANCES else "diag"
    components = max(1, min(4, count // (8 * features)))
    made = GaussianMixture(components, covariance_type=covariance, reg_covar=1e-2, random_state=seed).fit(x)
    highest = float(made.score_samples(x).max())
    return lambda rows: np.log1p(np.maximum(0.0, highest - made.score_samples(rows)))


@dataclass(frozen=True)
class Components:
    """Principal components of healthy windows: mean (features,), directions (k, features), variance along each (k,)."""

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> Components:
        """Those that hold `KEPT_VARIANCE` of the variance."""
        from sklearn.decomposition import PCA

        made = PCA(KEPT_VARIANCE, svd_solver="full").fit(x)
        return cls(made.mean_, made.components_, made.explained_variance_)

    def along(self, rows: np.ndarray) -> np.ndarray:
        """Hotelling's T2: how far windows lie from the mean along the components, (n,)."""
        return np.sum(self._coordinates(rows) ** 2 / (self.variances + TINY), axis=1)

    def off(self, rows: np.ndarray) -> np.ndarray:
        """Q, the mean squared error of windows brought back from their components, (n,)."""
        return np.mean((rows - self.mean - self._coordinates(rows) @ self.directions) ** 2, axis=1)

    def _coordinates(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) @ self.directions.T


def _pca_t2(x: np.ndarray, seed: int) -> Scorer:
    components = Components.fit(x)
    return lambda rows: np.log(components.along(rows) + TINY)


def _pca_q(x: np.ndarray, seed: int) -> Scorer:
    components = Components.fit(x)
    return lambda rows: np.log(components.off(rows) + TINY)


def _isolation_forest(x: np.ndarray, seed: int) -> Scorer:
    """How few random cuts isolate a window (Liu et al. 2008)."""
    from sklearn.ensemble import IsolationForest

    made = IsolationForest(n_estimators=200, random_state=seed).fit(x)
    return lambda rows: -made.score_samples(rows)


def _one_class_svm(x: np.ndarray, seed: int) -> Scorer:
    """How little a window is like the support vectors (Schoelkopf et al. 2001)."""
    from sklearn.svm import OneClassSVM

    made = OneClassSVM(nu=0.05, gamma="scale").fit(x)
    return lambda rows: -made.score_samples(rows)


DETECTORS: dict[str, Fit] = {
    "neighbors": _neighbors,
    "local_outlier_factor": _local_outlier_factor,
    "gaussian_mixture": _gaussian_mixture,
    "pca_t2": _pca_t2,
    "pca_q": _pca_q,
    "isolation_forest": _isolation_forest,
    "one_class_svm": _one_class_svm,
}
