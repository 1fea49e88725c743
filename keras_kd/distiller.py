"""One student, one teacher, a list of objectives, one `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_kd.layers import Captured, Tap
from keras_kd.objectives.base import require_number, serializable
from keras_kd.objectives.keras_losses import listed
from keras_kd.objectives.top_k import TopK
from keras_kd.objectives.weighing import batch_mean
from keras_kd.pairing import (
    by_output,
    captured_shapes,
    compatible,
    named_apart,
    named_layers,
    prepare,
    side,
    supplied_shapes,
    top_k,
)
from keras_kd.per_output import by_place, hard_weights, labels_of, output_number, weights_of
from keras_kd.teachers import Ensemble, MovingAverage, Supplied
from keras_kd.training import TeachingModel

# What the distillers of Keras's own module and of its tutorial are told, and where it stands here.
KERAS_ARGUMENTS = {
    "distillation_losses": "objectives",
    "distillation_loss_weights": "the weight of each objective",
    "student_loss_weight": "hard_weight",
}


@serializable
class Distiller(TeachingModel):
    """Train a student on a teacher's outputs and layers, and on labels where there are any.

    Minimises hard_weight * loss(y, student) + sum over objectives of weight * mean(objective) + the student's own
    regularisation. `sample_weight` and `class_weight` weigh the hard loss and every objective that gives one value an
    example, positions where they have a weight each, and outputs where they come as a dict or list. Each step makes one
    forward pass of the student and one of the teacher. The teacher runs in inference mode and is left as it was: weights,
    statistics, `trainable` flags. Without labels only the objectives are trained on.

    `compile` takes what any Keras model takes; `loss` is the hard loss and may be None. `predict` and calling the
    distiller give the student's outputs. Logs: `loss`, one entry an objective (without its weight), and,
    where there are labels, `hard_loss` and metrics.

    Layers that objectives learn (a Hint's regressor) are trained along and are no part of the student. A weight or
    temperature that follows a schedule goes by training steps. Masks of the student's output, such as an Embedding
    with mask_zero makes, keep padding out of the objectives. A sample_weight with axes for positions, (batch, steps) or
    (batch, height, width), weighs positions; an objective that does not tell them apart takes an example's mean weight. Weights
    of several outputs go to the objectives on those outputs, and their mean by example to objectives on inner layers.

    Args:
        teacher: A Keras model with the student's input, an Ensemble, a MovingAverage of the student, or a Recorded or Function
            teacher, whose targets come with the batches of its `batches`.
        student: The Keras model to train.
        objectives: One objective or several; a Keras loss, a loss of keras.distillation or a function of (teacher, student)
            is taken as one. Two of a name are numbered. For models with several outputs, one that names no layers becomes
            one for each pair of outputs.
        hard_weight: Factor of the compiled loss on labels, at least 0.

    Raises:
        ValueError: For models that cannot be compared: other inputs, classes or layers.
    """

    def __init__(
        self,
        teacher: keras.Model | Supplied,
        student: keras.Model,
        objectives: Any = None,
        *,
        hard_weight: float = 1.0,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        _refuse_keras_arguments(kwargs)
        _require_models(teacher, student)
        kwargs.setdefault("dtype", student.dtype_policy)
        super().__init__(name=name, **kwargs)
        self.hard_weight = require_number(hard_weight, "hard_weight", minimum=0.0)
        expanded = [part for one in listed(objectives) for part in by_output(one, teacher, student)]
        self.objectives = tuple(prepare(objective, teacher, student) for objective in named_apart(expanded))
        self.teacher = teacher
        self.student = student
        self._top_k = top_k(teacher)
        self._student_tap = Tap(student, named_layers(o.student_layer for o in self.objectives))
        self._teacher_tap = (
            None
            if isinstance(teacher, Supplied)
            else Tap(teacher, named_layers(o.teacher_layer for o in self.objectives))
        )
        self._learnt = [layer for objective in self.objectives for layer in objective.learnt]
        self._means = {name: keras.metrics.Mean(name=name) for name in (*self.objective_names, "hard_loss")}
        self._numbers = [output_number(student, objective.student_layer) for objective in self.objectives]
        self._count_steps_for(self.objectives)
        models_built = student.built and (isinstance(teacher, Supplied) or teacher.built)
        self.built = models_built and self._match_shapes(None)

    @property
    def output_names(self) -> Any:
        """The student's, by which Keras finds labels, losses and metrics given by name; None where it tells none."""
        return getattr(self.student, "output_names", None)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """Log keys of the objectives, in their order."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def trainable_weights(self) -> list[Any]:
        """The student's and those of learnt layers: the teacher's keep their own flags and are never updated."""
        parts = (self.student, *self._learnt) if self.trainable else ()
        return [weight for part in parts for weight in part.trainable_weights]

    @property
    def trainable_variables(self) -> list[Any]:
        """The student's and those of learnt layers."""
        parts = (self.student, *self._learnt) if self.trainable else ()
        return [variable for part in parts for variable in part.trainable_variables]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Everything that training leaves alone, the teacher's weights among it."""
        return _without(self.weights, self.trainable_weights)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Everything that the optimizer leaves alone, random seeds and the teacher's variables among it."""
        return _without(self.variables, self.trainable_variables)

    def build(self, input_shape: Any = None) -> None:
        """Build whichever of the models and learnt layers is not yet built."""
        if isinstance(self.teacher, Supplied) and isinstance(input_shape, dict):
            input_shape = input_shape.get("inputs", input_shape)
        for model in (self.teacher, self.student):
            if isinstance(model, keras.Model) and not model.built:
                model.build(input_shape)
        if not self._match_shapes(input_shape):
            raise ValueError(
                "the models' shapes are not known: build teacher and student by calling them on a batch first"
            )
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The student's outputs."""
        captured = self._student_tap(self._inputs(inputs), training=training)
        return captured if self.in_step else captured.outputs

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As on any Keras model; `loss` is the hard loss.

        Raises:
            ValueError: With the way it is said here, for what the distiller of Keras's tutorial takes.
        """
        given = {key: value for key, value in kwargs.items() if key in TUTORIAL_ARGUMENTS}
        if given:
            raise ValueError(_new_way(given))
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says, the optimizer with its state's variables."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The weighted sum that training minimises; `y_pred` is what `call` gave."""
        self._require_labels(y)
        inputs = self._inputs(x)
        student = y_pred if isinstance(y_pred, Captured) else self._student_tap(inputs, training=training)
        # Read before the teacher runs: `self.losses` would then hold the teacher's activity regularisation too.
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        if self._compile_loss is not None and y is not None:
            placed, weights = self._by_place(student.outputs, y, sample_weight)
            hard = self._compile_loss(
                placed, student.outputs, hard_weights(self.loss, placed, student.outputs, weights)
            )
            self._log("hard_loss", hard, inputs)
            terms.append(self.hard_weight * hard)
        teacher = keras.tree.map_structure(ops.stop_gradient, self._ask_teacher(x, training))
        for objective, number in zip(self.objectives, self._numbers):
            now = self._now(objective, training)
            labels = labels_of(y, self.student, number)
            weights = weights_of(sample_weight, self.student, number)
            theirs, mine = side(teacher, now.teacher_layer), side(student, now.student_layer)
            mean = batch_mean(now, theirs, mine, labels, weights)
            self._log(objective.name, mean, inputs)
            terms.append(now.weight * mean)
        return self._total(terms, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The student's metrics; without labels there is nothing to measure them on."""
        if y is None:
            return self._measured(self.get_metrics_result(), labelled=False)
        outputs = y_pred.outputs if isinstance(y_pred, Captured) else y_pred
        placed, weights = self._by_place(outputs, y, sample_weight)
        return self._measured(super().compute_metrics(x, placed, outputs, weights), labelled=True)

    def _by_place(self, outputs: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
        labels = by_place(y, self.student, outputs, "y")
        return labels, by_place(sample_weight, self.student, outputs, "sample_weight")

    def get_config(self) -> dict[str, Any]:
        """Both models, the objectives and the weight of the hard loss."""
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
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Distiller:
        """The distiller that `get_config` described."""
        config = dict(config)

        def revive(part: Any) -> Any:
            return keras.saving.deserialize_keras_object(part, custom_objects=custom_objects)

        teacher, student = revive(config.pop("teacher")), revive(config.pop("student"))
        return cls(teacher, student, [revive(part) for part in config.pop("objectives")], **config)

    def get_metrics_result(self) -> dict[str, Any]:
        """All metrics so far; those on labels only once there were some."""
        if self._compile_metrics is None or self._compile_metrics.built:
            return super().get_metrics_result()
        return {metric.name: metric.result() for metric in self.metrics if metric is not self._compile_metrics}

    def _measured(self, logs: dict[str, Any], labelled: bool) -> dict[str, Any]:
        """The logs without what would need labels that were not there."""
        if labelled and self._compile_loss is not None:
            return logs
        kept = {"loss", *self.objective_names} if not labelled else set(logs) - {"hard_loss"}
        return {name: value for name, value in logs.items() if name in kept}

    def _log(self, name: str, mean: Any, x: Any) -> None:
        self._log_mean(self._means[name], mean, x)

    def _inputs(self, x: Any) -> Any:
        """The models' inputs, without the targets that a supplied teacher's batches carry."""
        carried = isinstance(self.teacher, Supplied) and isinstance(x, dict) and "inputs" in x and len(x) <= 2
        return x["inputs"] if carried else x

    def _ask_teacher(self, x: Any, training: bool) -> Captured:
        if self._teacher_tap is None:
            if not isinstance(x, dict) or "teacher" not in x:
                raise ValueError(
                    "this teacher's targets come with the batches: fit and evaluate on teacher.batches(x, y)"
                )
            features = x["teacher"]
            return Captured(_supplied_outputs(features), features)
        if training and isinstance(self.teacher, (Ensemble, MovingAverage)):
            self.teacher.follow(self.student)
        return self._teacher_tap(x, training=False)

    def _match_shapes(self, input_shape: Any) -> bool:
        """Check every objective against the shapes it compares and build what it learns; False if they are not yet known."""
        teacher, student = (
            supplied_shapes(part) if isinstance(part, Supplied) else captured_shapes(tap, input_shape)
            for part, tap in ((self.teacher, self._teacher_tap), (self.student, self._student_tap))
        )
        if teacher is None or student is None:
            return (
                not self._learnt and not self._student_tap.listens and not getattr(self._teacher_tap, "listens", False)
            )
        for objective in self.objectives:
            shapes = side(teacher, objective.teacher_layer), side(student, objective.student_layer)
            if objective.teacher_layer is None and self._top_k:
                shapes = (*shapes[0][:-1], self._top_k + 1), (*shapes[1][:-1], self._top_k + 1)
            objective.check(*shapes)
            if any(not layer.built for layer in objective.learnt):
                objective.build(*shapes)
        return True

    def _require_labels(self, y: Any) -> None:
        needy = [objective.name for objective in self.objectives if objective.needs_labels]
        if y is None and needy:
            raise ValueError(f"objective {needy[0]} needs labels: call fit with y")


# Of the tutorial's `compile`, https://keras.io/examples/vision/knowledge_distillation
TUTORIAL_ARGUMENTS = ("alpha", "temperature", "student_loss_fn", "distillation_loss_fn")


def _new_way(given: dict[str, Any]) -> str:
    """How what the tutorial's `compile` takes is said here, with the numbers that were given."""
    alpha, temperature = given.get("alpha"), given.get("temperature", 4.0)
    hard, weight = (alpha, 1.0 - alpha) if isinstance(alpha, (int, float)) else ("alpha", "1 - alpha")
    weight = f"{weight:g}" if isinstance(weight, float) else weight
    return (
        f"compile does not take {', '.join(given)}: temperature and weights belong to the objectives. Build "
        f"Distiller(teacher, student, [keras_kd.SoftTarget(temperature={temperature}, weight={weight})], hard_weight={hard}) "
        "and compile(optimizer, loss=..., metrics=[...]), loss being the one on labels"
    )


def _refuse_keras_arguments(kwargs: dict[str, Any]) -> None:
    known = [key for key in kwargs if key in KERAS_ARGUMENTS]
    if known:
        told = ", ".join(f"{key} is {KERAS_ARGUMENTS[key]}" for key in known)
        raise ValueError(f"Distiller(teacher, student, objectives, hard_weight=...): {told} here")


def _require_models(teacher: Any, student: Any) -> None:
    if not isinstance(teacher, (keras.Model, Supplied)):
        hint = "; wrap a function in keras_kd.Function" if callable(teacher) else ""
        raise ValueError(f"teacher must be a keras.Model or a teacher of keras_kd, got {type(teacher).__name__}{hint}")
    if not isinstance(student, keras.Model):
        raise ValueError(f"student must be a keras.Model, got {type(student).__name__}")
    if isinstance(teacher, Supplied):
        return
    if teacher is student:
        raise ValueError("teacher and student are the same model; clone one of them")
    shapes = [[tuple(i.shape) for i in getattr(model, "inputs", None) or ()] for model in (teacher, student)]
    if all(shapes) and not compatible(*shapes):
        raise ValueError(
            f"teacher {teacher.name!r} takes inputs {shapes[0]}, student {student.name!r} takes {shapes[1]}; "
            "both are fed the same batches"
        )


def _supplied_outputs(features: dict[str, Any]) -> Any:
    """A supplied teacher's outputs: whole, or its highest logits."""
    if "outputs.values" not in features:
        return features.get("outputs")
    return TopK(*(features[f"outputs.{part}"] for part in TopK._fields))


def _without(variables: Sequence[Any], excluded: Sequence[Any]) -> list[Any]:
    gone = {id(variable) for variable in excluded}
    return [variable for variable in variables if id(variable) not in gone]
