"""A classifier for a microcontroller that is fitted and used like one of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, column_or_1d

from micro.detection.recognizer import Recognizer
from micro.firmware.layout import Runtime
from micro.scikit_learn.class_student import ClassRecipe, Labelled, logits_of, train_classifier
from micro.scikit_learn.class_teacher import require_classifier, softmax
from micro.scikit_learn.estimator import StudentEstimator, rows_as_they_are, windows_of_rows
from micro.scikit_learn.project import files_of, write
from micro.scikit_learn.saved import Saved
from micro.signal import FrontEnd
from micro.tflite.graph import read


class SensorClassifier(ClassifierMixin, StudentEstimator):
    """An int8 network that tells labelled rows or windows apart and runs on a microcontroller, as an estimator of scikit-learn.

    `fit` scales the features, trains a network of Dense layers and converts it to int8 (`micro.convert`). All probabilities are
    those of the int8 model in TFLite Micro, and `predict` gives the class that the C on the chip recognizes.

    Args:
        front_end: Makes features of windows of samples, on the chip too; None where the rows of X are the features.
        teacher: A classifier of scikit-learn, a pipeline that ends in one, or a Keras model, whose probabilities the student
            learns next to the labels; None to learn from the labels alone. It judges rows of features in their own units. One
            that is fitted already is used as it is; another is fitted on X, in folds so that no row is judged by what has seen
            it. `sklearn.base.clone`, and so every cross-validation, clones it unfitted, unless it is a `FrozenEstimator`.
        temperature: Of the teacher's softened probabilities, above 0.
        hard_weight: What the labels count next to the teacher, in [0, 1].
        sizes: Units of the hidden layers; None for 32 and 16.
        epochs, batch_size, learning_rate: Of training with Adam, the rate brought down to 0.
        random_state: An integer for the same bytes each time.

    Attributes:
        classes_: In the order of the columns of `predict_proba`, (classes,).
        firmware_: Front end, scaling, the int8 model and the recognizer, as they go on the chip.
        converted_: The int8 model as `micro.convert` gives it; for `micro.measure`, `micro.verify` and `micro.check`.
        loss_: The training loss of each epoch.
        n_features_in_, feature_names_in_: As scikit-learn has them.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(200, 4)), np.repeat(["idle", "walk"], 100)
        >>> x[100:] += 3
        >>> classifier = micro.SensorClassifier(epochs=20, random_state=0).fit(x, y)
        >>> classifier.predict([[0, 0, 0, 0], [3, 3, 3, 3]])
        array(['idle', 'walk'], dtype='<U4')
        >>> classifier.score(x, y) > 0.95
        True
        >>> written = classifier.export("firmware", "motion")
        >>> [path.name for path in written if path.suffix == ".h"][:2]
        ['motion_front_end.h', 'motion_recognizer.h']
    """

    kind = "SensorClassifier"
    classes_: np.ndarray

    def __init__(
        self,
        front_end: FrontEnd | None = None,
        teacher: Any = None,
        *,
        temperature: float = 2.0,
        hard_weight: float = 0.5,
        sizes: tuple[int, ...] | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.front_end = front_end
        self.teacher = teacher
        self.temperature = temperature
        self.hard_weight = hard_weight
        self.sizes = sizes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        groups: npt.ArrayLike | None = None,
    ) -> SensorClassifier:
        """Learn from labelled rows.

        Args:
            X: (n, features); with a front end windows of samples, (n, window, channels) or (n, window * channels).
            y: The class of each, (n,), numbers or text, of two classes or more.
            sample_weight: What each row counts in the loss, (n,), at least 0; rows of 0 are left out.
            groups: The recording of each row, (n,): where a teacher is fitted here, no recording is on both sides of a fold.

        Raises:
            ValueError: For fewer than two classes, parameters out of range, or a teacher that is none.
        """
        self._require_parameters()
        if y is None:
            raise ValueError("SensorClassifier requires y to be passed, but the target y is None")
        x = self._checked(X, reset=True)
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        check_consistent_length(x, labels, groups)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, x, ensure_non_negative=True)
        counted = np.ones(len(x), bool) if weights is None else weights > 0
        self.classes_ = np.unique(labels)
        present = len(np.unique(labels[counted]))
        if present < 2:
            raise ValueError(f"SensorClassifier tells two classes or more apart, and y has {present} class")
        front_end = self.front_end or rows_as_they_are(x.shape[1])
        data = Labelled(
            windows_of_rows(x[counted], front_end),
            labels[counted],
            self.classes_,
            None if weights is None else np.asarray(weights[counted] / weights[counted].mean(), np.float32),
            None if groups is None else np.asarray(groups)[counted],
        )
        trained = train_classifier(front_end, data, self._recipe(), self._seed())
        self.firmware_, self.converted_ = trained.firmware, trained.converted
        self.loss_, self._kept = trained.loss, trained.kept
        return self

    def predict_proba(self, X: npt.ArrayLike) -> np.ndarray:
        """The probability of each class, (n, classes): the softmax of the int8 model's outputs."""
        outputs = self._outputs(X)
        graph = read(self.firmware_.tflite)
        quantization = graph.tensors[graph.outputs[0]].quantization
        assert quantization is not None
        return softmax(outputs.astype(np.float64) * quantization.scale[0])

    def predict(self, X: npt.ArrayLike) -> np.ndarray:
        """The class of each row, (n,): what the C on the chip recognizes.

        Where the highest two outputs are equal integers, it is the first of them here, and the C recognizes none. A value
        beyond ±1e8, which the chip reports as a fault of the sensor, is taken for that limit here.
        """
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    def export(
        self,
        directory: str | Path,
        name: str = "classifier",
        *,
        board: str | None = None,
        runtime: Runtime = "static",
        min_hits: int = 1,
        history: int = 1,
        suppression: int = 0,
    ) -> tuple[Path, ...]:
        """Write the classifier in C: front end, scaling, int8 model and recognizer.

        Each row of X is one sample of as many channels as there are features; with a front end, its samples.

        Args:
            directory: Of a project it must be empty or not exist.
            name: Prefix of files and C identifiers.
            board: A key of `micro.firmware.boards.BOARDS` for a whole project that builds, with a self-test on rows of
                all classes; None for the C files alone, of which static C runs the model.
            runtime: Of a project 'static' or 'tflm'.
            min_hits, history, suppression: As in `micro.Recognizer`: a class is recognized while `min_hits` of the last
                `history` windows are of it, and after a report `suppression` windows are passed over.

        Returns:
            The paths written.

        Raises:
            ValueError: For an unknown board, a name that is no C identifier, or counts that make no sense.
            FileExistsError: Where a project's folder is not empty.
        """
        check_is_fitted(self, "firmware_")
        assert isinstance(self.firmware_.decider, Recognizer)
        recognizer = replace(self.firmware_.decider, min_hits=min_hits, history=history, suppression=suppression)
        firmware = replace(self.firmware_, decider=recognizer)
        return write(directory, files_of(firmware, self._kept, name, board, runtime), board)

    def _require_parameters(self) -> None:
        super()._require_parameters()
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature must be above 0, got {self.temperature!r}")
        if not 0 <= self.hard_weight <= 1:
            raise ValueError(f"hard_weight must be between 0 and 1, got {self.hard_weight!r}")
        require_classifier(self.teacher)

    def _recipe(self) -> ClassRecipe:
        return ClassRecipe(
            tuple(self.sizes or ()),
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.teacher,
            self.temperature,
            self.hard_weight,
        )

    def _outputs(self, X: npt.ArrayLike) -> np.ndarray:
        """The int8 outputs of each row, (n, classes)."""
        check_is_fitted(self, "firmware_")
        return logits_of(self.firmware_, self._windows(X))

    def _saved(self) -> Saved:
        return replace(self._common(), classes=self.classes_)

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        assert saved.classes is not None
        self.classes_ = saved.classes
