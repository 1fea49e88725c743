"""What every objective is: something that compares a teacher's tensor with a student's."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import keras
from keras import ops

from keras_kd.schedules import Schedule

ACTIVATIONS = ("linear", "softmax", "sigmoid")
# A layer by name, by path into nested models, as the object itself, or as what a callable finds in the model.
LayerRef = Any


class Objective(keras.distillation.DistillationLoss):
    """Compare teacher and student: one value an example, or one value a batch.

    Subclasses write `compare`. Everything else has a working default, so that an objective of one's own is
    a class with one method (and `get_config`, where it takes arguments of its own). It also serves as a loss in
    `keras.distillation.Distiller`, unless it learns or needs labels.

    Args:
        weight: Factor in the sum that training minimises, finite and not negative, or a schedule over training steps.
        name: Key in the training logs; by default the class name in snake case.
        teacher_layer, student_layer: The layers whose outputs are compared: a name, a path 'block/conv' into nested models,
            the layer itself, or a callable that takes the model and returns the layer. None for the model's output.

    Raises:
        ValueError: If the weight is negative or not finite.
    """

    # `compare` uses the labels.
    needs_labels = False
    # `compare` takes `mask`; for others, masked positions are set to zero on both sides.
    takes_mask = False
    # How many layers of each side are compared at once; more than one come as a tuple.
    layers_a_side = 1

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        name: str | None = None,
        teacher_layer: LayerRef = None,
        student_layer: LayerRef = None,
    ) -> None:
        self.name = (
            name
            or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__.strip("_")).lower()
        )
        self.weight = number_or_schedule(weight, f"objective {type(self).__name__}: weight", minimum=0.0)
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        """Value of the objective on float32 tensors: shape (batch,), or () where it compares examples with each other."""
        raise NotImplementedError(f"objective {type(self).__name__}: write compare(self, teacher, student, y=None)")

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        """Raise ValueError where tensors of these shapes (batch axis included) cannot be compared."""

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> Objective:
        """The objective to train with, once it is known how the two compared outputs were made.

        Each activation is 'linear', 'softmax' or 'sigmoid', or None where the model does not tell.
        """
        return self

    @property
    def learnt(self) -> tuple[keras.Layer, ...]:
        """Layers trained along with the student that are not part of it, such as a regressor; `build` makes them."""
        return ()

    def build(self, teacher_shape: Any, student_shape: Any) -> None:
        """Make the weights of `learnt` for tensors of these shapes."""

    def at(self, step: Any) -> Objective:
        """The objective at a training step: every schedule in it replaced by its value."""
        scheduled = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        if not scheduled:
            return self
        now = copy.copy(self)
        for name, schedule in scheduled.items():
            setattr(now, name, schedule(step))
        return now

    def __call__(self, teacher_outputs: Any, student_outputs: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Value on arrays, outside training and without the weight; schedules stand at their first value.

        `mask` is (batch, positions): which positions of (batch, positions, ...) tensors count.
        """
        if y is None and self.needs_labels:
            raise ValueError(f"objective {type(self).__name__} needs labels: pass y")
        teacher, student = (keras.tree.map_structure(_float32, side) for side in (teacher_outputs, student_outputs))
        shapes = [keras.tree.map_structure(lambda tensor: tuple(tensor.shape), side) for side in (teacher, student)]
        self.check(*shapes)
        if any(not layer.built for layer in self.learnt):
            self.build(*shapes)
        objective = self.at(0)
        if mask is None:
            return objective.compare(teacher, student, y)
        mask = _float32(mask)
        if self.takes_mask:
            return objective.compare(teacher, student, y, mask=mask)  # type: ignore[call-arg]
        return objective.compare(apply_mask(teacher, mask), apply_mask(student, mask), y)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as Keras serialises them."""
        return {
            "weight": plain(self.weight),
            "name": self.name,
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """The objective that `get_config` described."""
        return cls(**{key: _revived(value) for key, value in config.items()})

    # What keras.distillation.Distiller asks of its losses.

    @property
    def teacher_layer_name(self) -> str | None:
        """`teacher_layer`, by the name that Keras's distiller uses."""
        return self.teacher_layer

    @property
    def student_layer_name(self) -> str | None:
        """`student_layer`, by the name that Keras's distiller uses."""
        return self.student_layer

    def validate_model_compatibility(self, teacher: keras.Model, student: keras.Model) -> None:
        """Refuse what Keras's distiller cannot do: train layers of an objective, hand it labels, tell logits apart."""
        label = f"objective {type(self).__name__}"
        if self.needs_labels or self.learnt:
            reason = "needs labels" if self.needs_labels else "trains layers of its own"
            raise ValueError(
                f"{label} {reason}, which keras.distillation.Distiller does not do; use keras_kd.Distiller"
            )
        if any(ref is not None and not isinstance(ref, str) for ref in (self.teacher_layer, self.student_layer)):
            raise ValueError(f"{label}: keras.distillation.Distiller takes layers by name only")
        from keras_kd.layers import activation_of

        found = [
            activation_of(model, layer)
            for model, layer in ((teacher, self.teacher_layer), (student, self.student_layer))
        ]
        resolved = self.resolve(found[0], found[1])
        if resolved.get_config() != self.get_config():
            told = {
                key: value
                for key, value in resolved.get_config().items()
                if value != self.get_config()[key] and value != "linear"
            }
            if told:
                raise ValueError(
                    f"{label}: in keras.distillation.Distiller pass {', '.join(f'{k}={v!r}' for k, v in told.items())}"
                )

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """Mean over the batch, as Keras's distiller calls it."""
        return ops.mean(self(teacher_outputs, student_outputs))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items() if v is not None)})"
        )


def apply_mask(side: Any, mask: Any) -> Any:
    """Positions that do not count set to zero: (batch, positions, ...), (batch, positions)."""

    def zeroed(tensor: Any) -> Any:
        if tuple(tensor.shape[:2]) != tuple(mask.shape[:2]) and None not in (*tensor.shape[:2], *mask.shape[:2]):
            return tensor
        return tensor * ops.reshape(mask, (*ops.shape(mask), *(1 for _ in tensor.shape[2:])))

    return keras.tree.map_structure(zeroed, side)


def number_or_schedule(value: Any, what: str, **limits: Any) -> Any:
    """A number within the limits of `require_number`, or a schedule whose first value is."""
    if isinstance(value, Schedule):
        require_number(float(ops.convert_to_numpy(value(0))), f"{what} at step 0", **limits)
        if hasattr(value, "end"):
            require_number(value.end, f"{what} at its end", **limits)
        return value
    return require_number(value, what, **limits)


def plain(value: Any) -> Any:
    """A number as it is, a schedule as Keras serialises it."""
    return keras.saving.serialize_keras_object(value) if isinstance(value, Schedule) else value


def _revived(value: Any) -> Any:
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return tuple(value) if isinstance(value, list) else value


def _float32(value: Any) -> Any:
    return ops.cast(ops.convert_to_tensor(value), "float32")


def flat(features: Any) -> Any:
    """(batch, ...) -> (batch, n)."""
    return ops.reshape(features, (ops.shape(features)[0], -1))


def square_root(values: Any) -> Any:
    """Square root whose gradient at zero is zero instead of infinite; `values` not negative."""
    positive = values > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, values, 1.0)), 0.0)


def unit(vectors: Any, axis: int = -1) -> Any:
    """Vectors scaled to length 1; zero vectors stay zero, with zero gradient."""
    length = square_root(ops.sum(ops.square(vectors), axis=axis, keepdims=True))
    return vectors / ops.where(length > 0, length, 1.0)


def mean_huber(difference: Any) -> Any:
    """Mean over all entries of Huber's loss with delta 1: half the square up to 1, linear beyond."""
    # c * d - c^2 / 2 with c = clip(d): its slope in d is c, so c may stand as a constant, which halves the backward pass.
    clipped = ops.stop_gradient(ops.clip(difference, -1.0, 1.0))
    return ops.mean(clipped * difference) - 0.5 * ops.mean(ops.square(clipped))


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


def mean_over_inner_axes(values: Any, mask: Any = None) -> Any:
    """Average over every axis but the first: (batch, ...) -> (batch,).

    With a mask (batch, positions) an example's value is its sum over positions, weighted by the mask, over the batch's mean
    count of kept positions: the mean over the batch is then the mean over all kept positions, as in Keras's losses.
    """
    if len(values.shape) == 1:
        return values
    if mask is None:
        return ops.mean(flat(values), axis=-1)
    by_position = ops.mean(ops.reshape(values, (*ops.shape(values)[:2], -1)), axis=-1)
    kept = ops.sum(ops.cast(mask > 0, "float32")) / ops.cast(ops.shape(values)[0], "float32")
    return ops.sum(by_position * mask, axis=-1) / ops.where(kept > 0, kept, 1.0)


serializable = keras.saving.register_keras_serializable(package="keras_kd")
