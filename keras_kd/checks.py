"""Checks of arguments and shapes, whose messages name what was given and what would be right."""

from __future__ import annotations

import math
from typing import SupportsFloat

from keras_kd.types import Shape


def require_number(
    value: SupportsFloat,
    what: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> float:
    """`value` as a float.

    Raises:
        ValueError: Naming `what`, if it is not a finite number within the range.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
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


def require_same_shape(label: str, teacher_shape: Shape, student_shape: Shape) -> None:
    """Raise ValueError where two shapes differ in rank or in a known size after the batch axis."""
    if not same_sizes(teacher_shape[1:], student_shape[1:]):
        raise ValueError(
            f"{label}: teacher gives {tuple(teacher_shape)}, student gives {tuple(student_shape)}; "
            "the two must have the same shape"
        )


def require_width(label: str, width: int | None, shape: Shape, what: str) -> None:
    """Raise ValueError where features are a single number and are compared by a measure that only knows its sign."""
    if width == 1:
        raise ValueError(
            f"{label}: {what} of features of one number, {tuple(shape)}, is always 1 or -1 and teaches nothing; "
            "name a wider layer, or use RelationalDistance, LogitMatching or Reconstruction"
        )


def same_sizes(a: Shape, b: Shape) -> bool:
    """Whether two shapes agree in rank and in every size that both know."""
    return len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b))
