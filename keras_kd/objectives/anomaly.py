"""An anomaly score that a student's reconstruction error learns to follow."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number, same_sizes
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# Added to errors before the logarithm: an exact reconstruction has one.
FLOOR = 1e-6


@serializable
class ScoreMatching(Objective):
    """Make an autoencoder's reconstruction error follow the score of a teacher that detects anomalies.

    Huber(log(mean((y - student)^2) + 1e-6) / spread - teacher), quadratic up to a difference of 1, then linear. Any detector
    can be the teacher. It gives one score an example, standardized: 0 for the mean of normal examples, 1 for one standard
    deviation more. The student learns to make an error of exp(spread * score), for inputs with a variance of about 1. Train on
    normal examples and on synthetic ones around them: the score of what never occurs in training cannot be learned. Labels are
    the inputs: `fit(x, x)`.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        spread: Standard deviation of the logarithm of the error on normal examples, above 0.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, 1), student (batch, *features), y likewise -> (batch,), at least 0.

    Raises:
        ValueError: For a teacher that gives more than one number an example, or a spread that is not positive.

    Examples:
        >>> objective = keras_kd.ScoreMatching()
        >>> inputs, reconstructed = np.zeros((1, 4)), np.full((1, 4), 0.5)
        >>> np.array(objective(np.log([[0.25]]) / 0.2, reconstructed, inputs)).round(4)
        array([0.], dtype=float32)

    Source: regression on a detector's score, the pseudo-supervised approximation of Zhao et al. 2021 (SUOD),
        https://arxiv.org/abs/2003.05731; on synthetic examples Bucila et al. 2006, https://doi.org/10.1145/1150402.1150464
    """

    needs_labels = True

    def __init__(
        self, weight: float | Schedule = 1.0, *, spread: float = 0.2, **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, **kwargs)
        self.spread = require_number(spread, "objective ScoreMatching: spread", above=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_one_number("ScoreMatching", teacher_shape, "score an example")

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        error = reconstruction_error("ScoreMatching", student, y)
        off = ops.abs(ops.log(error + FLOOR) / self.spread - teacher[:, 0])
        return ops.where(off <= 1.0, 0.5 * ops.square(off), off - 0.5)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "spread": self.spread}


def require_one_number(objective: str, teacher_shape: Shape, what: str) -> None:
    """ValueError for a teacher that does not give one number an example; `what` says in words which."""
    if len(teacher_shape) != 2 or teacher_shape[-1] != 1:
        raise ValueError(
            f"objective {objective}: the teacher gives {tuple(teacher_shape)}; it must give one {what}, (batch, 1)"
        )


def reconstruction_error(objective: str, student: Tensor, y: Structure | None) -> Tensor:
    """Mean squared difference between inputs and what a student makes of them: (batch, *features) each -> (batch,).

    Raises:
        ValueError: Names the objective whose student does not give as much as the inputs hold.
    """
    wanted = ops.cast(ops.convert_to_tensor(y), "float32")
    if not same_sizes(tuple(wanted.shape), tuple(student.shape)):
        raise ValueError(
            f"objective {objective}: the student gives {tuple(student.shape)} for inputs of {tuple(wanted.shape)}: it must "
            "reconstruct them, and y are the inputs"
        )
    squares = ops.square(wanted - student)
    return ops.mean(ops.reshape(squares, (ops.shape(squares)[0], -1)), axis=-1)
