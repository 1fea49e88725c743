"""What every objective is: something that compares a teacher's tensor with a student's."""

from __future__ import annotations

import copy
import re
from typing import Any, Literal, TypeAlias, TypedDict

import keras
import numpy as np
from keras import ops

from keras_kd.layers import activation_of
from keras_kd.objectives.tensors import apply_mask, kept_of, mask_weights, multiplied
from keras_kd.objectives.top_k import TopK
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.types import LayerRefs, Shape, Structure, Tensor

ACTIVATIONS = ("linear", "softmax", "sigmoid")


IgnoredClass: TypeAlias = "int | Literal['loss'] | None"
"""The label of what an objective leaves out: a number, that of the compiled loss, or None."""


class ObjectiveArguments(TypedDict, total=False):
    """The keyword arguments that every objective takes; see `Objective`."""

    name: str | None
    teacher_layer: LayerRefs
    student_layer: LayerRefs
    ignore_class: IgnoredClass


class Objective(keras.distillation.DistillationLoss):
    """Compare teacher and student: one value per example, or one value per batch.

    Subclasses write `compare`. Everything else has a working default, so an objective of your own is a class with one method
    (and `get_config`, where it takes arguments of its own). It also works as a loss in `keras.distillation.Distiller`,
    unless it learns weights or needs labels.

    Args:
        weight: Factor in the sum that training minimizes, finite and at least 0, or a schedule over training steps.
        name: Key in the training logs; by default the class name in snake case.
        teacher_layer: The teacher's layer whose output is compared: a name, a path 'block/conv' into nested models, the layer
            itself, or a callable that takes the model and returns the layer. None is the model's output.
        student_layer: The student's layer, given likewise.
        ignore_class: Leave out where the label has this value: positions, or whole examples, which objectives that give one
            value a batch cannot. 'loss' takes the `ignore_class` of the compiled loss, and only
            for labels of positions (padding, unlabeled pixels): an example whose single label is ignored is one without a
            label, from which the teacher can still teach. None leaves nothing out.

    Raises:
        ValueError: If the weight is negative or not finite, or `ignore_class` is none of these.

    Examples:
        >>> class MeanGap(keras_kd.Objective):
        ...     def compare(self, teacher, student, y=None):
        ...         return keras.ops.mean(keras.ops.abs(teacher - student), axis=-1)
        >>> np.array(MeanGap()(np.zeros((2, 3)), np.ones((2, 3))))
        array([1., 1.], dtype=float32)
    """

    # `compare` uses the labels.
    needs_labels = False
    # `compare` takes `mask`; for others, masked positions are set to zero on both sides.
    takes_mask = False
    # The `mask` may be weights of positions, whose mean is 1 over those kept; for others it is 1 or 0, and an example counts by
    # the mean of its weights.
    weighs_positions = True
    # Labels of the ignored class leave positions out as a mask does; else they only weigh them by 0.
    masks_ignored = True
    # `compare` takes a TopK for `teacher`: the highest logits alone.
    takes_top_k = False
    # Set on the copy that a Distiller trains with, for objectives that remember something of training.
    training = False
    # How many layers of each model are compared at once; several come as a tuple.
    layers_a_side = 1

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        name: str | None = None,
        teacher_layer: LayerRefs = None,
        student_layer: LayerRefs = None,
        ignore_class: IgnoredClass = "loss",
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.weight = number_or_schedule(weight, f"{self.message_name}: weight", minimum=0.0)
        # A Distiller works on a copy whose layers are names.
        self.teacher_layer: Any = teacher_layer
        self.student_layer: Any = student_layer
        if isinstance(ignore_class, bool) or not (ignore_class in (None, "loss") or isinstance(ignore_class, int)):
            raise ValueError(f"{self.message_name}: ignore_class must be a label, 'loss' or None, got {ignore_class!r}")
        self.ignore_class = ignore_class

    @property
    def message_name(self) -> str:
        """What error messages call this objective."""
        return f"objective {type(self).__name__}"

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        """Value of the objective on float32 tensors.

        Returns:
            Shape (batch,), or () where examples are compared with each other.
        """
        raise NotImplementedError(f"{self.message_name}: write compare(self, teacher, student, y=None)")

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        """Raise ValueError where tensors of these shapes (batch axis included) cannot be compared."""

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> Objective:
        """The objective to train with, once the activations of the two compared outputs are known.

        Each activation is 'linear', 'softmax' or 'sigmoid', or None where it cannot be read from the model.
        """
        return self

    def inside(self, layer: keras.Layer | None) -> tuple[str, ...]:
        """Names of layers inside a layer that are compared along with it, which then comes as a tuple: itself, then those.

        `layer` is None where a teacher's targets come with the batches. Raises ValueError, beginning with 'layer', for a layer
        of the wrong kind.
        """
        return ()

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        """Layers that are trained along with the student but do not belong to it, such as a regressor."""
        return ()

    @property
    def held(self) -> tuple[keras.Layer, ...]:
        """Layers that are saved with a Distiller but not trained, such as a paraphraser."""
        return ()

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        """Create the weights of the `learned` layers for tensors of these shapes."""

    def at(self, step: Tensor | int, training: bool = False) -> Objective:
        """The objective at a training step: a copy in which each schedule is replaced by its value there."""
        scheduled = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        if not scheduled and training == self.training:
            return self
        now = copy.copy(self)
        now.training = training
        for name, schedule in scheduled.items():
            setattr(now, name, schedule(step))
        return now

    def changed(self, **arguments: object) -> Objective:
        """A new objective with some constructor arguments changed, and with learned layers of its own."""
        return type(self).from_config({**self.get_config(), **arguments})

    def fresh(self) -> Objective:
        """A new objective for another training: what it learns starts as this one's would, and is its own."""
        return self.changed()

    def __call__(
        self,
        teacher_outputs: Structure,
        student_outputs: Structure,
        y: Structure | None = None,
        *,
        mask: Tensor | np.ndarray | None = None,
    ) -> Tensor:
        """Value on arrays, outside training and without the weight; schedules have their first value.

        Args:
            teacher_outputs: As `compare` takes them, of any dtype.
            student_outputs: Likewise.
            y: Labels, where the objective needs them.
            mask: Which positions of tensors (batch, *positions, ...) count, of shape (batch, *positions) or its first axes.
                The mean over the batch is then the mean over the positions kept, as in Keras's losses.

        Returns:
            A float32 tensor of shape (batch,) or ().

        Raises:
            ValueError: For shapes that cannot be compared, or missing labels.
        """
        return self.at(0, self.training).value(teacher_outputs, student_outputs, y, mask=mask)

    def value(
        self,
        teacher_outputs: Structure,
        student_outputs: Structure,
        y: Structure | None = None,
        *,
        mask: Tensor | np.ndarray | None = None,
        position_weights: Tensor | None = None,
    ) -> Tensor:
        """As `__call__`, and also with weights of positions, for objectives that take them."""
        if y is None and self.needs_labels:
            raise ValueError(f"{self.message_name} needs labels: pass y")
        if isinstance(teacher_outputs, TopK) and not self.takes_top_k:
            raise ValueError(self.top_k_refusal())
        teacher, student = (keras.tree.map_structure(_float32, side) for side in (teacher_outputs, student_outputs))
        shapes = shapes_of(teacher, student)
        self.check(*shapes)
        if any(not layer.built for layer in self.learned):
            self.build(*shapes)
        if self.takes_mask:
            return self._weighted_value(teacher, student, y, mask, position_weights)
        if mask is None:
            return self.compare(teacher, student, y)
        kept = kept_of(mask)
        return self.compare(apply_mask(teacher, kept), apply_mask(student, kept), y)

    def _weighted_value(
        self,
        teacher: Tensor,
        student: Tensor,
        y: Structure | None,
        mask: Tensor | np.ndarray | None,
        position_weights: Tensor | None,
    ) -> Tensor:
        """Value of an objective that takes the weights of positions itself."""
        if not self.weighs_positions:
            kept = None if mask is None else kept_of(mask)
            return self.compare(teacher, student, y, mask=kept)  # type: ignore[call-arg]
        weights = None if mask is None else mask_weights(mask)
        if position_weights is not None:
            given = _float32(position_weights)
            weights = given if weights is None else multiplied(given, weights)
        if weights is None:
            return self.compare(teacher, student, y)
        return self.compare(teacher, student, y, mask=weights)  # type: ignore[call-arg]

    def top_k_refusal(self) -> str:
        """Why a recording of the highest logits alone is no teacher for this objective, and what would be."""
        return (
            f"{self.message_name} needs all of the teacher's outputs, the recording holds the highest logits of each; "
            "record without top_k, or use SoftTarget or LogitMatching"
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as Keras serializes them."""
        return {
            "weight": as_config(self.weight),
            "name": self.name,
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
            "ignore_class": self.ignore_class,
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
        """Refuse what Keras's distiller cannot do: train an objective's layers, pass it labels, tell logits apart.

        Raises:
            ValueError: With what to change.
        """
        if self.needs_labels or self.learned:
            reason = "needs labels" if self.needs_labels else "trains layers of its own"
            raise ValueError(
                f"{self.message_name} {reason}, which keras.distillation.Distiller does not do; use keras_kd.Distiller"
            )
        if any(ref is not None and not isinstance(ref, str) for ref in (self.teacher_layer, self.student_layer)):
            raise ValueError(f"{self.message_name}: keras.distillation.Distiller takes layers by name only")
        activations = activation_of(teacher, self.teacher_layer), activation_of(student, self.student_layer)
        config, resolved = self.get_config(), self.resolve(*activations).get_config()
        missing = {key: value for key, value in resolved.items() if value != config[key] and value != "linear"}
        if missing:
            arguments = ", ".join(f"{key}={value!r}" for key, value in missing.items())
            raise ValueError(f"{self.message_name}: in keras.distillation.Distiller pass {arguments}")

    def compute_loss(self, teacher_outputs: Structure, student_outputs: Structure, **kwargs: object) -> Tensor:
        """Mean over the batch, as Keras's distiller calls it."""
        return ops.mean(self(teacher_outputs, student_outputs))

    def __repr__(self) -> str:
        config = {**self.get_config(), "ignore_class": None if self.ignore_class == "loss" else self.ignore_class}
        given = ", ".join(f"{key}={value!r}" for key, value in config.items() if value is not None)
        return f"{type(self).__name__}({given})"


def snake_case(name: str) -> str:
    """SoftTarget -> soft_target, DecoupledKD -> decoupled_kd."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip("_")).lower()


def shapes_of(teacher: Structure, student: Structure) -> tuple[Any, Any]:
    """Shapes as `check` takes them: of the tensors, or for a teacher's highest logits, of what is compared."""
    if isinstance(teacher, TopK):
        compared = teacher.compared_shape()
        return compared, (*student.shape[:-1], compared[-1])  # type: ignore[union-attr]
    return tuple(keras.tree.map_structure(lambda tensor: tuple(tensor.shape), side) for side in (teacher, student))


def _revived(value: object) -> Any:
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return tuple(value) if isinstance(value, list) else value


def _float32(value: Structure) -> Tensor:
    return ops.cast(ops.convert_to_tensor(value), "float32")
