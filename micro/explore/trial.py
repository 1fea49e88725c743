"""One candidate: what it costs before it has learnt anything, and what it is worth once it has. Run by workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

import keras_kd
from keras_kd.layers import copied
from micro.aot import static_size
from micro.config import Config, QuantizeStage, parse_config
from micro.datasets.prepare import calibration_windows
from micro.detection.metrics import auc
from micro.errors import ConversionError
from micro.explore.holdout import rehearse
from micro.quantize.aware import quantize_aware
from micro.runs.compression import Lessons, Written, apply, untrained, written
from micro.runs.evaluate import Judge, chip_judge, chip_logits, keras_judge, keras_logits
from micro.runs.lock import PATIENCE, holding, settled
from micro.runs.publish import write_folder
from micro.runs.train import (
    build_model,
    fit,
    hard_loss,
    make_objective,
    ready_devices,
    seed_everything,
    train_teacher,
)
from micro.support.files import array_bytes, json_bytes, keras_bytes
from micro.tflite.footprint import measure

Runtime = Literal["tflm", "static"]
# Shares of the epochs after which weak candidates stop: earlier, those that learn slowly and end best look weak.
MARKS = (2 / 3,)
# A candidate is weak where so many that cost no more, in any respect, were better after as many epochs.
BETTER_ONES = 2


@dataclass(frozen=True)
class Costs:
    """Bytes of flash and RAM in a runtime, and multiply-accumulates an inference."""

    flash: int
    ram: int
    macs: int


def prepare_lessons(
    config: Mapping[str, Any], folder: str, teacher_from: str | None = None, kept: bool = False
) -> dict[str, Any]:
    """Write what all candidates of a resolution share: windows, the trained teacher's outputs, windows to be judged on.

    Args:
        teacher_from: The folder of another resolution whose teacher's outputs serve, its windows being the same.
        kept: The config's test is a load kept from training, to be judged by. No window of another test is written.
    """
    place = settled(folder)
    # Held under a name beside the folder's: a worker that outlived its driver and its successor do not write one recording.
    with holding(place.with_name(f"{place.name}-lesson"), patience=PATIENCE):
        about = place / "about.json"
        if about.is_file():
            return {"teacher_score": json.loads(about.read_text())["teacher_score"]}
        return _prepare_lessons(parse_config(dict(config), Path()), folder, teacher_from, kept)


def _prepare_lessons(told: Config, folder: str, teacher_from: str | None, kept: bool) -> dict[str, Any]:
    """As `prepare_lessons`, where no other process does."""
    tf.config.experimental.enable_op_determinism()
    ready_devices(told.teacher.devices)
    data, (x, labels) = rehearse(told, kept)
    arrays = {
        "train_x": data.train.x,
        "train_y": data.train.labels if data.class_names else data.train.x,
        "calibration": calibration_windows(data, told.seed),
        "judged_x": x.astype(np.float32),
        "judged_y": labels,
    }
    teacher_score = None
    parts = {f"{name}.npy": array_bytes(array) for name, array in arrays.items()}
    if teacher_from is None:
        teacher = train_teacher(told, data, told.seed, lambda: None).model
        keras_kd.record(teacher, data.train.x, f"{folder}-teacher", batch_size=1024)
        teacher_score = _worth_of_keras(teacher, x, labels, data.class_names).score
        parts["teacher.keras"] = keras_bytes(copied(teacher))
    parts["about.json"] = json_bytes(
        {
            "class_names": list(data.class_names),
            "teacher": f"{Path(folder).name}-teacher" if teacher_from is None else f"{Path(teacher_from).name}-teacher",
            "teacher_score": teacher_score,
            "windows": {"train": len(data.train), "judged": len(x)},
        }
    )
    write_folder(folder, parts)
    keras.backend.clear_session()
    return {"teacher_score": teacher_score}


def try_candidate(
    config: Mapping[str, Any],
    folder: str,
    budget: Mapping[str, int | None],
    runtime: Runtime,
    seed: int,
    finished: Sequence[Mapping[str, Any]] = (),
    learn: bool = True,
) -> dict[str, Any]:
    """What became of a candidate: 'unfit' for the budget and never trained, 'stopped' as weak, or 'done' with its score.

    Args:
        finished: Costs and marks of candidates done before, beside which a weak one is seen.
        learn: False tells costs alone.

    Returns: state, costs and, where it got so far, marks (scores on the way), score, a classifier's accuracy and the error of
        quantization.
    """
    told = parse_config(dict(config), Path())
    tf.config.experimental.enable_op_determinism()
    lessons = _Lessons.read(Path(folder))
    seed_everything(seed, "student")
    student = build_model(told.student, lessons.x.shape[1:], len(lessons.class_names) or None, "student")
    costs = costs_of(_as_written(student, told, lessons.calibration), runtime)
    result: dict[str, Any] = {"state": "unfit", "costs": asdict(costs)}
    if over(costs, budget) > 0 or not learn:
        return result
    marks = _train(student, told, lessons, seed, costs, finished)
    result["marks"] = marks.seen
    if marks.weak:
        return {**result, "state": "stopped"}
    made = written(_compressed(student, told, lessons, seed), told, lessons.calibration)
    worth = _worth_on_chip(made, lessons)
    costs = costs_of(made, runtime)
    keras.backend.clear_session()
    state = "unfit" if over(costs, budget) > 0 else "done"
    return {**result, "state": state, "costs": asdict(costs), **asdict(worth), "error": made.plain.error}


def over(costs: Costs, budget: Mapping[str, int | None]) -> float:
    """By which share the tightest part of a budget is exceeded; below 0 by how much room it leaves."""
    return max(getattr(costs, name) / limit for name, limit in budget.items() if limit is not None) - 1


def is_weak(marks: Sequence[float], rivals: Sequence[Sequence[float]]) -> bool:
    """Whether enough rivals were better after as many epochs."""
    place = len(marks) - 1
    return sum(len(other) > place and other[place] > marks[place] for other in rivals) >= BETTER_ONES


@dataclass(frozen=True)
class _Lessons:
    """What `prepare_lessons` wrote, read back without copying."""

    x: np.ndarray
    y: np.ndarray
    targets: np.ndarray
    teacher: keras_kd.Recorded
    calibration: np.ndarray
    judged_x: np.ndarray
    judged_y: np.ndarray
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> _Lessons:
        about = json.loads((folder / "about.json").read_text())
        teacher = keras_kd.Recorded(folder.parent / about["teacher"])

        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        return cls(
            np.asarray(array("train_x")),
            np.asarray(array("train_y")),
            teacher.targets(np.arange(len(teacher)))["outputs"],
            teacher,
            np.asarray(array("calibration")),
            np.asarray(array("judged_x")),
            np.asarray(array("judged_y")),
            tuple(about["class_names"]),
        )


class _Marks(keras.callbacks.Callback):
    """Scores on the way, and the end of training for a candidate that others beat at no more cost."""

    def __init__(self, student: keras.Model, lessons: _Lessons, epochs: int, rivals: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.student, self.lessons, self.rivals = student, lessons, rivals
        self.epochs = [max(1, round(share * epochs)) for share in MARKS]
        self.seen: list[float] = []
        self.weak = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch + 1 not in self.epochs:
            return
        self.seen.append(self._score_now())
        if is_weak(self.seen, self.rivals):
            self.weak = self.model.stop_training = True

    def _score_now(self) -> float:
        lessons = self.lessons
        return _worth_of_keras(self.student, lessons.judged_x, lessons.judged_y, lessons.class_names).score


def _train(
    student: keras.Model,
    told: Config,
    lessons: _Lessons,
    seed: int,
    costs: Costs,
    finished: Sequence[Mapping[str, Any]],
) -> _Marks:
    rivals = [
        other["marks"]
        for other in finished
        if all(other["costs"][name] <= value for name, value in asdict(costs).items())
    ]
    seed_everything(seed, "shuffle")
    marks = _Marks(student, lessons, told.student.epochs, rivals)
    distiller = keras_kd.Distiller(
        lessons.teacher, student, [make_objective(told)], hard_weight=told.distill.hard_weight
    )
    fit(
        distiller,
        told.student,
        hard_loss(student, bool(lessons.class_names)),
        {"inputs": lessons.x, "teacher": {"outputs": lessons.targets}},
        lessons.y,
        callbacks=[marks],
    )
    return marks


def _compressed(student: keras.Model, told: Config, lessons: _Lessons, seed: int) -> keras.Model:
    """The student after the config's stages, on the data alone."""
    loss = hard_loss(student, bool(lessons.class_names))
    learnt = Lessons(lessons.x, lessons.y, loss, student, lambda: make_objective(told))
    for stage in told.compress:
        seed_everything(seed, stage.stage)
        student = apply(stage, student, learnt, told, lessons.calibration)
    return student


def _as_written(student: keras.Model, told: Config, calibration: np.ndarray) -> Written:
    """The .tflite of an untrained student, as large as its trained one will be."""
    model = untrained(student, told)
    grids = next((stage for stage in told.compress if isinstance(stage, QuantizeStage)), None)
    if grids is not None:
        model = quantize_aware(model, calibration, weights="per_tensor", bits=grids.bits, activations=grids.activations)
    return written(model, told, calibration)


def costs_of(made: Written, runtime: Runtime) -> Costs:
    """What a student takes in a runtime; RAM as `check` compares it.

    Raises:
        ConversionError: For an operator that static C does not have.
    """
    footprint = measure(made)
    if runtime == "tflm":
        return Costs(footprint.model_bytes, footprint.ram_bytes, footprint.macs)
    try:
        size = static_size(made)
    except ConversionError as error:
        raise ConversionError(f"search with runtime 'static': {error}") from None
    return Costs(size.constants, size.arena, footprint.macs)


def likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Geometric mean of the probability that logits give to what is right, at the temperature that suits them best.

    Where accuracy no longer tells classifiers apart, it does: it sees how far right answers are from wrong ones.

    Shapes: (n, classes), (n,) whole numbers -> 0 to 1.
    Source: temperature scaling, Guo et al. 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def entropy(log_temperature: float) -> float:
        return -float(np.mean(log_softmax(logits / np.exp(log_temperature), axis=-1)[rows, labels]))

    return float(np.exp(-minimize_scalar(entropy, bounds=(-5.0, 5.0), method="bounded").fun))


@dataclass(frozen=True)
class _Worth:
    """Score of a model on the search's windows, and a classifier's accuracy."""

    score: float
    accuracy: float | None


def _worth_of_keras(model: keras.Model, x: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> _Worth:
    if not class_names:
        return _detection(keras_judge(model, ()), x, labels)
    return _classification(keras_logits(model, x), labels)


def _worth_on_chip(made: Written, lessons: _Lessons) -> _Worth:
    """Of an int8 student in TFLite Micro."""
    if not lessons.class_names:
        return _detection(chip_judge(made, ()), lessons.judged_x, lessons.judged_y)
    return _classification(chip_logits(made, lessons.judged_x), lessons.judged_y)


def _classification(logits: np.ndarray, labels: np.ndarray) -> _Worth:
    return _Worth(likelihood(logits, labels), float(np.mean(logits.argmax(axis=-1) == labels)))


def _detection(judge: Judge, x: np.ndarray, labels: np.ndarray) -> _Worth:
    area = auc(labels, judge(x))
    assert area is not None
    return _Worth(area, None)
