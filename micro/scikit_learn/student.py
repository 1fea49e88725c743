"""Trains an int8 autoencoder on healthy rows and calibrates its threshold on rows held out."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micro.detection.detector import LARGEST_SCORE, Detector, make_detector
from micro.detection.score import reconstruction_score
from micro.detection.sensor import faults
from micro.detection.threshold import Threshold, calibrate, conformal_rank, least_rate
from micro.runs.evaluate import score_inputs
from micro.runs.firmware import Firmware
from micro.scikit_learn.teacher import Lesson, lesson_of
from micro.signal import FrontEnd, fit_scaling
from micro.support.wording import are, counted

if TYPE_CHECKING:
    import keras

    from micro.conversion.converted import Converted

# Healthy rows held out of training that a saved detector keeps for the self-test of a firmware project.
MOST_KEPT = 16


@dataclass(frozen=True)
class Recipe:
    """How a student is trained; as the parameters of an estimator of these names."""

    sizes: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    false_alarm_rate: float
    calibration_fraction: float
    teacher: Any
    synthetic_rows: int


@dataclass(frozen=True)
class Trained:
    """A student in int8, with all that decides around it.

    Attributes:
        firmware: Front end, scaling, the int8 model and the detector.
        converted: The model with what int8 costs.
        threshold: In real units of the score, with what it guarantees.
        kept: Some of the windows held out, (n, window, channels).
        loss: The mean loss of each epoch.
    """

    firmware: Firmware
    converted: Converted
    threshold: Threshold
    kept: np.ndarray
    loss: tuple[float, ...]


def train(front_end: FrontEnd, windows: np.ndarray, groups: np.ndarray | None, recipe: Recipe, seed: int) -> Trained:
    """An int8 student of healthy windows.

    Args:
        front_end: What makes features of windows.
        windows: (n, window, channels), finite.
        groups: Windows of one group, (n,), are held out together or not at all; None to draw windows one by one.
        recipe: How it is trained.
        seed: The same gives the same bytes.

    Raises:
        ValueError: For too few windows for the false-alarm rate, and as `lesson_of`.
    """
    held = held_out(len(windows), groups, recipe, seed)
    features = front_end(front_end.counts(windows) if front_end.arithmetic == "fixed" else windows)
    scaling = fit_scaling(features[~held])
    scaled = scaling(features).reshape(len(windows), -1)
    lesson = None
    if recipe.teacher is not None:
        known = None if groups is None else groups[~held]
        lesson = lesson_of(recipe.teacher, scaled[~held], scaling, known, recipe.synthetic_rows, seed)
    converted, loss = _converted(scaled[~held], lesson, recipe, seed)
    score = reconstruction_score(converted)
    # Scores of a detector that is not calibrated yet.
    plain = Firmware(front_end, scaling, converted.content, Detector(score, 0, 0))
    healthy = scores_of(plain, windows[held]) * score.unit
    threshold = calibrate(healthy, recipe.false_alarm_rate)
    firmware = Firmware(front_end, scaling, converted.content, make_detector(score, threshold))
    return Trained(firmware, converted, threshold, windows[held][:MOST_KEPT].astype(np.float32), loss)


def scores_of(firmware: Firmware, windows: np.ndarray) -> np.ndarray:
    """The score of each window in the firmware's integers, (n, window, channels) -> (n,) int64.

    What the firmware reports as a sensor fault and does not score has the largest score that there is.
    """
    detector, front_end = firmware.decider, firmware.front_end
    assert isinstance(detector, Detector)
    assert isinstance(front_end, FrontEnd)
    frames = front_end.counts(windows) if front_end.arithmetic == "fixed" else windows.astype(np.float32)
    good = faults(detector, frames) == 0
    scores = np.full(len(windows), LARGEST_SCORE, np.int64)
    if good.any():
        scores[good] = score_inputs(firmware.tflite, detector.score, firmware.features(frames[good]))
    return scores


def held_out(count: int, groups: np.ndarray | None, recipe: Recipe, seed: int) -> np.ndarray:
    """Which windows are held out of training for the threshold, (n,) bool.

    Raises:
        ValueError: Where they are too few for the false-alarm rate, or none would be left to train on.
    """
    rate, fraction = recipe.false_alarm_rate, recipe.calibration_fraction
    order = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = np.random.default_rng([seed, 5]).permutation(int(order.max()) + 1)
    held = np.zeros(count, bool)
    for one in drawn:
        if held.sum() >= fraction * count:
            break
        held[order == one] = True
    of = "" if groups is None else f" in {counted(len(drawn), 'group')}"
    if held.all():
        raise ValueError(
            f"n_samples = {count}{of}: all of them would be held out for the threshold and none is left to train on; give more"
        )
    found = int(held.sum())
    if conformal_rank(found, rate) > found:
        needed = int(np.ceil(1 / rate - 1e-9)) - 1
        raise ValueError(
            f"false_alarm_rate = {rate:g} needs {needed:,} healthy rows held out of training, and {found:,} of n_samples = "
            f"{count:,}{of} {are(found)}: give about {int(np.ceil(needed / fraction)):,} rows, hold out more "
            f"(calibration_fraction = {fraction:g}), or allow more false alarms ({least_rate(found):g} at least)"
        )
    return held


def _converted(x: np.ndarray, lesson: Lesson | None, recipe: Recipe, seed: int) -> tuple[Converted, tuple[float, ...]]:
    """The trained autoencoder in int8, and its loss."""
    from micro.runs import models

    def build() -> keras.Model:
        return models.build("autoencoder", recipe.sizes or _sizes_for(x.shape[1]), x.shape[1:], None, "student")

    return int8_student(build, lambda student: _fit(student, x, lesson, recipe) if recipe.epochs else [], x, seed)


def int8_student(
    build: Callable[[], keras.Model], fit: Callable[[keras.Model], list[float]], x: np.ndarray, seed: int
) -> tuple[Converted, tuple[float, ...]]:
    """A student that is built, trained and converted, and its loss in each epoch; the same seed gives the same bytes.

    Args:
        build: Makes the student.
        fit: Trains it, and gives the loss of each epoch.
        x: What it is calibrated on, (n, features).
        seed: Of its weights, the order of examples and the calibration.
    """
    import keras

    from micro.conversion.convert_keras import convert
    from micro.keras_graph.calibration_data import calibration_data
    from micro.runs.fitting import seed_everything

    with random_numbers_kept():
        seed_everything(seed, "student")
        student = build()
        seed_everything(seed, "shuffle")
        history = fit(student)
        keras.utils.set_random_seed(seed)
        converted = convert(student, calibration_data(x, seed=seed))
    return converted, tuple(float(value) for value in history)


def _fit(student: keras.Model, x: np.ndarray, lesson: Lesson | None, recipe: Recipe) -> list[float]:
    """Train to reconstruct, or to make the errors that a teacher's scores ask for; the loss of each epoch."""
    import keras

    import keras_kd
    from micro.compress.fine_tune import with_supplied
    from micro.config import StudentConfig
    from micro.runs.fitting import fit
    from micro.runs.score_teacher import scores_of_detectors

    part = StudentConfig(epochs=recipe.epochs, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate)
    loss = keras.losses.MeanSquaredError()
    if lesson is None:
        return fit(student, part, loss, x, x)["loss"]
    distiller = keras_kd.Distiller(scores_of_detectors(), student, [keras_kd.ScoreMatching()], hard_weight=0.0)
    return fit(distiller, part, loss, with_supplied(lesson.x, lesson.scores), lesson.x)["loss"]


def _sizes_for(features: int) -> tuple[int, ...]:
    """An autoencoder for that many features: at most 32 units around a code of at most 8."""
    hidden, code = min(32, max(4, features)), max(1, min(8, features // 2))
    return hidden, code, hidden


@contextlib.contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Python's and NumPy's global random numbers go on afterwards as if nothing had been seeded."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
