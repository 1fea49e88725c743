"""One student, one teacher, a list of objectives, one `fit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_kd.arguments import TUTORIAL_ARGUMENTS, instead_of, refuse_keras_arguments, require_models, require_views
from keras_kd.checks import require_number
from keras_kd.layers import Captured, Tap
from keras_kd.objectives.keras_losses import Objectives
from keras_kd.objectives.weighing import batch_mean
from keras_kd.pairing import (
    captured_shapes,
    expanded,
    named_apart,
    named_layers,
    prepare,
    side,
    supplied_outputs,
    supplied_shapes,
    top_k,
)
from keras_kd.per_output import by_place, hard_weights, ignored_class, labels_of, output_number, weights_of
from keras_kd.serialization import serializable
from keras_kd.supplied import Supplied
from keras_kd.teachers import Ensemble, MovingAverage
from keras_kd.training import Batch, TeachingModel, once, without
from keras_kd.types import Shapes, Structure, Tensor
from keras_kd.views import View, are_built, inputs_of, seen_shape, takes_dict, view_config, view_from_config


@serializable
class Distiller(TeachingModel):
    """Train a student on a teacher's outputs and layers, and on labels where there are any.

    Minimizes hard_weight * loss(y, student) + sum over objectives of weight * mean(objective) + the student's own
    regularization. Each step makes one forward pass of the student and one of the teacher. The teacher runs in inference mode
    and stays as it was: weights, statistics, `trainable` flags.

    `compile` takes what any Keras model takes; `loss` is the hard loss and may be None. Without labels, `fit` trains on the
    objectives alone. `predict` and calling the distiller give the student's outputs. Logs: `loss`, one entry per objective
    (without its weight), and with labels `hard_loss` and the metrics.

    Layers that objectives learn, such as a Hint's regressor, are trained too but do not belong to the student. Schedules count
    training steps. Masks of the student's output, such as those of an Embedding with mask_zero, keep padding out of the
    objectives.

    `sample_weight` and `class_weight` apply to the hard loss and to every objective with one value per example. Weights with
    axes for positions, (batch, steps) or (batch, height, width), apply to positions; an objective that does not tell positions
    apart takes each example's mean weight. Given as a dict or list, weights apply to the objectives on those outputs, and
    their mean by example to objectives on inner layers.

    Args:
        teacher: A Keras model with the student's inputs, an Ensemble, a MovingAverage of the student, or a Recorded or Function
            teacher, whose targets come with the batches of its `batches`.
        student: The Keras model to train.
        objectives: One objective or several. A Keras loss, a loss of keras.distillation or a function of (teacher, student)
            is wrapped in FromKeras. Objectives of the same name get numbers. For models with several outputs, an objective
            that names no layers becomes one per pair of outputs; a dict {output: objectives} gives each output its own.
        hard_weight: Factor of the compiled loss on labels, at least 0.
        teacher_inputs, student_inputs: What each model gets of a batch's inputs: a key or a list of keys of a dict (or the
            place in a list), a layer, a function of the inputs in keras.ops, or a list of a key and layers to apply to it;
            None gives all as they are. Layers, and functions with an argument `training`, are given whether it is training;
            they are not trained. The same layer or function for both is called once a step, so that both see the same.
            Exported is the student alone, without its view.

    Raises:
        ValueError: For models that cannot be compared because their inputs, classes or layers differ.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> teacher, student = net(32), net(4)  # the teacher would be trained first
        >>> distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(temperature=4.0)], hard_weight=0.1)
        >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = distiller.fit(np.ones((16, 4)), np.zeros(16), verbose=0).history
        >>> sorted(history)
        ['hard_loss', 'loss', 'soft_target']

    A teacher that has two sensors, and a student that has one:

        >>> teacher = keras.Sequential([keras.Input((8, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> student = keras.Sequential([keras.Input((8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget(), teacher_inputs="both", student_inputs="one")
        >>> distiller.compile("adam")
        >>> history = distiller.fit({"both": np.ones((16, 8, 2)), "one": np.ones((16, 8, 1))}, verbose=0)
        >>> distiller.predict({"one": np.ones((16, 8, 1))}, verbose=0).shape
        (16, 3)
    """

    def __init__(
        self,
        teacher: keras.Model | Supplied,
        student: keras.Model,
        objectives: Objectives = None,
        *,
        hard_weight: float = 1.0,
        teacher_inputs: View = None,
        student_inputs: View = None,
        name: str = "distiller",
        **kwargs: object,
    ) -> None:
        refuse_keras_arguments(kwargs)
        require_views(teacher, teacher_inputs, student_inputs)
        require_models(teacher, student, same_inputs=teacher_inputs is student_inputs is None)
        kwargs.setdefault("dtype", student.dtype_policy)
        kwargs.setdefault("autocast", False)  # each model casts what it gets; a view that both share is cast by neither
        super().__init__(name=name, **kwargs)
        self.hard_weight = require_number(hard_weight, "hard_weight", minimum=0.0)
        parts = named_apart(expanded(objectives, teacher, student))
        self.objectives = tuple(prepare(part, teacher, student) for part in parts)
        self.teacher = teacher
        self.student = student
        self.teacher_inputs, self.student_inputs = teacher_inputs, student_inputs
        self._top_k = top_k(teacher)
        self._student_tap = Tap(student, named_layers(o.student_layer for o in self.objectives))
        self._teacher_tap = (
            None
            if isinstance(teacher, Supplied)
            else Tap(teacher, named_layers(o.teacher_layer for o in self.objectives))
        )
        self._learned = [layer for objective in self.objectives for layer in objective.learned]
        self._held = [layer for objective in self.objectives for layer in objective.held]
        self._means = {name: keras.metrics.Mean(name=name) for name in (*self.objective_names, "hard_loss")}
        self._numbers = [output_number(student, objective.student_layer) for objective in self.objectives]
        self._count_steps_for(self.objectives)
        models_built = student.built and (isinstance(teacher, Supplied) or teacher.built)
        self.built = are_built(teacher_inputs, student_inputs) and models_built and self._match_shapes(None)

    @property
    def output_names(self) -> list[str] | None:
        """The student's output names, by which Keras finds labels, losses and metrics given by name; None without a graph."""
        return getattr(self.student, "output_names", None)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """Log keys of the objectives, in their order."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def trainable_weights(self) -> list[Any]:
        """The student's and those of learned layers; the teacher's keep their own flags and are never updated."""
        parts = (self.student, *self._learned) if self.trainable else ()
        return once([weight for part in parts for weight in part.trainable_weights])

    @property
    def trainable_variables(self) -> list[Any]:
        """The student's and those of learned layers."""
        parts = (self.student, *self._learned) if self.trainable else ()
        return once([variable for part in parts for variable in part.trainable_variables])

    @property
    def non_trainable_weights(self) -> list[Any]:
        """All weights that training does not change, including the teacher's."""
        return without(self.weights, self.trainable_weights)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """All variables that the optimizer does not change, including random seeds and the teacher's."""
        return without(self.variables, self.trainable_variables)

    def build(self, input_shape: Shapes | None = None) -> None:
        """Build whichever of the models and learned layers is not yet built."""
        if isinstance(self.teacher, Supplied) and isinstance(input_shape, dict):
            input_shape = input_shape.get("inputs", input_shape)
        for model, shape in zip((self.teacher, self.student), self._seen_shapes(input_shape)):
            if isinstance(model, keras.Model) and not model.built:
                model.build(shape)
        if not self._match_shapes(input_shape):
            raise ValueError(
                "the models' shapes are not known: build teacher and student by calling them on a batch first"
            )
        self.built = True

    def call(self, inputs: Structure, training: bool = False) -> Any:
        """The student's outputs."""
        captured = self._student(inputs, training)
        return captured if self.in_step else captured.outputs

    def compile(self, *args: object, **kwargs: object) -> None:
        """As on any Keras model; `loss` is the hard loss.

        Raises:
            ValueError: For arguments of the distiller of Keras's tutorial, with what to write instead.
        """
        given = {key: value for key, value in kwargs.items() if key in TUTORIAL_ARGUMENTS}
        if given:
            raise ValueError(instead_of(given))
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` describes, and create the variables of the optimizer's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def _terms(self, batch: Batch, training: bool) -> list[Tensor]:
        """The hard loss and each objective, weighted."""
        x, y, y_pred, sample_weight = batch
        self._require_labels(y)
        inputs = self._inputs(x)
        student = y_pred if isinstance(y_pred, Captured) else self._student(x, training)
        # Read before the teacher runs: `self.losses` would then hold the teacher's activity regularization too.
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        if self._compile_loss is not None and y is not None:
            placed, weights = self._by_place(student.outputs, y, sample_weight)
            hard = self._compile_loss(
                placed, student.outputs, hard_weights(self.loss, placed, student.outputs, weights)
            )
            self._log_mean(self._means["hard_loss"], hard, inputs)
            terms.append(self.hard_weight * hard)
        teacher = keras.tree.map_structure(ops.stop_gradient, self._ask_teacher(x, student.inputs, training))
        for objective, number in zip(self.objectives, self._numbers):
            now = self._now(objective, training)
            labels = labels_of(y, self.student, number)
            weights = weights_of(sample_weight, self.student, number)
            theirs, mine = side(teacher, now.teacher_layer), side(student, now.student_layer)
            ignored = ignored_class(now.ignore_class, self.loss, self.student, number, labels)
            mean = batch_mean(now, theirs, mine, labels, weights, ignored)
            self._log_mean(self._means[objective.name], mean, inputs)
            terms.append(now.weight * mean)
        return terms

    def compute_metrics(
        self, x: Structure, y: Structure | None, y_pred: Structure, sample_weight: Structure | None = None
    ) -> dict[str, Any]:
        """The student's metrics, which need labels."""
        if y is None:
            return self._measured(self.get_metrics_result(), labeled=False)
        outputs = y_pred.outputs if isinstance(y_pred, Captured) else y_pred
        placed, weights = self._by_place(outputs, y, sample_weight)
        return self._measured(super().compute_metrics(x, placed, outputs, weights), labeled=True)

    def _by_place(self, outputs: Structure, y: Structure | None, sample_weight: Structure | None) -> tuple[Any, Any]:
        labels = by_place(y, self.student, outputs, "y")
        return labels, by_place(sample_weight, self.student, outputs, "sample_weight")

    def get_config(self) -> dict[str, Any]:
        """Both models, the objectives and the weight of the hard loss.

        Raises:
            ValueError: Under a teacher that is not a Keras model.
        """
        if isinstance(self.teacher, Supplied):
            raise ValueError(
                f"a distiller under a {type(self.teacher).__name__} teacher cannot be saved whole; save distiller.student, "
                "or use StudentCheckpoint"
            )
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "teacher": serialize(self.teacher),
            "student": serialize(self.student),
            "objectives": [serialize(objective) for objective in self.objectives],
            "hard_weight": self.hard_weight,
            "teacher_inputs": view_config(self.teacher_inputs, "teacher_inputs"),
            "student_inputs": view_config(self.student_inputs, "student_inputs"),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Distiller:
        """The distiller that `get_config` described."""
        config = dict(config)

        def revive(part: object) -> Any:
            return keras.saving.deserialize_keras_object(part, custom_objects=custom_objects)

        teacher, student = revive(config.pop("teacher")), revive(config.pop("student"))
        for name in ("teacher_inputs", "student_inputs"):
            config[name] = view_from_config(config.get(name), custom_objects)
        return cls(teacher, student, [revive(part) for part in config.pop("objectives")], **config)

    def get_metrics_result(self) -> dict[str, Any]:
        """All metrics so far; those on labels only once there were labels."""
        if self._compile_metrics is None or self._compile_metrics.built:
            return super().get_metrics_result()
        return {metric.name: metric.result() for metric in self.metrics if metric is not self._compile_metrics}

    def _measured(self, logs: dict[str, Any], labeled: bool) -> dict[str, Any]:
        """The logs without what needs labels, where there were none."""
        if labeled and self._compile_loss is not None:
            return logs
        kept = {"loss", *self.objective_names} if not labeled else set(logs) - {"hard_loss"}
        return {name: value for name, value in logs.items() if name in kept}

    def _inputs(self, x: Structure | None) -> Any:
        """The models' inputs, without the targets that a supplied teacher's batches carry."""
        if (
            isinstance(self.teacher, Supplied)
            and isinstance(x, dict)
            and "inputs" in x
            and set(x) <= {"inputs", "teacher"}
        ):
            return x["inputs"]
        return x

    def _student(self, x: Structure | None, training: bool) -> Captured:
        view = inputs_of(self.student, self.student_inputs, self._inputs(x), training, "student_inputs")
        return self._student_tap(view, training=training)._replace(inputs=view)

    def _ask_teacher(self, x: Structure | None, given: Structure, training: bool) -> Captured:
        if self._teacher_tap is None:
            if not isinstance(x, dict) or "teacher" not in x:
                raise ValueError(
                    "this teacher's targets come with the batches: fit and evaluate on teacher.batches(x, y)"
                )
            features = x["teacher"]
            return Captured(supplied_outputs(features), features)
        if training and isinstance(self.teacher, (Ensemble, MovingAverage)):
            self.teacher.update(self.student)
        view = self.teacher_inputs
        if not callable(view) or view is not self.student_inputs:
            given = inputs_of(self.teacher, view, self._inputs(x), training, "teacher_inputs")
        return self._teacher_tap(given, training=False)

    def _seen_shapes(self, shape: Shapes | None) -> Iterator[Any]:
        """What teacher and student get of inputs of a shape, as shapes; layers of the views are built."""
        yield seen_shape(self.teacher_inputs, shape, "teacher_inputs", by_name=takes_dict(self.teacher))
        yield seen_shape(self.student_inputs, shape, "student_inputs", by_name=takes_dict(self.student))

    def _match_shapes(self, input_shape: Shapes | None) -> bool:
        """Check every objective against the shapes it compares and build what it learns; False if they are not yet known."""
        models, taps = (self.teacher, self.student), (self._teacher_tap, self._student_tap)
        teacher, student = (
            supplied_shapes(part) if isinstance(part, Supplied) else captured_shapes(tap, shape)
            for part, tap, shape in zip(models, taps, self._seen_shapes(input_shape))
        )
        if teacher is None or student is None:
            return (
                not self._learned
                and not self._student_tap.has_hooks
                and not getattr(self._teacher_tap, "has_hooks", False)
            )
        for objective in self.objectives:
            shapes = side(teacher, objective.teacher_layer), side(student, objective.student_layer)
            if objective.teacher_layer is None and self._top_k:
                shapes = (*shapes[0][:-1], self._top_k + 1), (*shapes[1][:-1], self._top_k + 1)
            objective.check(*shapes)
            if any(not layer.built for layer in objective.learned):
                objective.build(*shapes)
        return True

    def _require_labels(self, y: Structure | None) -> None:
        needing = [objective.name for objective in self.objectives if objective.needs_labels]
        if y is None and needing:
            raise ValueError(f"objective {needing[0]} needs labels: call fit with y")
