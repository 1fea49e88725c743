"""Weights and temperatures that change during training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsFloat

import keras
from keras import ops

from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor

if TYPE_CHECKING:

    class Schedule:
        """A value for each training step."""

        def __call__(self, step: Tensor | int) -> Tensor:
            """Value at a step."""

else:
    Schedule = keras.optimizers.schedules.LearningRateSchedule


@serializable
class Ramp(Schedule):
    """A weight or temperature that goes from `start` to `end` over a number of training steps.

    Pass it as the `weight` or `temperature` of an objective. Any schedule of keras.optimizers.schedules works there too.

    Args:
        start: Value until the ramp begins, finite and at least 0.
        end: Value after the ramp, finite and at least 0.
        steps: Length of the ramp in training steps (batches), at least 1.
        begin: Training steps before the ramp, at least 0.
        shape: 'linear', or 'cosine' for a soft start and end.

    Raises:
        ValueError: For values outside these ranges.

    Examples:
        >>> temperature = keras_kd.Ramp(4.0, 1.0, steps=100)
        >>> [float(temperature(step)) for step in (0, 50, 200)]
        [4.0, 2.5, 1.0]
        >>> objective = keras_kd.SoftTarget(temperature)
    """

    def __init__(self, start: float, end: float, steps: int, *, begin: int = 0, shape: str = "linear") -> None:
        for what, value in (("start", start), ("end", end)):
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"Ramp: {what} must be finite and not negative, got {value}")
        if steps < 1 or begin < 0:
            raise ValueError(f"Ramp: steps must be at least 1 and begin at least 0, got {steps} and {begin}")
        if shape not in ("linear", "cosine"):
            raise ValueError(f"Ramp: shape must be 'linear' or 'cosine', got {shape!r}")
        self.start, self.end, self.steps, self.begin, self.shape = float(start), float(end), steps, begin, shape

    def __call__(self, step: Tensor | int) -> Tensor:
        """Value at a training step, a float32 tensor of shape ()."""
        done = ops.clip((ops.cast(step, "float32") - self.begin) / self.steps, 0.0, 1.0)
        if self.shape == "cosine":
            done = 0.5 - 0.5 * ops.cos(math.pi * done)
        return self.start + (self.end - self.start) * done

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as Keras serializes them."""
        return {"start": self.start, "end": self.end, "steps": self.steps, "begin": self.begin, "shape": self.shape}


def number_or_schedule(
    value: SupportsFloat | Schedule,
    what: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A number within the limits of `require_number`, or a schedule whose first and last values are."""
    if not isinstance(value, Schedule):
        return require_number(value, what, minimum=minimum, above=above, maximum=maximum)
    first = float(ops.convert_to_numpy(value(0)))
    require_number(first, f"{what} at step 0", minimum=minimum, above=above, maximum=maximum)
    if hasattr(value, "end"):
        require_number(value.end, f"{what} at its end", minimum=minimum, above=above, maximum=maximum)
    return value


def as_config(value: float | Schedule | None) -> Any:
    """A number as it is, a schedule as Keras serializes it."""
    return keras.saving.serialize_keras_object(value) if isinstance(value, Schedule) else value


@serializable
class Scaled(Schedule):
    """Another schedule's values times a factor."""

    def __init__(self, schedule: Schedule, factor: float) -> None:
        self.schedule, self.factor = schedule, float(factor)

    def __call__(self, step: Tensor | int) -> Tensor:
        """Value at a training step."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as Keras serializes them."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Scaled:
        """The schedule that `get_config` described."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """A schedule of the same shape with all values times a factor; a Ramp stays a Ramp."""
    if isinstance(schedule, Ramp):
        return Ramp(
            schedule.start * factor, schedule.end * factor, schedule.steps, begin=schedule.begin, shape=schedule.shape
        )
    return Scaled(schedule, factor)
