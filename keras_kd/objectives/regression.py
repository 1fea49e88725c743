"""Objectives for students that give numbers instead of classes: bounded by the labels, with variances, for boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number, require_same_shape
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.tensors import flat, hidden, mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# Errors of a prediction, entry by entry.
ERRORS = ("squared", "absolute", "pinball")


@serializable
class TeacherBounded(Objective):
    """Count the student's error on the labels only where it is not better than the teacher's by a margin.

    For each example (or position) with errors e_s and e_t, means over the outputs: e_s where e_s + margin > e_t, else 0. The
    teacher's output is a bound to reach, not a target: where the teacher errs, nothing is copied. For quantile students take
    'pinball': each output is held against the label with the slope of its quantile.

    Args:
        margin: In units of the error, at least 0.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        error: 'squared', 'absolute' or 'pinball'.
        quantiles: For 'pinball', the quantile of each output, above 0 and below 1.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, ..., outputs), student (batch, ..., outputs), y of the same shape, without the last axis, or with
        one of length 1 -> (batch,), at least 0.

    Raises:
        ValueError: For different shapes, an unknown error, quantiles that are missing or not one an output.

    Examples:
        >>> objective = keras_kd.TeacherBounded()
        >>> teacher, student = np.array([[1.0], [1.0]]), np.array([[2.0], [0.5]])
        >>> np.array(objective(teacher, student, y=np.zeros((2, 1))))  # the second student is better than its teacher
        array([4., 0.], dtype=float32)

    Source: Chen et al. 2017, section 3.3, "Learning efficient object detection models with knowledge distillation"; the
        pinball error is Koenker and Bassett 1978, https://doi.org/10.2307/1913643
    """

    needs_labels = True
    takes_mask = True

    def __init__(
        self,
        margin: float = 0.0,
        weight: float | Schedule = 1.0,
        *,
        error: str = "squared",
        quantiles: Sequence[float] | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.margin = require_number(margin, "objective TeacherBounded: margin", minimum=0.0)
        if error not in ERRORS:
            raise ValueError(f"objective TeacherBounded: error must be {', '.join(map(repr, ERRORS))}, got {error!r}")
        if (error == "pinball") != (quantiles is not None):
            raise ValueError("objective TeacherBounded: quantiles go with error='pinball', one for each output")
        self.error = error
        self.quantiles = None if quantiles is None else tuple(float(quantile) for quantile in quantiles)
        if self.quantiles is not None and not all(0.0 < quantile < 1.0 for quantile in self.quantiles):
            raise ValueError(f"objective TeacherBounded: quantiles lie between 0 and 1, got {self.quantiles}")

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        if self.quantiles is not None and student_shape[-1] != len(self.quantiles):
            raise ValueError(
                f"objective TeacherBounded: {len(self.quantiles)} quantiles for outputs {tuple(student_shape)}; one for each"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        assert y is not None
        labels = ops.cast(ops.convert_to_tensor(y), "float32")
        if len(labels.shape) < len(student.shape):
            labels = ops.expand_dims(labels, -1)
        theirs, mine = (ops.mean(self._errors(labels - side), axis=-1) for side in (teacher, student))
        counts = ops.cast(mine + self.margin > theirs, "float32")
        return mean_over_inner_axes(counts * mine, mask)

    def _errors(self, difference: Tensor) -> Tensor:
        """Errors of label less output, entry by entry."""
        if self.error == "squared":
            return ops.square(difference)
        if self.error == "absolute":
            return ops.abs(difference)
        quantiles = ops.convert_to_tensor(self.quantiles, dtype="float32")
        return ops.maximum(quantiles * difference, (quantiles - 1.0) * difference)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "error": self.error, "quantiles": self.quantiles}


@serializable
class GaussianTarget(Objective):
    """Match a teacher that says how sure it is: KL(N(mean_t, variance_t) || N(mean_s, variance_s)), mean over the outputs.

    Both models give means and logarithms of variances side by side, outputs 0 to n - 1 and n to 2n - 1. Where the teacher is
    unsure, its mean counts for less. log sigma_s - log sigma_t + (variance_t + (mean_t - mean_s)^2) / (2 variance_s) - 1/2.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        variance: 'student' where the student gives variances too; 'teacher' where it gives the means alone: then the
            teacher's variance stands for its own, and (mean_t - mean_s)^2 / (2 variance_t) is left.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, ..., 2n), student (batch, ..., 2n), or (batch, ..., n) for 'teacher' -> (batch,), at least 0.

    Raises:
        ValueError: For an odd number of outputs, or shapes that do not fit together.

    Examples:
        >>> teacher, student = np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]])  # means 1 and 0, both variances 1
        >>> np.array(keras_kd.GaussianTarget()(teacher, student))
        array([0.5], dtype=float32)

    Source: heteroscedastic outputs as in Kendall and Gal 2017, section 3.1, https://arxiv.org/abs/1703.04977
    """

    takes_mask = True

    def __init__(
        self, weight: float | Schedule = 1.0, *, variance: str = "student", **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, **kwargs)
        if variance not in ("student", "teacher"):
            raise ValueError(f"objective GaussianTarget: variance must be 'student' or 'teacher', got {variance!r}")
        self.variance = variance

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        outputs = teacher_shape[-1]
        if outputs is None or outputs % 2:
            raise ValueError(
                f"objective GaussianTarget: the teacher gives {tuple(teacher_shape)}; means and log variances are an even "
                "number"
            )
        wanted = outputs if self.variance == "student" else outputs // 2
        require_same_shape(self.message_name, (*teacher_shape[:-1], wanted), student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        half = teacher.shape[-1] // 2
        mean_t, log_t = teacher[..., :half], teacher[..., half:]
        mean_s, log_s = student[..., :half], student[..., half:] if self.variance == "student" else log_t
        squares = ops.square(mean_t - mean_s) * ops.exp(-log_s)
        values = 0.5 * (log_s - log_t + ops.exp(log_t - log_s) + squares - 1.0)
        return mean_over_inner_axes(ops.mean(values, axis=-1), mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "variance": self.variance}


@serializable
class ObjectnessScaled(Objective):
    """Regress a detector's boxes where the teacher sees an object: o_t * mean over the box of (teacher - student)^2.

    o_t is the teacher's objectness at the position, a probability. Where the teacher sees background its boxes mean nothing,
    and nothing is copied. The mean over positions is weighted: the sum of o_t times the differences over the sum of o_t of
    the example.

    Args:
        boxes: Channels that hold the box, at least one.
        objectness: Channel that holds the objectness.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        from_logits: Whether the objectness is a logit; else it is a probability.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels), student likewise -> (batch,), at least 0.

    Raises:
        ValueError: For different shapes or channels that are not there.

    Examples:
        >>> objective = keras_kd.ObjectnessScaled(boxes=(0, 1, 2, 3), objectness=4, from_logits=False)
        >>> teacher = np.array([[[1.0, 1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 9.0, 9.0, 0.0]]])
        >>> np.array(objective(teacher, np.zeros((1, 2, 5))))  # the second position is background
        array([1.], dtype=float32)

    Source: Mehta and Ozturk 2018, https://arxiv.org/abs/1805.06361; the mean over positions instead of a sum.
    """

    takes_mask = True
    weighs_positions = False

    def __init__(
        self,
        boxes: Sequence[int],
        objectness: int,
        weight: float | Schedule = 1.0,
        *,
        from_logits: bool = True,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.boxes, self.objectness, self.from_logits = tuple(map(int, boxes)), int(objectness), bool(from_logits)
        if not self.boxes or min((*self.boxes, self.objectness)) < 0 or self.objectness in self.boxes:
            raise ValueError(
                f"objective ObjectnessScaled: boxes are channels from 0 up and objectness another one, got {self.boxes} and "
                f"{self.objectness}"
            )

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        channels, highest = teacher_shape[-1], max((*self.boxes, self.objectness))
        if len(teacher_shape) < 3 or channels is None or channels <= highest:
            raise ValueError(
                f"objective ObjectnessScaled takes (batch, *positions, channels) with more than {highest} channels, got "
                f"{tuple(teacher_shape)}"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        seen = teacher[..., self.objectness]
        seen = ops.sigmoid(seen) if self.from_logits else seen
        squares = ops.square(ops.take(teacher, self.boxes, axis=-1) - ops.take(student, self.boxes, axis=-1))
        seen = hidden(seen, mask)
        return ops.sum(flat(seen * ops.mean(squares, axis=-1)), axis=-1) / ops.maximum(
            ops.sum(flat(seen), axis=-1), 1e-6
        )

    def get_config(self) -> dict[str, Any]:
        own = {"boxes": self.boxes, "objectness": self.objectness, "from_logits": self.from_logits}
        return {**super().get_config(), **own}
