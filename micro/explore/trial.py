"""One candidate: its costs before it is trained, and its score afterwards. Run by workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_kd
from micro.config import BudgetConfig, Config, QuantizeStage, Task, parse_config
from micro.errors import ConversionError
from micro.explore.scores import score_int8, score_keras
from micro.explore.task import around_in
from micro.program.budget import program_within
from micro.program.size import Around, Model
from micro.quantize.aware import quantize_aware
from micro.runs.budgets import arena_left, exceeded, limits_of
from micro.runs.compression import TrainingData, Written, apply, untrained, written
from micro.runs.estimator_teacher import (
    known_estimators,
)
from micro.runs.fitting import class_weight, fit, hard_loss, seed_everything
from micro.runs.score_teacher import scores_of_detectors
from micro.runs.teaching import recipe_of
from micro.runs.train import build_model, steps_of
from micro.runs.unlabeled import of_labeled
from micro.targets.cores import Runtime

# Fractions of the epochs after which weak candidates stop: earlier, those that learn slowly and end best would seem weak.
CHECKPOINTS = (2 / 3,)
# A candidate is weak if this many others that cost no more, in any respect, were better after as many epochs.
BETTER_ONES = 2


@dataclass(frozen=True)
class Costs:
    """Bytes of flash and RAM in a runtime, and multiply-accumulates an inference."""

    flash: int
    ram: int
    macs: int


def try_candidate(
    config: Mapping[str, Any],
    folder: str,
    budget: Mapping[str, int | None],
    runtime: Runtime,
    seed: int,
    finished: Sequence[Mapping[str, Any]] = (),
    learn: bool = True,
) -> dict[str, Any]:
    """The result of a candidate: 'infeasible' for the budget and never trained, 'stopped' as weak, or 'done' with its score.

    Args:
        finished: Costs and intermediate scores of earlier candidates, with which a weak one is compared.
        learn: False gives costs alone.

    Returns: 'state', 'costs' and, if it got that far, 'epoch_scores' while it trained, the final 'score', a classifier's
        'accuracy' and the 'error' of quantization.
    """
    parsed = parse_config(dict(config), Path())
    tf.config.experimental.enable_op_determinism()
    data = SearchData.read(Path(folder))
    seed_everything(seed, "student")
    student = build_model(parsed.student, data.x.shape[1:], data.outputs, "student")
    smallest = _as_written(student, parsed, data)
    bounds = replace(Model.read(smallest), around=data.around)
    costs = costs_of(bounds, runtime, parsed.budget)
    result: dict[str, Any] = {"state": "infeasible", "costs": asdict(costs)}
    if over(costs, budget) > 0 or not learn or _late(bounds, parsed, runtime):
        return result
    watch = _train(student, parsed, data, seed, costs, finished)
    result["epoch_scores"] = watch.seen
    if watch.weak:
        return {**result, "state": "stopped"}
    made = written(_compressed(student, parsed, data, seed), parsed, data.calibration, _arena(parsed, data, student))
    score = score_int8(made, data.judged_x, data.judged_y, data.task)
    measured = replace(Model.read(made), around=data.around)
    costs = costs_of(measured, runtime, parsed.budget)
    keras.backend.clear_session()
    state = "infeasible" if over(costs, budget) > 0 or _late(measured, parsed, runtime) else "done"
    return {**result, "state": state, "costs": asdict(costs), **asdict(score), "error": made.plain.error}


def over(costs: Costs, budget: Mapping[str, int | None]) -> float:
    """Fraction by which the tightest part of a budget is exceeded; negative if all of it is met."""
    return max(getattr(costs, name) / limit for name, limit in budget.items() if limit is not None) - 1


def is_weak(epoch_scores: Sequence[float], rivals: Sequence[Sequence[float]]) -> bool:
    """Whether enough rivals were better after as many epochs."""
    place = len(epoch_scores) - 1
    return sum(len(other) > place and other[place] > epoch_scores[place] for other in rivals) >= BETTER_ONES


@dataclass(frozen=True)
class SearchData:
    """What `prepare_windows` wrote, read back without copying."""

    x: np.ndarray
    y: np.ndarray
    targets: np.ndarray
    teacher: keras_kd.Supplied
    calibration: np.ndarray
    judged_x: np.ndarray
    judged_y: np.ndarray
    task: Task
    outputs: int | None
    class_weights: tuple[float, ...]
    labeled: int | None
    around: Around | None

    @classmethod
    def read(cls, folder: Path) -> SearchData:
        about = json.loads((folder / "about.json").read_text())
        teacher, targets = _teaching(folder, about)

        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        return cls(
            np.asarray(array("train_x")),
            np.asarray(array("train_y")),
            targets,
            teacher,
            np.asarray(array("calibration")),
            np.asarray(array("judged_x")),
            np.asarray(array("judged_y")),
            about["task"],
            about["outputs"],
            tuple(about.get("class_weights", ())),
            about.get("labeled"),
            around_in(folder),
        )


def _teaching(folder: Path, about: Mapping[str, Any]) -> tuple[keras_kd.Supplied, np.ndarray]:
    """The teacher of candidates, and what it gives for each training window: scores of detectors, what estimators give, or
    recorded outputs."""
    if (folder / "targets.npy").is_file():
        known = scores_of_detectors() if about["task"] == "anomaly" else known_estimators(about["outputs"])
        return known, np.load(folder / "targets.npy", allow_pickle=False)
    teacher = keras_kd.Recorded(folder.parent / about["teacher"])
    return teacher, teacher.targets(np.arange(len(teacher)))["outputs"]


class IntermediateScores(keras.callbacks.Callback):
    """Intermediate scores, and the end of training for a candidate that others beat at no more cost."""

    def __init__(self, student: keras.Model, data: SearchData, epochs: int, rivals: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.student, self.data, self.rivals = student, data, rivals
        self.epochs = [max(1, round(fraction * epochs)) for fraction in CHECKPOINTS]
        self.seen: list[float] = []
        self.weak = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch + 1 not in self.epochs:
            return
        self.seen.append(self._score_now())
        if is_weak(self.seen, self.rivals):
            self.weak = self.model.stop_training = True

    def _score_now(self) -> float:
        data = self.data
        return score_keras(self.student, data.judged_x, data.judged_y, data.task).score


def _train(
    student: keras.Model,
    config: Config,
    data: SearchData,
    seed: int,
    costs: Costs,
    finished: Sequence[Mapping[str, Any]],
) -> IntermediateScores:
    rivals = [
        other["epoch_scores"]
        for other in finished
        if all(other["costs"][name] <= value for name, value in asdict(costs).items())
    ]
    seed_everything(seed, "shuffle")
    watch = IntermediateScores(student, data, config.student.epochs, rivals)
    recipe = recipe_of(config, data.teacher, student, steps_of(config, len(data.x)))
    distiller = recipe.distiller(data.teacher, student)
    loss = hard_loss(student, data.task)
    fit(
        distiller,
        config.student,
        loss if data.labeled is None else of_labeled(loss, data.task),
        {"inputs": data.x, "teacher": {"outputs": data.targets}},
        data.y,
        callbacks=[watch],
        class_weight=class_weight(data.class_weights),
    )
    return watch


def _compressed(student: keras.Model, config: Config, data: SearchData, seed: int) -> keras.Model:
    """The student after the config's stages, on the data alone, or under the scores that it follows."""
    loss = hard_loss(student, data.task)
    weights = class_weight(data.class_weights)
    training = TrainingData(data.x, data.y, loss, student, None, weights, labeled=data.labeled)
    if config.teacher.detectors:
        recipe = recipe_of(config, data.teacher, student, steps_of(config, len(data.x)))
        training = replace(training, teacher=data.teacher, recipe=recipe, supplied=data.targets)
    arena = _arena(config, data, student)
    for stage in config.compress:
        seed_everything(seed, stage.stage)
        student = apply(stage, student, training, config, data.calibration, arena)
    return student


def _as_written(student: keras.Model, config: Config, data: SearchData) -> Written:
    """The .tflite of an untrained student, as large as its trained one will be."""
    model = untrained(student, config)
    quantize = next((stage for stage in config.compress if isinstance(stage, QuantizeStage)), None)
    if quantize is not None:
        model = quantize_aware(
            model, data.calibration, weights="per_tensor", bits=quantize.bits, activations=quantize.activations
        )
    return written(model, config, data.calibration, _arena(config, data, student))


def _arena(config: Config, data: SearchData, student: keras.Model) -> int | None:
    """What a budget of the config itself leaves the model's tensors; that of the search is another."""
    return arena_left(config.budget, data.around, student)


def costs_of(model: Model, runtime: Runtime, budget: BudgetConfig) -> Costs:
    """What a student takes with a runtime, flash and RAM of the whole program, as `check` compares them.

    Args:
        budget: The config's own, whose board or core it is.

    Raises:
        ConversionError: For an operator that static C does not have, or a core on which TFLite Micro does not run.
    """
    try:
        program = program_within(model, replace(limits_of(budget), runtime=runtime))
    except ConversionError as error:
        raise ConversionError(f"search with runtime {runtime!r}: {error}") from None
    return Costs(program.flash, program.ram, model.graph.macs)


def _late(model: Model, config: Config, runtime: Runtime) -> bool:
    """Whether a student exceeds the time or the energy of the config's budget; flash and RAM are the search's own."""
    limits = config.budget.model_copy(update={"flash": None, "ram": None, "runtime": runtime})
    return bool(exceeded(limits, model))
