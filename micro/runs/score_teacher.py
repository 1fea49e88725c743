"""A teacher made of detectors: their scores on one scale, combined, for a student's reconstruction error to follow.

Each detector is standardized by its scores of healthy windows that it was not fitted on: training windows in five folds, each
scored by a detector fitted on the other four. No window of validation, calibration or test is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_kd import Supplied
from micro.config import Config
from micro.datasets.pieces import evenly_spaced
from micro.datasets.prepare import Prepared, Windows
from micro.errors import DataError
from micro.runs import models as students
from micro.runs.detectors import Fit, Scorer, fitted, name_of
from micro.runs.fitting import fit, seed_everything
from micro.runs.synthetic_windows import synthesized

FOLDS = 5
# Healthy windows that detectors need, and the most that one is fitted on: some grow with the square of their number.
FEWEST, MOST = 25, 10_000
# Standard deviations above healthy windows up to which a score is as its detector gives it: beyond it grows with the logarithm.
LINEAR = 10.0
# Combined scores that a student learns to tell apart, in standard deviations of healthy windows' scores.
LOWEST, HIGHEST = -4.0, 15.0
# Of `keras_kd.ScoreMatching`, whose default it is.
SPREAD = 0.2


@dataclass(frozen=True)
class Member:
    """A detector, and the mean and standard deviation of its scores of healthy windows that it was not fitted on."""

    score: Scorer
    mean: float
    deviation: float

    def judge(self, x: np.ndarray) -> np.ndarray:
        """Standardized scores, (n, *shape) -> (n,)."""
        return _standardized(self.score(_rows(x)), self.mean, self.deviation)


class ScoreTeacher(Supplied):
    """Fitted detectors, and what a student learns of them.

    Attributes:
        members: The detectors by name.
        combine: 'mean' or 'max' of their standardized scores.
        x: The windows to learn from: the training windows, then synthetic ones, (n, *shape) float32.
        outputs: The combined score of each, (n, 1) float32.
        validation: The same of the validation windows.
    """

    def __init__(self, members: Mapping[str, Member], combine: str) -> None:
        super().__init__({"outputs": (1,)}, {"outputs": "linear"})
        self.members, self.combine = dict(members), combine
        self.x = self.outputs = self.validation = np.zeros((0, 1), np.float32)

    def standardized(self, x: np.ndarray) -> np.ndarray:
        """Each detector's scores of windows, (n, *shape) -> (n, members)."""
        return np.stack([member.judge(x) for member in self.members.values()], axis=1)

    def errors(self, x: np.ndarray) -> np.ndarray:
        """The combined scores as the errors that a student is to make, (n, *shape) -> (n,)."""
        return np.exp(SPREAD * self._combined(self.standardized(x)))

    def combined(self, standardized: np.ndarray) -> np.ndarray:
        """What a student learns of standardized scores, (n, members) -> (n, 1) float32."""
        return np.clip(self._combined(standardized), LOWEST, HIGHEST).astype(np.float32)[:, None]

    def targets(self, indices: np.ndarray, x: object) -> dict[str, np.ndarray]:
        return {"outputs": self.outputs[indices]}

    def _combined(self, standardized: np.ndarray) -> np.ndarray:
        return standardized.mean(axis=1) if self.combine == "mean" else standardized.max(axis=1)


def fit_score_teacher(config: Config, data: Prepared, seed: int, done: Callable[[str], None]) -> ScoreTeacher:
    """The detectors of a config fitted on the training windows, with what the student learns of them.

    `done` is called with the name of each detector that is fitted.

    Raises:
        DataError: For too few windows, and for a detector that cannot be fitted.
    """
    settings, windows = config.teacher, data.train
    if len(windows) < FEWEST:
        raise DataError(f"teacher.detectors need {FEWEST} healthy windows to train on, got {len(windows)}")
    rows, folds = _rows(windows.x), folds_of(windows)
    members, held_out = {}, []
    for detector in settings.detectors:
        name = name_of(detector)
        fit = _fit_of(detector, config)
        unseen = _out_of_fold(fit, rows, folds, seed)
        mean, deviation = float(unseen.mean()), max(float(unseen.std()), 1e-9)
        members[name] = Member(fit(rows[evenly_spaced(len(rows), MOST)], seed), mean, deviation)
        held_out.append(_standardized(unseen, mean, deviation))
        done(name)
    teacher = ScoreTeacher(members, settings.combine)
    made = synthesized(windows.x, settings.synthetic_windows, seed)
    teacher.x = np.concatenate([windows.x, made])
    # Training windows get the scores of detectors that do not know them: its own memory would call each of them healthy.
    teacher.outputs = teacher.combined(np.concatenate([np.stack(held_out, axis=1), teacher.standardized(made)]))
    teacher.validation = teacher.combined(teacher.standardized(data.validation.x))
    return teacher


def untrained_score_teacher(config: Config) -> ScoreTeacher:
    """A teacher of the shapes of a config's: a student and its objectives are checked by it before any detector is fitted."""
    return ScoreTeacher({}, config.teacher.combine)


def folds_of(windows: Windows) -> np.ndarray:
    """Which of five folds each window is in, (n,): whole recordings where there are enough, else stretches of each.

    Copies of a window lie in its fold, as they are of its recording and place.
    """
    names = {origin: number for number, origin in enumerate(dict.fromkeys(windows.origins))}
    numbers = np.array([names[origin] for origin in windows.origins])
    if len(names) >= 2 * FOLDS:
        return numbers % FOLDS
    assert windows.places is not None
    folds = np.empty(len(numbers), int)
    for number in range(len(names)):
        mine = numbers == number
        order = np.unique(windows.places[mine], return_inverse=True)[1]
        folds[mine] = order * FOLDS // (order.max() + 1)
    return folds


def _out_of_fold(fit: Fit, rows: np.ndarray, folds: np.ndarray, seed: int) -> np.ndarray:
    """Scores of windows by detectors fitted on the other folds, (n,)."""
    scores = np.empty(len(rows))
    for fold in np.unique(folds):
        mine = folds == fold
        others = rows[~mine]
        scores[mine] = fit(others[evenly_spaced(len(others), MOST)], seed)(rows[mine])
    return scores


def _fit_of(detector: str | Mapping[str, object], config: Config) -> Fit:
    if detector == "autoencoder":
        return lambda x, seed: _autoencoder(config, x, seed)
    return lambda x, seed: fitted(detector, x, seed)


def _autoencoder(config: Config, x: np.ndarray, seed: int) -> Scorer:
    """The reconstruction error of the network of section [teacher]."""
    part = config.teacher
    seed_everything(seed, "teacher")
    model = students.build("autoencoder", part.sizes, x.shape[1:], None, "teacher", dropout=part.dropout)
    fit(model, part, keras.losses.MeanSquaredError(), x, x)

    def score(rows: np.ndarray) -> np.ndarray:
        found = np.asarray(model.predict(rows, batch_size=1024, verbose=0))
        return np.log(np.mean((rows - found) ** 2, axis=1, dtype=np.float64) + 1e-12)

    return score


def _standardized(scores: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    z = (scores - mean) / deviation
    return np.where(z > LINEAR, LINEAR + np.log1p(np.maximum(z - LINEAR, 0.0)), z)


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)
