"""What the estimators of this package share: their checks of rows and parameters, files and pickles."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from micro.conversion.converted import Converted
from micro.errors import ModelError
from micro.runs.firmware import Firmware
from micro.scikit_learn.saved import Kind, Saved, read_saved, saved_bytes
from micro.signal import FrontEnd
from micro.support.files import write_bytes

# What `fit` makes and a pickle keeps as bytes and arrays, so that it depends on their form alone.
FITTED = ("firmware_", "converted_", "threshold_", "loss_", "classes_", "_kept")


class StudentEstimator(BaseEstimator):
    """An int8 student with the manners of scikit-learn. A subclass writes `__init__`, `fit` and what it predicts."""

    kind: ClassVar[Kind]
    front_end: FrontEnd | None
    teacher: Any
    sizes: tuple[int, ...] | None
    epochs: int
    batch_size: int
    learning_rate: float
    random_state: int | np.random.RandomState | None
    firmware_: Firmware
    converted_: Converted
    loss_: tuple[float, ...]
    _kept: np.ndarray

    def save(self, path: str | Path) -> Path:
        """Write what was fitted to one file without pickle: a zip of a .tflite and a .json. Returns the path.

        Parameters are kept, except for a `teacher`, and a `random_state` that is no integer, which become None.

        Examples:
            >>> healthy = np.random.default_rng(0).normal(size=(40, 3))
            >>> detector = micro.AnomalyDetector(epochs=1, false_alarm_rate=0.1).fit(healthy)
            >>> detector.save("pump.zip").name
            'pump.zip'
        """
        check_is_fitted(self, "firmware_")
        return write_bytes(path, saved_bytes(self._saved()))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An estimator that `save` wrote. Nothing in the file is executed.

        Raises:
            OSError: If there is no file.
            ModelError: If it is another kind of file, or damaged.

        Examples:
            >>> healthy = np.random.default_rng(0).normal(size=(40, 3))
            >>> detector = micro.AnomalyDetector(epochs=1, false_alarm_rate=0.1).fit(healthy)
            >>> loaded = micro.AnomalyDetector.load(detector.save("pump.zip"))
            >>> (loaded.score_samples(healthy) == detector.score_samples(healthy)).all()
            True
        """
        saved = read_saved(path, cls.kind)
        unknown = sorted(set(saved.parameters) - set(cls._get_param_names()))
        if unknown:
            raise ModelError(f"{path} has a parameter {unknown[0]!r}, which this version does not know")
        made = cls(**saved.parameters)
        try:
            made._require_parameters()
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ModelError(f"{path} is no {cls.kind} that was saved, or is damaged: {error}") from None
        made._restore(saved)
        return made

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "firmware_" in state:
            state = {key: value for key, value in state.items() if key not in FITTED}
            state["_fitted"] = saved_bytes(replace(self._saved(), parameters={}))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        fitted = state.pop("_fitted", None)
        super().__setstate__(state)
        if fitted is not None:
            self._restore(read_saved(fitted, self.kind))

    def _require_parameters(self) -> None:
        """ValueError for a parameter out of its range."""
        for name, least in (("epochs", 0), ("batch_size", 1)):
            if int(getattr(self, name)) != getattr(self, name) or getattr(self, name) < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {getattr(self, name)!r}")
        if not 0 < self.learning_rate < np.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate!r}")
        if self.sizes is not None and not _are_sizes(self.sizes):
            raise ValueError(f"sizes must be the units of each hidden layer, at least 1, got {self.sizes!r}")
        if self.front_end is not None and not isinstance(self.front_end, FrontEnd):
            raise ValueError(f"front_end must be a micro.FrontEnd, got {type(self.front_end).__name__}")
        if self.front_end is not None and self.front_end.conditioning.changes:
            raise ValueError(
                "front_end: rows of X are windows, and decimate and filter are for streams; filter samples before windows are "
                "cut, or use keras-kd run"
            )
        check_random_state(self.random_state)

    def _seed(self) -> int:
        """Of a fit, drawn as `random_state` has it."""
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _front_end(self) -> FrontEnd:
        """The front end of what was fitted."""
        check_is_fitted(self, "firmware_")
        assert isinstance(self.firmware_.front_end, FrontEnd)
        return self.firmware_.front_end

    def _checked(self, X: npt.ArrayLike, reset: bool) -> np.ndarray:
        """Rows as scikit-learn checks them: finite numbers, and the columns that were fitted; windows as one row each."""
        if isinstance(self.front_end, FrontEnd) and np.ndim(X) == 3:
            X = windows_of_rows(np.asarray(X), self.front_end).reshape(len(np.asarray(X)), -1)
        return np.asarray(validate_data(self, X, dtype=(np.float64, np.float32), reset=reset))

    def _windows(self, X: npt.ArrayLike) -> np.ndarray:
        """Rows to judge as the front end takes them, (n, window, channels)."""
        front_end = self._front_end()
        return windows_of_rows(self._checked(X, reset=False), front_end)

    def _common(self) -> Saved:
        """What is kept of any of them."""
        parameters = self.get_params(deep=False) | {"teacher": None}
        if not isinstance(self.random_state, (int, np.integer)):
            parameters["random_state"] = None
        names = getattr(self, "feature_names_in_", None)
        return Saved(
            parameters,
            self.firmware_,
            self.converted_,
            self.loss_,
            self._kept,
            self.n_features_in_,
            None if names is None else tuple(names.tolist()),
        )

    def _saved(self) -> Saved:
        raise NotImplementedError(f"{type(self).__name__}: write _saved(self)")

    def _restore(self, saved: Saved) -> None:
        """Take what was fitted."""
        self.firmware_ = saved.firmware
        self.converted_, self.loss_ = saved.converted, saved.loss
        self._kept, self.n_features_in_ = saved.kept, saved.features
        if saved.feature_names is not None:
            self.feature_names_in_ = np.array(saved.feature_names, object)


def rows_as_they_are(features: int) -> FrontEnd:
    """A front end for which a row of features is one sample of as many channels."""
    return FrontEnd(("raw",), window=1, hop=1, channels=features, frame=1, detrend="none")


def windows_of_rows(X: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Rows as the front end takes them, (n, window, channels)."""
    wanted = (front_end.window, front_end.channels)
    if X.shape[1:] not in (wanted, (wanted[0] * wanted[1],)):
        raise ValueError(
            f"X must have the shape (n, {wanted[0]}, {wanted[1]}), as the front end takes windows, got {X.shape}"
        )
    return np.asarray(X.reshape(-1, *wanted))


def _are_sizes(sizes: object) -> bool:
    try:
        return all(operator.index(each) >= 1 for each in sizes)  # type: ignore[attr-defined]
    except TypeError:
        return False
