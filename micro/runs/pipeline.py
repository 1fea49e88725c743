"""A whole run: data, teacher, students, int8, proof, firmware, report."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.layers import copied
from micro.compress.prune import sparsity_of
from micro.config import Config, Stage
from micro.conversion.convert_keras import convert
from micro.datasets.pieces import evenly_spaced
from micro.datasets.prepare import Prepared, calibration_windows, untested
from micro.emission import emit
from micro.errors import ConversionError
from micro.quantize.aware import QuantizationAware
from micro.runs.baseline import baseline_files
from micro.runs.compression import Written, apply, written
from micro.runs.device import not_for_a_chip
from micro.runs.evaluate import (
    Evaluation,
    by_origin,
    chip_judge,
    compare,
    evaluate,
    keras_judge,
    soft_targets,
    summarise,
)
from micro.runs.firmware_files import chip_detector, firmware_note, judging
from micro.runs.folder import RunFolder
from micro.runs.report import render_report
from micro.runs.report.costs import graph_rows
from micro.runs.train import (
    Trained,
    check_models,
    distil,
    lessons,
    ready_devices,
    seed_everything,
    train_alone,
    train_teacher,
)
from micro.runs.verdict import judge
from micro.support.files import array_bytes, json_bytes, keras_bytes, sha256, write_bytes
from micro.support.progress import Progress
from micro.tflite.budget import check
from micro.tflite.footprint import Footprint, measure
from micro.tflite.graph import read
from micro.tflite.interpreter import run
from micro.tflite.parity import verify

VERIFIED_WINDOWS = 1000
PACKAGES = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite-micro", "ai-edge-litert", "numpy")

# Told the stage and the epochs that it has done since.
Tick = Callable[..., None]


def check_work(config: Config, data: Prepared) -> None:
    """Ready TensorFlow for a run, and see that models, data and budget fit one another before anything is trained.

    Raises:
        DataError: For models that do not fit the data.
        ValueError: For stages that do not fit the models.
        RunError: For a budget that cannot be met.
    """
    # The same seed gives the same weights; the setting cannot be taken back within the process.
    tf.config.experimental.enable_op_determinism()
    ready_devices(config.teacher.devices)
    check_models(config, data, calibration_windows(data, config.seed))


def carry_out(config: Config, data: Prepared, folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Train, or take up again, all seeds' models in a folder that has begun, fill its `whole`, and return the report."""
    students = 2 if config.distill.compare else 1
    total = config.seeds * (config.teacher.epochs + students * config.student.epochs)
    done = 0

    def tick(label: str, epochs: int = 1) -> None:
        nonlocal done
        done += epochs
        progress(label, 0.02 + 0.9 * done / max(1, total))

    runs = [_one_seed(config, data, config.seed + n, folder.parts, tick) for n in range(config.seeds)]
    rows = [
        {"seed": config.seed + n, **{name: found.metrics for name, found in one.evaluations.items()}}
        for n, one in enumerate(runs)
    ]
    progress("proving and emitting", 0.95)
    # The seed that is deployed is settled before any is tested: the first.
    report = _finish(config, data, folder.fresh_whole(), rows, runs)
    _write_manifest(json.loads(folder.told.read_bytes()), folder.whole)
    return report


@dataclass(frozen=True)
class StageResult:
    """The student after a stage of compression, and as .tflite: what that is worth and what it takes."""

    stage: str
    model: keras.Model
    written: Written
    evaluation: Evaluation
    footprint: Footprint


@dataclass(frozen=True)
class SeedRun:
    """What one seed gave: its models, what they are worth, and the student stage by stage; the last is deployed."""

    teacher: Trained
    student: Trained
    alone: Trained | None
    evaluations: dict[str, Evaluation]
    stages: tuple[StageResult, ...]


def _one_seed(config: Config, data: Prepared, seed: int, parts: Path, tick: Tick) -> SeedRun:
    """Train, or take up again, one seed's teacher and students; quantize and evaluate them."""
    place = parts / f"seed-{seed}"

    def stage(name: str, epochs: int, make: Callable[[Callable[[], None]], Trained]) -> Trained:
        label = f"seed {seed}: {name}"
        ticked = 0

        def on_epoch() -> None:
            nonlocal ticked
            ticked += 1
            tick(label)

        trained = _kept(place / name, lambda: make(on_epoch))
        tick(label, epochs - ticked)
        return trained

    teacher_epochs, student_epochs = config.teacher.epochs, config.student.epochs
    teacher = stage("teacher", teacher_epochs, lambda on_epoch: train_teacher(config, data, seed, on_epoch))
    student = stage("student", student_epochs, lambda on_epoch: distil(config, data, teacher.model, seed, on_epoch))
    alone = None
    if config.distill.compare:
        alone = stage("alone", student_epochs, lambda on_epoch: train_alone(config, data, seed, on_epoch))
    calibration, names = calibration_windows(data, seed), data.class_names
    told = lessons(config, data, teacher.model, student.model)

    def judge(model: keras.Model, label: str) -> StageResult:
        tick(f"seed {seed}: int8, {label}", 0)
        tflite = written(model, config, calibration)
        return StageResult(
            label, model, tflite, evaluate(chip_judge(tflite, names), data, config.detect), measure(tflite)
        )

    stages = [judge(student.model, "distilled")]
    for number, step in enumerate(config.compress):

        def compress(step: Stage = step, model: keras.Model = stages[-1].model) -> Trained:
            seed_everything(seed, step.stage)
            return Trained(apply(step, model, told, config, calibration), {})

        tick(f"seed {seed}: {step.stage}", 0)
        stages.append(judge(_kept(place / f"{number}-{step.stage}", compress).model, step.stage))
    judged = {"teacher": teacher.model, "student_distilled": student.model}
    if alone is not None:
        judged["student_alone"] = alone.model
    if config.compress:
        judged["student_compressed"] = stages[-1].model
    evaluations = {name: evaluate(keras_judge(model, names), data, config.detect) for name, model in judged.items()}
    evaluations["student_int8"] = stages[-1].evaluation
    if alone is not None:
        plain = convert(alone.model, calibration, weights=config.convert.weights)
        evaluations["alone_int8"] = evaluate(chip_judge(plain, names), data, config.detect)
    return SeedRun(teacher, student, alone, evaluations, tuple(stages))


def _stages(runs: Sequence[SeedRun]) -> list[dict[str, Any]]:
    """What each stage of compression made of the int8 student: metrics over the seeds, costs of the first."""
    rows = []
    for results in zip(*(one.stages for one in runs)):
        first = results[0]
        metrics = summarise([{"int8": result.evaluation.metrics} for result in results], ["int8"])
        rows.append(
            {
                "stage": first.stage,
                "metrics": metrics.get("int8", {}),
                "flash": first.footprint.model_bytes,
                "arena": first.footprint.arena_bytes_32bit,
                "macs": first.footprint.macs,
                "zeros": sparsity_of(first.model),
            }
        )
    return rows


def _parameters(model: keras.Model) -> int:
    """Parameters of a model; of one that simulates int8 its kernels and biases."""
    if isinstance(model, QuantizationAware):
        return sum(array.size for held in model.weights_now().values() for array in held.values())
    return int(model.count_params())


def _budget(config: Config, tflite: Written) -> dict[str, Any] | None:
    """The budget and what breaks it; None where there is none."""
    budget = config.budget
    if not budget.given:
        return None
    found = check(tflite, flash=budget.flash, ram=budget.ram)
    return {**budget.model_dump(), "fits": found.fits, "broken": list(found.broken)}


def _finish(
    config: Config, data: Prepared, working: Path, rows: list[dict[str, Any]], runs: list[SeedRun]
) -> dict[str, Any]:
    """Measure, verify, emit and report the first seed's student."""
    chosen, final = runs[0], runs[0].stages[-1]
    deployed, evaluations, footprint = final.written, chosen.evaluations, final.footprint
    windows = data.test.x[evenly_spaced(len(data.test), VERIFIED_WINDOWS)]
    parity = verify(deployed.plain, windows)
    if deployed.content != deployed.plain.content and not np.array_equal(
        run(deployed, windows), run(deployed.plain, windows)
    ):
        raise ConversionError("the packed student gives other outputs than before packing; leave out stage 'cluster'")
    threshold = evaluations["student_int8"].threshold
    firmware = emit(
        deployed,
        working / "firmware",
        config.firmware.name,
        class_names=data.class_names,
        constants=None if threshold is None else {"threshold": threshold.value},
    )
    _keep(chosen, data, working)
    detector = chip_detector(config, data, deployed, threshold)
    no_project = not_for_a_chip(config, detector)
    write_bytes(working / "firmware" / "README.txt", firmware_note(config, firmware, no_project))
    metric = "accuracy" if data.class_names else "auc"
    variants = [name for name in rows[0] if name != "seed"]
    report = {
        "job": config.job,
        "task": config.task,
        "data": {
            "windows": {part: len(getattr(data, part)) for part in ("train", "validation", "calibration", "test")},
            "class_names": list(data.class_names),
            "channels": list(data.channels),
            "sample_rate": data.sample_rate,
            "notes": list(data.notes),
            "untested": untested(data),
        },
        "features": dataclasses.asdict(data.features),
        "scaling": data.scaling.to_config(),
        "threshold": None if threshold is None else threshold.value,
        "false_alarm_rate": config.detect.false_alarm_rate if threshold else None,
        "detector": detector,
        "parameters": {"teacher": chosen.teacher.model.count_params(), "student": _parameters(final.model)},
        "sparsity": sparsity_of(final.model),
        "stages": _stages(runs),
        "budget": _budget(config, deployed),
        "seeds": rows,
        "summary": summarise(rows, variants),
        "distilling": compare(rows, metric, "student_distilled", "student_alone") if chosen.alone else None,
        "distilling_int8": compare(rows, metric, "student_int8", "alone_int8") if chosen.alone else None,
        "quantizing": compare(
            rows, metric, "student_int8", "student_compressed" if config.compress else "student_distilled"
        ),
        "against_teacher": compare(rows, metric, "student_int8", "teacher"),
        "by_origin": by_origin(evaluations["student_int8"], data, judging(config, detector, threshold)),
        "graph": graph_rows(read(deployed)),
        "soft_targets": soft_targets(config.distill.temperature, data, chosen.teacher.model, deployed),
        "conversion": {"weights": deployed.plain.weights, "error": deployed.plain.error},
        "footprint": dataclasses.asdict(footprint),
        "parity": dataclasses.asdict(parity),
        "firmware": [path.name for path in firmware],
        "no_project": no_project,
        "history": {
            "teacher": chosen.teacher.history,
            "student_distilled": chosen.student.history,
            **({"student_alone": chosen.alone.history} if chosen.alone else {}),
        },
    }
    report["verdict"] = judge(report).to_report()
    write_bytes(working / "report.json", json_bytes(report))
    write_bytes(working / "report.html", render_report(report, evaluations, data))
    return report


def _keep(chosen: SeedRun, data: Prepared, working: Path) -> None:
    """Models of the seed that is emitted, windows of the test, and what its calibration was like."""
    final = chosen.stages[-1]
    write_bytes(working / "teacher.keras", keras_bytes(copied(chosen.teacher.model)))
    write_bytes(working / "student.keras", keras_bytes(copied(final.model)))
    write_bytes(working / "student_int8.tflite", final.written.content)
    write_bytes(working / "golden.npy", array_bytes(data.test_vectors))
    healthy = chosen.evaluations["student_int8"].healthy
    if healthy is not None:
        for name, content in baseline_files(data, healthy, final.written).items():
            write_bytes(working / name, content)


def _write_manifest(told: dict[str, Any], whole: Path) -> None:
    """Config, seed, versions and the digest of every file: the last file written."""
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    manifest = {
        "config": told,
        "seed": told["seed"],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "sha256": {path.relative_to(whole).as_posix(): sha256(path.read_bytes()) for path in files},
    }
    write_bytes(whole / "manifest.json", json_bytes(manifest))


def _kept(place: Path, make: Callable[[], Trained]) -> Trained:
    """The model that an interrupted run left at `place`, or a new one, kept there."""
    model_path, history_path = place.with_suffix(".keras"), place.with_suffix(".json")
    if not (model_path.is_file() and history_path.is_file()):
        trained = make()
        write_bytes(model_path, keras_bytes(copied(trained.model)))
        write_bytes(history_path, json_bytes(trained.history))
    # A model just trained is read back too, so that a resumed run and an uninterrupted one do the very same.
    model = keras.saving.load_model(model_path, compile=False, safe_mode=True)
    return Trained(model, json.loads(history_path.read_text()))
