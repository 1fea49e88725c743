"""The few faults that are known, whose reconstruction error is to lie far above that of healthy examples."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number
from keras_kd.objectives.anomaly import FLOOR, reconstruction_error, require_one_number
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# Least standard deviation of the logarithm of healthy examples' errors: of one example in a batch it would be none.
LEAST_SPREAD = 0.05


@serializable
class Deviation(Objective):
    """Teach an autoencoder known faults: healthy examples are reconstructed, faults are not, by a margin.

    For a healthy example error = mean((y - student)^2), for a known fault pull * max(0, margin - deviation), where deviation =
    (log(error + 1e-6) - level) / spread. Level and spread are the mean and standard deviation of log(error + 1e-6) over the
    healthy examples of the batch; no gradient goes through them. A batch without healthy examples teaches nothing of faults.

    The teacher is whoever knows the faults: it gives 1 for each known fault and 0 for every other example. Labels are the
    inputs. The objective does what a loss on labels would, which would have faults reconstructed too: train with
    `hard_weight=0.0`. One fault in ten examples is enough, if need be the same again and again: with more of them, or a
    stronger pull, other faults are found less often.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        margin: Standard deviations of healthy examples by which a fault's error lies above their level at least, above 0.
        pull: How much a standard deviation that a fault lacks counts beside healthy examples' error, above 0.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, 1), student (batch, *features), y likewise -> (batch,), at least 0.

    Raises:
        ValueError: For a teacher that gives more than one number an example, or a margin or pull that is not positive.

    Examples:
        >>> objective, known = keras_kd.Deviation(), np.array([[0], [0], [1]])
        >>> inputs, reconstructed = np.zeros((3, 4)), np.array([[0.5] * 4, [0.5] * 4, [0.6] * 4])
        >>> np.array(objective(known, reconstructed, inputs)).round(4)
        array([0.25, 0.25, 0.  ], dtype=float32)
        >>> reconstructed[2] = 0.51  # a fault that is reconstructed nearly as well as what is healthy
        >>> np.array(objective(known, reconstructed, inputs)).round(4)
        array([0.25  , 0.25  , 1.2624], dtype=float32)

    Source: the deviation loss of Pang, Shen and van den Hengel 2019, https://arxiv.org/abs/1911.08623, with two changes:
        reference scores are those of healthy examples and not drawn from a normal distribution, and a healthy example counts by
        its error and not by its absolute deviation, so that the model stays an autoencoder.
    """

    needs_labels = True

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        margin: float = 5.0,
        pull: float = 0.3,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.margin = require_number(margin, "objective Deviation: margin", above=0.0)
        self.pull = require_number(pull, "objective Deviation: pull", above=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_one_number("Deviation", teacher_shape, "number an example, 1 for a known fault and 0 for any other")

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        error = reconstruction_error("Deviation", student, y)
        faulty = ops.cast(teacher[:, 0] > 0.5, "float32")
        logs = ops.log(error + FLOOR)
        level, spread, known = _level(ops.stop_gradient(logs), 1.0 - faulty)
        lacking = ops.maximum(0.0, self.margin - (logs - level) / spread)
        return (1.0 - faulty) * error + faulty * known * self.pull * lacking

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "pull": self.pull}


def _level(logs: Tensor, healthy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of healthy examples' logarithms, and 1 where there are any, else 0."""
    count = ops.sum(healthy)
    known = ops.minimum(count, 1.0)
    level = ops.sum(logs * healthy) / ops.maximum(count, 1.0)
    variance = ops.sum(ops.square(logs - level) * healthy) / ops.maximum(count, 1.0)
    return level, ops.maximum(ops.sqrt(variance + 1e-12), LEAST_SPREAD), known
