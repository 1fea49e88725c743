"""The stages of compression that a config names: each takes a student and gives a smaller or a quantized one."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_kd import Supplied
from keras_kd.layers import copied
from keras_kd.recipes import Recipe
from micro.compress.cluster import ClusterWeights, cluster_with, clustered_untrained
from micro.compress.fine_tune import FineTuning
from micro.compress.pack import pack
from micro.compress.prune import KeepZeros, prune_with, zeroed
from micro.compress.shrink import shrink
from micro.config import ClusterStage, Config, PruneStage, QuantizeStage, ShrinkStage, Stage
from micro.conversion.convert_keras import convert, error_against
from micro.conversion.converted import Converted
from micro.errors import ConversionWarning, RunError
from micro.program.size import Around, Model
from micro.quantize.aware import QuantizationAware, quantize_aware
from micro.quantize.granularity import choose_weights
from micro.quantize.program import Activations
from micro.quantize.rules import Granularity
from micro.runs.budgets import arena_left, exceeded
from micro.runs.streamed import streamed_student
from micro.runs.unlabeled import of_labeled
from micro.signal import AnyFrontEnd, FrontEnd
from micro.tflite.graph import TfliteLike

# Fine-tuning starts at this fraction of the student's learning rate: it should repair. What lost channels has to learn again.
GENTLER = 1 / 3


@dataclass(frozen=True)
class TrainingData:
    """What a stage trains on: data, loss, the teacher, what of its outputs is taught, and how much each class counts.

    `recipe` is None where the teacher teaches by its inner layers alone: these are not the same after a stage. `supplied` is
    what a teacher that is no model gave for each row of `x`. Rows from `labeled` on have no label, and are for a teacher alone.
    """

    x: np.ndarray
    y: np.ndarray
    loss: Any
    teacher: keras.Model | Supplied
    recipe: Recipe | None
    class_weight: dict[int, float] | None = None
    supplied: np.ndarray | None = None
    labeled: int | None = None


def apply(
    stage: Stage,
    model: keras.Model,
    training: TrainingData,
    config: Config,
    calibration: np.ndarray,
    arena: int | None,
    watching: Sequence[keras.callbacks.Callback] = (),
) -> keras.Model:
    """The model after a stage; the model handed in is not changed.

    Args:
        arena: Bytes that the model's tensors may take, as `arena_left` gives them.
        watching: Callbacks that change nothing.

    Raises:
        ValueError: For what the stage cannot do with this model, by name.
    """
    if isinstance(stage, ShrinkStage):
        return shrink(
            model,
            stage.rate,
            criterion=stage.criterion,
            steps=stage.steps,
            x=training.x[: training.labeled][:512],
            y=training.y[: training.labeled][:512],
            loss=training.loss,
            fine_tune=lambda small: _fine_tuning(stage, training, config, watching).train(small),
        )
    tuning = _fine_tuning(stage, training, config, watching)
    if isinstance(stage, PruneStage):
        return prune_with(tuning, model, stage.target_sparsity, pattern=stage.pattern)
    if isinstance(stage, ClusterStage):
        return cluster_with(tuning, model, stage.clusters)
    return _quantization_aware(stage, model, training, config, calibration, arena, watching)


def _quantization_aware(
    stage: QuantizeStage,
    model: keras.Model,
    training: TrainingData,
    config: Config,
    calibration: np.ndarray,
    arena: int | None,
    watching: Sequence[keras.callbacks.Callback],
) -> keras.Model:
    """The model with int8 simulated, fine-tuned so that zeros and clusters of earlier stages stay."""
    aware = quantize_aware(
        model,
        calibration,
        ranges=stage.ranges,
        weights=_scales(stage, model, config, calibration, arena),
        bits=stage.bits,
        activations=stage.activations,
    )
    if stage.epochs:
        callbacks: list[keras.callbacks.Callback] = []
        for earlier in config.compress:
            if isinstance(earlier, PruneStage):
                callbacks.append(KeepZeros(aware))
            if isinstance(earlier, ClusterStage):
                callbacks = [ClusterWeights(aware, earlier.clusters)]  # zero is one of its values
        _fine_tuning(stage, training, config, watching).train(aware, callbacks)
    return aware


@dataclass(frozen=True)
class Written:
    """A student as .tflite for the chip (`content`), and as it was before its kernels were packed, which TFLite runs too."""

    content: bytes
    plain: Converted


def written(model: keras.Model, config: Config, calibration: np.ndarray, arena: int | None) -> Written:
    """The .tflite of a student after its stages: within `arena` where scales decide it, packed where that pays."""
    with warnings.catch_warnings():
        # Features are scaled and calibrated with headroom here; what int8 costs is judged on the test.
        warnings.simplefilter("ignore", ConversionWarning)
        return _written(model, config, calibration, arena)


def _written(model: keras.Model, config: Config, calibration: np.ndarray, arena: int | None) -> Written:
    if isinstance(model, QuantizationAware):
        converted = convert(model)
    elif arena is not None and config.convert.weights == "auto" and not _clustered(config):
        weights = _within(model, calibration, arena)
        converted = convert(quantize_aware(model, calibration, weights=weights))
        converted = dataclasses.replace(converted, error=error_against(converted, model, calibration))
    else:
        converted = convert(model, calibration, weights="per_tensor" if _clustered(config) else config.convert.weights)
    if _clustered(config) or any(isinstance(stage, QuantizeStage) and stage.bits < 8 for stage in config.compress):
        return Written(pack(converted, ram=arena).content, converted)
    return Written(converted.content, converted)


def untrained(student: keras.Model, config: Config) -> keras.Model:
    """A copy of the student as large as its stages will leave it, without what they would learn: channels gone, weights zero or
    clustered, biases that are not all zero."""
    model = _biased(student)
    for stage in config.compress:
        if isinstance(stage, ShrinkStage):
            model = shrink(model, stage.rate)
        elif isinstance(stage, PruneStage):
            model = zeroed(model, stage.target_sparsity, stage.pattern)
        elif isinstance(stage, ClusterStage):
            model = clustered_untrained(model, stage.clusters)
    return model


def _biased(student: keras.Model) -> keras.Model:
    """A copy with values where biases are all zero, as they are before training: the converter leaves those out."""
    copy = copied(student)
    rng = np.random.default_rng(0)
    for weight in copy.weights:
        if weight.name in ("bias", "beta") and not np.any(keras.ops.convert_to_numpy(weight)):
            weight.assign(rng.normal(0.0, 0.1, weight.shape))
    return copy


def require_budget(
    student: keras.Model,
    config: Config,
    calibration: np.ndarray,
    front_end: AnyFrontEnd,
    around: Around | None,
) -> None:
    """Refuse a budget that the student cannot meet whatever it learns, before it learns anything.

    Args:
        front_end: Of the student, which says what a hop is.
        around: What the firmware will hold around the model.

    Raises:
        RunError: Names the smallest reachable.
    """
    budget = config.budget
    if not budget.given:
        return
    model = untrained(student, config)
    quantize = next((stage for stage in config.compress if isinstance(stage, QuantizeStage)), None)
    bits = 8 if quantize is None else quantize.bits
    activations: Activations = "int8" if quantize is None else quantize.activations
    aware = quantize_aware(model, calibration, weights="per_tensor", bits=bits, activations=activations)
    converted = convert(aware)
    smallest = pack(converted, ram=arena_left(budget, around, student)) if _clustered(config) or bits < 8 else converted
    judged: TfliteLike = smallest
    if config.firmware.streaming and isinstance(front_end, FrontEnd):
        judged = streamed_student(smallest, front_end)
    if broken := exceeded(budget, dataclasses.replace(Model.read(judged), around=around)):
        narrower = ", a smaller student.embedding" if around is not None and around.table else ""
        raise RunError(
            f"budget: cannot be met, the smallest that this config can reach: {'; '.join(broken)}. "
            f"Smaller: fewer or narrower layers in student.sizes{narrower}, or a stage 'shrink'"
        )


def _scales(
    stage: QuantizeStage, model: keras.Model, config: Config, calibration: np.ndarray, arena: int | None
) -> Granularity | dict[str, Granularity]:
    if stage.weights != "auto":
        return stage.weights
    if _clustered(config):
        return "per_tensor"
    return "auto" if arena is None else _within(model, calibration, arena, stage.activations)


def _within(
    model: keras.Model, calibration: np.ndarray, arena: int, activations: Activations = "int8"
) -> Granularity | dict[str, Granularity]:
    """Scales within a budget that a student may not meet: not yet, before a later stage has made it smaller, or with kernels
    that the budget's board does without. The report judges it."""
    try:
        return choose_weights(model, calibration, arena, activations=activations)
    except ValueError:
        return "per_tensor"


def _clustered(config: Config) -> bool:
    return any(isinstance(stage, ClusterStage) for stage in config.compress)


def _fine_tuning(
    stage: Stage, training: TrainingData, config: Config, watching: Sequence[keras.callbacks.Callback]
) -> FineTuning:
    """How a stage fine-tunes."""
    tuning = FineTuning(
        training.x,
        training.y,
        training.loss,
        optimizer=_optimizer(stage, training, config),
        epochs=stage.epochs,
        batch_size=config.student.batch_size,
        class_weight=training.class_weight,
        watching=watching,
    )
    if not stage.teacher or training.recipe is None:
        return dataclasses.replace(tuning, x=tuning.x[: training.labeled], y=training.y[: training.labeled])
    # The student has learned already: what it is taught does not rise from nothing again.
    recipe = training.recipe.changed(warmup_steps=0)
    return dataclasses.replace(
        tuning,
        teacher=training.teacher,
        objectives=recipe.objectives(),
        hard_weight=recipe.hard_weight,
        supplied=training.supplied,
        loss=training.loss if training.labeled is None else of_labeled(training.loss, config.task),
    )


def _optimizer(stage: Stage, training: TrainingData, config: Config) -> keras.optimizers.Optimizer:
    taught = stage.teacher and training.recipe is not None
    rows = len(training.x if taught else training.x[: training.labeled])
    steps = max(1, stage.epochs * -(-rows // config.student.batch_size))
    start = config.student.learning_rate * (1 if isinstance(stage, ShrinkStage) else GENTLER)
    rate = keras.optimizers.schedules.CosineDecay(start, steps)
    return keras.optimizers.Adam(rate)
