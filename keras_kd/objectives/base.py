"""What every objective is: something that compares a teacher's tensor with a student's."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import keras
from keras import ops

from keras_kd.objectives.top_k import TopK
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
    # `compare` takes `mask`, the weights of positions; for others, masked positions are set to zero on both sides.
    takes_mask = False
    # `compare` takes a teacher's highest logits alone, as a TopK.
    takes_top_k = False
    # Set on the copy that a Distiller trains with, for objectives that remember something of training.
    training = False
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

    def at(self, step: Any, training: bool = False) -> Objective:
        """The objective at a step, of training or not: every schedule in it replaced by its value."""
        scheduled = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        if not scheduled and training == self.training:
            return self
        now = copy.copy(self)
        now.training = training
        for name, schedule in scheduled.items():
            setattr(now, name, schedule(step))
        return now

    def changed(self, **arguments: Any) -> Objective:
        """A new objective of the same arguments but these, with layers of its own to learn."""
        return type(self).from_config({**self.get_config(), **arguments})

    def __call__(self, teacher_outputs: Any, student_outputs: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Value on arrays, outside training and without the weight; schedules stand at their first value.

        `mask` is (batch, *positions), or its first axes: which positions of (batch, *positions, ...) tensors count. The mean
        over the batch is then the mean over the positions kept, as in Keras's losses.
        """
        return self.at(0, self.training).value(teacher_outputs, student_outputs, y, mask=mask)

    def value(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        y: Any = None,
        *,
        mask: Any = None,
        position_weights: Any = None,
    ) -> Any:
        """As calling it, with weights of positions besides the mask, for objectives that tell positions apart."""
        if y is None and self.needs_labels:
            raise ValueError(f"objective {type(self).__name__} needs labels: pass y")
        if isinstance(teacher_outputs, TopK) and not self.takes_top_k:
            raise ValueError(self.top_k_refusal())
        teacher, student = (keras.tree.map_structure(_float32, side) for side in (teacher_outputs, student_outputs))
        shapes = shapes_of(teacher, student)
        self.check(*shapes)
        if any(not layer.built for layer in self.learnt):
            self.build(*shapes)
        if self.takes_mask and (mask is not None or position_weights is not None):
            weights = kept_share(mask) if mask is not None else 1.0
            if position_weights is not None:
                weights = multiplied(_float32(position_weights), weights)
            return self.compare(teacher, student, y, mask=weights)  # type: ignore[call-arg]
        if mask is None:
            return self.compare(teacher, student, y)
        kept = ops.cast(ops.cast(mask, "bool"), "float32")
        return self.compare(apply_mask(teacher, kept), apply_mask(student, kept), y)

    def top_k_refusal(self) -> str:
        """Why a record of the highest logits alone is no teacher for this objective, and what would be."""
        return (
            f"objective {type(self).__name__} needs all of the teacher's outputs, the record holds the highest logits of each; "
            "record without top_k, or take SoftTarget or LogitMatching"
        )

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


def shapes_of(teacher: Any, student: Any) -> tuple[Any, Any]:
    """Shapes as `check` gets them: those of the tensors, or where the teacher gives its highest logits, of what is compared."""
    if isinstance(teacher, TopK):
        return teacher.compared_shape(), (*student.shape[:-1], teacher.compared_shape()[-1])
    return tuple(keras.tree.map_structure(lambda tensor: tuple(tensor.shape), side) for side in (teacher, student))


def along(weights: Any, values: Any) -> Any:
    """Weights of the first axes of `values`, with axes of length 1 for the others."""
    missing = len(values.shape) - len(weights.shape)
    return ops.reshape(weights, (*ops.shape(weights), *(1 for _ in range(missing)))) if missing > 0 else weights


def multiplied(a: Any, b: Any) -> Any:
    """The product of weights of which one may say more axes than the other."""
    if isinstance(b, float):
        return a * b
    return along(a, b) * along(b, a)


def fits(weights: Any, sizes: tuple[int | None, ...]) -> bool:
    """Whether weights of (batch, ...) belong to the first axes of `sizes`, those after the batch."""
    own = tuple(weights.shape[1:])
    return len(own) <= len(sizes) and all(a in (1, None) or b is None or a == b for a, b in zip(own, sizes))


def kept_share(mask: Any) -> Any:
    """A mask as weights whose mean is 1, so that means over all are means over what is kept; all zeros if nothing is."""
    kept = ops.cast(ops.cast(mask, "bool"), "float32")
    share = ops.mean(kept)
    return kept / ops.where(share > 0, share, 1.0)


def apply_mask(side: Any, mask: Any) -> Any:
    """Positions that do not count set to zero: (batch, *positions, ...), (batch, *positions); other tensors as they are."""

    def zeroed(tensor: Any) -> Any:
        return tensor * along(mask, tensor) if fits(mask, tuple(tensor.shape[1:-1])) else tensor

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


def require_width(objective: Objective, width: int | None, shape: Any, what: str) -> None:
    """Raise ValueError where features of one number are compared by a measure that knows their sign alone."""
    if width == 1:
        raise ValueError(
            f"objective {type(objective).__name__}: {what} of features of one number, {tuple(shape)}, is always 1 or -1 and "
            "teaches nothing; name a wider layer, or use RelationalDistance, LogitMatching or Reconstruction"
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


def mean_over_inner_axes(values: Any, weights: Any = None) -> Any:
    """Average over every axis but the first: (batch, ...) -> (batch,), weighted along the first axes if weights are given."""
    if weights is not None:
        values = values * along(weights, values)
    return values if len(values.shape) == 1 else ops.mean(flat(values), axis=-1)


serializable = keras.saving.register_keras_serializable(package="keras_kd")
