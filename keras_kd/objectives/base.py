"""What every objective is: something that compares a teacher's tensor with a student's."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
from keras import ops

ACTIVATIONS = ("linear", "softmax", "sigmoid")


class Objective:
    """Compare teacher and student: one value an example, or one value a batch.

    Subclasses write `compare`. Everything else has a working default, so that an objective of one's own is
    a class with one method (and `get_config`, where it takes arguments of its own).

    Args:
        weight: Factor in the sum that training minimises, finite and not negative.
        name: Key in the training logs; by default the class name in snake case.
        teacher_layer, student_layer: Names of the layers whose outputs are compared; None for the model's output.

    Raises: ValueError if the weight is negative or not finite.
    """

    needs_labels = False

    def __init__(
        self,
        weight: float = 1.0,
        *,
        name: str | None = None,
        teacher_layer: str | None = None,
        student_layer: str | None = None,
    ) -> None:
        self.name = (
            name
            or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__.strip("_")).lower()
        )
        self.weight = require_number(weight, f"objective {type(self).__name__}: weight", minimum=0.0)
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        """Value of the objective on float32 tensors: shape (batch,), or () where it compares examples with each other."""
        raise NotImplementedError(f"objective {type(self).__name__}: write compare(self, teacher, student, y=None)")

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        """Raise ValueError where tensors of these shapes (batch axis included) cannot be compared."""

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> Objective:
        """The objective to train with, once it is known how the two compared outputs were made.

        Each activation is 'linear', 'softmax' or 'sigmoid', or None where the model does not tell.
        """
        return self

    def __call__(self, teacher_outputs: Any, student_outputs: Any, y: Any = None) -> Any:
        """Value on arrays, outside training and without the weight."""
        if y is None and self.needs_labels:
            raise ValueError(f"objective {type(self).__name__} needs labels: pass y")
        teacher = ops.cast(ops.convert_to_tensor(teacher_outputs), "float32")
        student = ops.cast(ops.convert_to_tensor(student_outputs), "float32")
        self.check(tuple(teacher.shape), tuple(student.shape))
        return self.compare(teacher, student, y)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as Keras serialises them."""
        return {
            "weight": self.weight,
            "name": self.name,
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """The objective that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items() if v is not None)})"
        )


def require_same_shape(
    objective: Objective, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]
) -> None:
    """Raise ValueError where two shapes differ in rank or in a known dimension after the batch."""
    same_rank = len(teacher_shape) == len(student_shape)
    clash = any(t != s for t, s in zip(teacher_shape[1:], student_shape[1:]) if t is not None and s is not None)
    if not same_rank or clash:
        raise ValueError(
            f"objective {type(objective).__name__}: teacher gives {tuple(teacher_shape)}, student gives "
            f"{tuple(student_shape)}; the two must have the same shape"
        )


def require_number(
    value: Any, what: str, *, minimum: float | None = None, above: float | None = None, maximum: float | None = None
) -> float:
    """`value` as a finite float within the stated range; ValueError naming `what` otherwise."""
    if isinstance(value, bool) or (not isinstance(value, (int, float)) and not hasattr(value, "__float__")):
        raise ValueError(f"{what} must be a number, got {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} must be finite, got {number}")
    if minimum is not None and number < minimum:
        raise ValueError(f"{what} must be at least {minimum:g}, got {number:g}")
    if above is not None and number <= above:
        raise ValueError(f"{what} must be above {above:g}, got {number:g}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{what} must be at most {maximum:g}, got {number:g}")
    return number


def mean_over_inner_axes(values: Any) -> Any:
    """Average over every axis but the first: (batch, ...) -> (batch,)."""
    return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1) if len(values.shape) > 1 else values


serializable = keras.saving.register_keras_serializable(package="keras_kd")
