"""A teacher made of detectors: their scores on one scale, combined, for a student's reconstruction error to follow.

Each detector is standardized by its scores of healthy windows that it was not fitted on: training windows in five folds, each
scored by a detector fitted on the other four. No window of validation, calibration or test is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_kd import Supplied
from micro.config import Config
from micro.datasets.prepare import Windows
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced
from micro.datasets.window_parts import Origins
from micro.detection.threshold import reconstruction_error
from micro.errors import DataError
from micro.runs import models as students
from micro.runs.detectors import TINY, Fit, Scorer, fitted, names_of
from micro.runs.fitting import fit, seed_everything
from micro.runs.held_out import numbered, sharing
from micro.runs.known_faults import MARGIN, learned_faults
from micro.runs.synthetic_windows import synthesized

FOLDS = 5
# Healthy windows that detectors need, and the most that one is fitted on: some grow with the square of their number.
FEWEST, MOST = 25, 10_000
# Windows that detectors are tried on before a run begins, and those that are scored at a time.
TRIED, BATCH = 200, 4096
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
        return self.standardized(self.score(_rows(x)))

    def standardized(self, scores: np.ndarray) -> np.ndarray:
        """Scores in standard deviations of healthy windows', beyond `LINEAR` growing with the logarithm, (n,) -> (n,)."""
        z = (scores - self.mean) / self.deviation
        return np.where(z > LINEAR, LINEAR + np.log1p(np.maximum(z - LINEAR, 0.0)), z)


@dataclass(frozen=True)
class ScoreTeacher:
    """Fitted detectors, and what a student learns of them.

    Attributes:
        members: The detectors by name.
        combine: 'mean' or 'max' of their standardized scores.
        x: The windows to learn from: the training windows, then synthetic ones, then known faults, (n, *shape) float32.
        outputs: The combined score of each, of known faults at least the margin, (n, 1) float32.
        validation: The same of the validation windows.
    """

    members: Mapping[str, Member]
    combine: str
    x: np.ndarray
    outputs: np.ndarray
    validation: np.ndarray

    def errors(self, x: np.ndarray) -> np.ndarray:
        """The combined scores as the errors that a student is to make, (n, *shape) -> (n,)."""
        return np.exp(SPREAD * combined(standardized(self.members, x), self.combine))


def scores_of_detectors() -> Supplied:
    """What a Distiller knows of such a teacher: one score a window, which comes with the batches."""
    return Supplied({"outputs": (1,)}, {"outputs": "linear"})


def standardized(members: Mapping[str, Member], x: np.ndarray) -> np.ndarray:
    """Each detector's scores of windows, (n, *shape) -> (n, members)."""
    parts = [x[start : start + BATCH] for start in range(0, len(x), BATCH)]
    return np.concatenate([np.stack([each.judge(part) for each in members.values()], axis=1) for part in parts])


def combined(scores: np.ndarray, combine: str) -> np.ndarray:
    """Mean or maximum of standardized scores, (n, members) -> (n,)."""
    return scores.mean(axis=1) if combine == "mean" else scores.max(axis=1)


def targets_of_scores(scores: np.ndarray, combine: str) -> np.ndarray:
    """What a student learns of standardized scores, (n, members) -> (n, 1) float32."""
    return np.clip(combined(scores, combine), LOWEST, HIGHEST).astype(np.float32)[:, None]


def check_detectors(config: Config, data: Prepared) -> None:
    """Make every detector of a config and try it on some training windows, before a run begins.

    Raises:
        DataError: For too few windows, and for a detector that cannot be made or fitted, or gives all windows one score.
    """
    windows = data.train
    of = numbered(windows, data.related)
    different = len(set(zip(of.content.tolist(), of.place.tolist())))
    if different < FEWEST:
        raise DataError(f"teacher.detectors need {FEWEST} healthy windows to train on, got {different}")
    if len(np.unique(folds_of(windows, data.related))) < 2:
        raise DataError("teacher.detectors need healthy windows in two recordings, or five in one after another")
    rows = _rows(windows.x[evenly_spaced(len(windows), TRIED)])
    for detector, name in zip(config.teacher.detectors, names_of(config.teacher.detectors)):
        if detector != "autoencoder":
            seed_everything(config.seed, name)
            _level(fitted(detector, rows[::2], config.seed)(rows[1::2]), name)


def fit_score_teacher(config: Config, data: Prepared, seed: int, begin: Callable[[str], None]) -> ScoreTeacher:
    """The detectors of a config fitted on the training windows, with what the student learns of them.

    `begin` is called with the name of each detector before it is fitted.

    Raises:
        DataError: For a detector that cannot be fitted, or gives scores that tell nothing.
    """
    settings, windows, seen = config.teacher, data.train, data.of_teacher
    rows = _rows(seen.train.x)
    sets = fitting_sets(windows, folds_of(windows, data.related), near_of(data), data.related)
    members: dict[str, Member] = {}
    held_out = []
    for detector, name in zip(settings.detectors, names_of(settings.detectors)):
        begin(name)
        make = _fit_of(detector, name, config)
        unseen = _out_of_fold(make, rows, sets, seed)
        mean, deviation = _level(unseen, name)
        members[name] = Member(make(rows[evenly_spaced(len(rows), MOST)], seed), mean, deviation)
        held_out.append(members[name].standardized(unseen))
    begin("synthetic windows")
    made, made_seen = _synthesized(windows, settings.synthetic_windows, seed)
    # Training windows get the scores of detectors that do not know them: its own memory would call each of them healthy.
    scores = np.concatenate([np.stack(held_out, axis=1), standardized(members, made_seen)])
    x, outputs = np.concatenate([windows.x, made]), targets_of_scores(scores, settings.combine)
    if len(faults := learned_faults(data)):
        known = targets_of_scores(standardized(members, learned_faults(seen)), settings.combine)
        x, outputs = np.concatenate([x, faults]), np.concatenate([outputs, np.maximum(known, np.float32(MARGIN))])
    return ScoreTeacher(
        members,
        settings.combine,
        x,
        outputs,
        targets_of_scores(standardized(members, seen.validation.x), settings.combine),
    )


def _synthesized(windows: Windows, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic windows as the student and as the teacher sees them; of features of its own both are made together."""
    if windows.of_teacher is None:
        made = synthesized(windows.x, count, seed)
        return made, made
    both = [part.reshape(len(part), -1) for part in (windows.x, windows.of_teacher)]
    mine, theirs = np.split(synthesized(np.concatenate(both, axis=1), count, seed), [both[0].shape[1]], axis=1)
    return mine.reshape(-1, *windows.x.shape[1:]), theirs.reshape(-1, *windows.of_teacher.shape[1:])


def folds_of(windows: Windows, origins: Origins) -> np.ndarray:
    """Which of five folds each window is in, (n,): whole recordings where there are enough, else stretches of each.

    Copies of a window lie in its fold. So do, in whole recordings, groups and those that overlap, which `origins` says belong
    together; of stretches `fitting_sets` leaves out what overlaps.
    """
    of = numbered(windows, origins)
    if of.group.max() + 1 >= 2 * FOLDS:
        return of.group % FOLDS
    folds = np.empty(len(of.content), int)
    for number in range(of.content.max() + 1):
        mine = of.content == number
        order = np.unique(of.place[mine], return_inverse=True)[1]
        folds[mine] = order * FOLDS // (order.max() + 1)
    return folds


def near_of(data: Prepared) -> int:
    """How many places of a recording lie between two windows, as the teacher sees them, that share samples, at most."""
    return -(-data.of_teacher.features.span // data.features.hop) - 1


def fitting_sets(
    windows: Windows, folds: np.ndarray, near: int, origins: Origins
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fold its windows, and those to fit on: of the other folds, less those that share samples with it.

    Where fewer than 12 are left, all of the other folds.
    """
    of = numbered(windows, origins)
    sets = []
    for fold in np.unique(folds):
        mine = folds == fold
        others = ~mine & ~sharing(mine, of, near)
        # Of recordings so short that every window is near the fold, windows that share some samples are better than none.
        sets.append((mine, others if others.sum() >= FEWEST // 2 else ~mine))
    return sets


def _out_of_fold(make: Fit, rows: np.ndarray, sets: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> np.ndarray:
    """Scores of windows by detectors fitted on the other folds, (n,)."""
    scores = np.empty(len(rows))
    for mine, others in sets:
        known = rows[others]
        scores[mine] = make(known[evenly_spaced(len(known), MOST)], seed)(rows[mine])
    return scores


def _level(scores: np.ndarray, name: str) -> tuple[float, float]:
    """Mean and standard deviation of healthy windows' scores; DataError where they hardly differ."""
    mean, deviation = float(scores.mean()), float(scores.std())
    if not deviation > 1e-6 * max(1.0, abs(mean)):
        raise DataError(
            f"teacher.detectors: {name} gives all healthy windows the same score, {mean:.4g}: it tells nothing of these "
            "features; leave it out"
        )
    return mean, deviation


def _fit_of(detector: str | Mapping[str, object], name: str, config: Config) -> Fit:
    def make(x: np.ndarray, seed: int) -> Scorer:
        seed_everything(seed, name)
        return _autoencoder(config, x) if detector == "autoencoder" else fitted(detector, x, seed)

    return make


def _autoencoder(config: Config, x: np.ndarray) -> Scorer:
    """The reconstruction error of the network of section [teacher]."""
    part = config.teacher
    model = students.build("autoencoder", part.sizes, x.shape[1:], None, "teacher", dropout=part.dropout)
    fit(model, part, keras.losses.MeanSquaredError(), x, x)

    def score(rows: np.ndarray) -> np.ndarray:
        found = np.asarray(model.predict(rows, batch_size=1024, verbose=0))
        return np.log(reconstruction_error(rows, found) + TINY)

    return score


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)
