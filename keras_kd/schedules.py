"""Weights and temperatures that change during training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:

    class Schedule:
        """A value for each training step."""

        def __call__(self, step: Any) -> Any:
            """Value at a step."""

else:
    Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_kd")
class Ramp(Schedule):
    """Go from `start` to `end` over `steps` training steps, after `begin` steps at `start`; any of Keras's schedules works too.

    Args:
        start, end: Values, finite and not negative.
        steps: Length of the ramp in training steps, at least 1.
        begin: Steps before the ramp.
        shape: 'linear', or 'cosine' for a soft start and end.

    Raises:
        ValueError: For values outside these ranges.
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

    def __call__(self, step: Any) -> Any:
        """Value at a training step, a float32 tensor."""
        done = ops.clip((ops.cast(step, "float32") - self.begin) / self.steps, 0.0, 1.0)
        if self.shape == "cosine":
            done = 0.5 - 0.5 * ops.cos(math.pi * done)
        return self.start + (self.end - self.start) * done

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"start": self.start, "end": self.end, "steps": self.steps, "begin": self.begin, "shape": self.shape}
