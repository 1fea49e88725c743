"""An anomaly detector for a microcontroller that is fitted and used like one of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from micro.detection.detector import Detector, Settings, make_detector
from micro.detection.threshold import Threshold
from micro.firmware.layout import Runtime
from micro.scikit_learn.estimator import StudentEstimator, rows_as_they_are, windows_of_rows
from micro.scikit_learn.project import files_of, write
from micro.scikit_learn.saved import Saved
from micro.scikit_learn.student import Recipe, scores_of, train
from micro.scikit_learn.teacher import require_teacher
from micro.signal import FrontEnd


class AnomalyDetector(OutlierMixin, StudentEstimator):
    """An int8 autoencoder that learns what is healthy and runs on a microcontroller, as an estimator of scikit-learn.

    `fit` scales the features, trains the autoencoder, converts it to int8 (`micro.convert`) and sets a threshold on rows that
    it holds out, which a healthy row exceeds with a chance of at most `false_alarm_rate` (conformal prediction). All scores are
    those of the int8 model in TFLite Micro, in integers, and so the same as on the chip.

    Args:
        front_end: Makes features of windows of samples, on the chip too; None where the rows of X are the features.
        teacher: A detector of scikit-learn or PyOD, a pipeline that ends in one, or a Keras model, whose scores the student
            learns to follow; None to learn to reconstruct. It judges rows of features in their own units. One that is fitted
            already is used as it is; another is fitted on X, in five folds so that no row is scored by what has seen it.
            `sklearn.base.clone`, and so every cross-validation, clones it unfitted, unless it is a `FrozenEstimator`.
        false_alarm_rate: Of healthy rows, in (0, 1). 1 % takes 99 rows held out.
        calibration_fraction: Of the rows, or of the rows by groups, that are held out for the threshold, in (0, 1).
        sizes: Units of the hidden layers; None for a code of half the features, at most 8, between two layers.
        epochs, batch_size, learning_rate: Of training with Adam, the rate brought down to 0.
        synthetic_rows: Rows around the healthy ones that a teacher scores too.
        random_state: An integer for the same bytes each time.

    Attributes:
        firmware_: Front end, scaling, the int8 model and the integer detector, as they go on the chip.
        converted_: The int8 model as `micro.convert` gives it; for `micro.measure`, `micro.verify` and `micro.check`.
        threshold_: The threshold on the reconstruction error, with what it guarantees.
        offset_: The threshold on `score_samples`.
        loss_: The training loss of each epoch.
        n_features_in_, feature_names_in_: As scikit-learn has them.

    Examples:
        >>> healthy = np.random.default_rng(0).normal(size=(400, 6))
        >>> detector = micro.AnomalyDetector(epochs=5, random_state=0).fit(healthy)
        >>> detector.predict(np.full((1, 6), 9.0))
        array([-1])
        >>> detector.threshold_.guarantee
        "at most 1 % of healthy windows like the 120 held out, whatever their scores' distribution"
        >>> written = detector.export("firmware", "pump")
        >>> [path.name for path in written if path.suffix == ".h"][:2]
        ['pump_front_end.h', 'pump_detector.h']
    """

    kind = "AnomalyDetector"
    threshold_: Threshold

    def __init__(
        self,
        front_end: FrontEnd | None = None,
        teacher: Any = None,
        *,
        false_alarm_rate: float = 0.01,
        calibration_fraction: float = 0.3,
        sizes: tuple[int, ...] | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        synthetic_rows: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.front_end = front_end
        self.teacher = teacher
        self.false_alarm_rate = false_alarm_rate
        self.calibration_fraction = calibration_fraction
        self.sizes = sizes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.synthetic_rows = synthetic_rows
        self.random_state = random_state

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *, groups: npt.ArrayLike | None = None
    ) -> AnomalyDetector:
        """Learn from healthy rows.

        Args:
            X: (n, features); with a front end windows of samples, (n, window, channels) or (n, window * channels).
            y: Where it holds 1 and -1 alone, rows of -1 are left out, as scikit-learn marks outliers; otherwise ignored.
            groups: The recording of each row, (n,): recordings are held out whole. Of windows that overlap give them.

        Raises:
            ValueError: For too few rows for the false-alarm rate, parameters out of range, or a teacher that is none.
        """
        self._require_parameters()
        x = self._checked(X, reset=True)
        check_consistent_length(x, y, groups)
        healthy = _healthy(y, len(x))
        grouped = None if groups is None else np.asarray(groups)[healthy]
        front_end = self.front_end or rows_as_they_are(x.shape[1])
        windows = windows_of_rows(x[healthy], front_end)
        trained = train(front_end, windows, grouped, self._recipe(), self._seed())
        self.firmware_, self.converted_ = trained.firmware, trained.converted
        self.threshold_, self.loss_, self._kept = trained.threshold, trained.loss, trained.kept
        return self

    def score_samples(self, X: npt.ArrayLike) -> np.ndarray:
        """Minus the reconstruction error of each row in the int8 model, (n,): the lower the more anomalous."""
        detector, scores = self._scored(X)
        return -(scores * detector.score.unit)

    def decision_function(self, X: npt.ArrayLike) -> np.ndarray:
        """How far each row is from the threshold, (n,): below 0 is an anomaly."""
        detector, scores = self._scored(X)
        return (detector.threshold - scores) * detector.score.unit

    def predict(self, X: npt.ArrayLike) -> np.ndarray:
        """-1 for an anomaly, 1 for a healthy row, (n,) int: what the C on the chip decides of that row.

        A value beyond ±1e8, which the chip reports as a fault of the sensor, is an anomaly here.
        """
        detector, scores = self._scored(X)
        return np.where(scores > detector.threshold, -1, 1)

    @property
    def offset_(self) -> float:
        """The threshold on `score_samples`, below which a row is an anomaly."""
        detector = self._detector()
        return -detector.threshold * detector.score.unit

    def export(
        self,
        directory: str | Path,
        name: str = "detector",
        *,
        board: str | None = None,
        runtime: Runtime = "static",
        **alarm: Unpack[Settings],
    ) -> tuple[Path, ...]:
        """Write the detector in C: front end, scaling, int8 model, score and alarm.

        Each row of X is one sample of as many channels as there are features; with a front end, its samples. The C decides as
        `predict` does; with `min_hits`, `history`, `clear_after` and so on it counts windows before it reports an alarm.

        Args:
            directory: Of a project it must be empty or not exist.
            name: Prefix of files and C identifiers.
            board: A key of `micro.firmware.boards.BOARDS` for a whole project that builds, with a self-test on rows that were
                held out; None for the C files alone, of which static C runs the model.
            runtime: Of a project 'static' or 'tflm'.
            alarm: As `micro.make_detector` takes them.

        Returns:
            The paths written.

        Raises:
            ValueError: For an unknown board, a name that is no C identifier, or an alarm that makes no sense.
            FileExistsError: Where a project's folder is not empty.
        """
        self._detector()
        detector = make_detector(self._detector().score, self.threshold_, **alarm)
        firmware = replace(self.firmware_, decider=detector)
        return write(directory, files_of(firmware, self._kept, name, board, runtime), board)

    def _require_parameters(self) -> None:
        super()._require_parameters()
        for name in ("false_alarm_rate", "calibration_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)!r}")
        if int(self.synthetic_rows) != self.synthetic_rows or self.synthetic_rows < 1:
            raise ValueError(f"synthetic_rows must be an integer of at least 1, got {self.synthetic_rows!r}")
        require_teacher(self.teacher)

    def _recipe(self) -> Recipe:
        return Recipe(
            tuple(self.sizes or ()),
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.false_alarm_rate,
            self.calibration_fraction,
            self.teacher,
            self.synthetic_rows,
        )

    def _detector(self) -> Detector:
        """The integer detector of what was fitted."""
        check_is_fitted(self, "firmware_")
        assert isinstance(self.firmware_.decider, Detector)
        return self.firmware_.decider

    def _scored(self, X: npt.ArrayLike) -> tuple[Detector, np.ndarray]:
        """The detector, and the integer score of each row."""
        detector = self._detector()
        return detector, scores_of(self.firmware_, self._windows(X))

    def _saved(self) -> Saved:
        return replace(self._common(), threshold=self.threshold_)

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        assert saved.threshold is not None
        self.threshold_ = saved.threshold


def _healthy(y: npt.ArrayLike | None, count: int) -> np.ndarray:
    """Rows that y does not mark as outliers, (n,) bool."""
    if y is None:
        return np.ones(count, bool)
    labels = np.asarray(y).ravel()
    marked = labels.dtype.kind in "if" and set(np.unique(labels)) == {-1, 1}
    return labels != -1 if marked else np.ones(count, bool)
