"""A whole run: data, teacher, students, int8, proof, firmware, report."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from micro.compress.prune import sparsity_of
from micro.config import Config
from micro.conversion import Converted, convert
from micro.detect import threshold_rank
from micro.emission import emit
from micro.errors import RunError
from micro.evaluate import Evaluation, Predict, by_origin, compare, evaluate, summarise
from micro.files import json_bytes, keras_bytes, sha256, write_bytes
from micro.prepare import Prepared, prepare
from micro.report import render_report
from micro.tflm import measure, run, verify
from micro.train import Trained, check_models, distil, prune_student, train_alone, train_teacher, uncompiled

VERIFIED_WINDOWS = 1000
CALIBRATION_WINDOWS = 512
PACKAGES = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite-micro", "ai-edge-litert", "numpy")

# Told the stage and the share of the whole that is done.
Progress = Callable[[str, float], None]
# Told the stage and the epochs that it has done since.
Tick = Callable[..., None]


def run_pipeline(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda stage, share: None,
) -> dict[str, Any]:
    """Carry out a config into the run folder `out` and return its report.

    Work goes on in `OUT.partial` and is renamed to `out` when whole. `resume` goes on with an interrupted run of the same
    config; `force` replaces an earlier run folder. `progress` is told the stage and the share done.

    Raises: RunError if `out` is in the way; DataError, ValueError and ConversionError before or while a stage works.
    """
    out = Path(out)
    working = claim(out, config, resume=resume, force=force)
    # The same seed gives the same weights; the setting cannot be taken back within the process.
    tf.config.experimental.enable_op_determinism()
    progress("reading data", 0.0)
    data = prepare(config)
    check_models(config, data)
    if config.task == "anomaly":
        threshold_rank(len(data.calibration), config.detect.false_alarm_rate)
    report = _run_stages(config, data, working, progress)
    shutil.rmtree(working / "parts")
    _publish(working, out)
    progress("done", 1.0)
    return report


def claim(out: Path, config: Config, *, resume: bool, force: bool) -> Path:
    """The folder to work in: new, or with `resume` the one that an interrupted run of the same config left.

    Raises: RunError if something of the user's would be lost or another config's work mixed in.
    """
    working = out.with_name(f"{out.name}.partial")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (out / "manifest.json").is_file():
            raise RunError(f"{out} exists and is not a run folder; choose another --out")
        if not force:
            raise RunError(f"{out} holds a run already; choose another --out, or replace it with --force")
    told = json_bytes(config.model_dump(mode="json"))
    if working.exists():
        if not (working / "config.json").is_file():
            raise RunError(f"{working} exists and is not an interrupted run; move it away")
        if resume:
            if (working / "config.json").read_bytes() != told:
                raise RunError(f"{working} belongs to another config; run that one, or start afresh with --force")
            return working
        if not force:
            raise RunError(f"{working} holds an interrupted run; go on with --resume, or start afresh with --force")
        shutil.rmtree(working)
    elif resume and not force:
        raise RunError(f"nothing to resume: {working} does not exist")
    write_bytes(working / "config.json", told)
    return working


@dataclass(frozen=True)
class SeedRun:
    """What one seed gave: its models, the int8 student, and what each is worth."""

    teacher: Trained
    student: Trained
    alone: Trained
    deployed: keras.Model
    converted: Converted
    evaluations: dict[str, Evaluation]


def _run_stages(config: Config, data: Prepared, working: Path, progress: Progress) -> dict[str, Any]:
    total = config.seeds * (config.teacher.epochs + 2 * config.student.epochs)
    done = 0

    def tick(label: str, epochs: int = 1) -> None:
        nonlocal done
        done += epochs
        progress(label, 0.02 + 0.9 * done / max(1, total))

    runs = [_one_seed(config, data, config.seed + n, working / "parts", tick) for n in range(config.seeds)]
    rows = [
        {"seed": config.seed + n, **{name: found.metrics for name, found in one.evaluations.items()}}
        for n, one in enumerate(runs)
    ]
    progress("proving and emitting", 0.95)
    # The seed that is deployed is settled before any is tested: the first.
    return _finish(config, data, working, rows, runs[0])


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
    alone = stage("alone", student_epochs, lambda on_epoch: train_alone(config, data, seed, on_epoch))
    deployed = student.model
    if config.prune.target_sparsity:
        pruned = stage(
            "pruned", 0, lambda _: Trained(prune_student(config, data, teacher.model, student.model, seed), {})
        )
        deployed = pruned.model
    tick(f"seed {seed}: int8", 0)
    calibration = _calibration(data, seed)
    converted = convert(deployed, calibration, weights=config.convert.weights)
    converted_alone = convert(alone.model, calibration, weights=config.convert.weights)
    judged = {"teacher": teacher.model, "student_distilled": student.model, "student_alone": alone.model}
    if config.prune.target_sparsity:
        judged["student_pruned"] = deployed
    rate = config.detect.false_alarm_rate
    evaluations = {name: evaluate(_keras_predict(model), data, rate) for name, model in judged.items()}
    for name, tflite in (("student_int8", converted), ("alone_int8", converted_alone)):
        evaluations[name] = evaluate(partial(run, tflite), data, rate)
    return SeedRun(teacher, student, alone, deployed, converted, evaluations)


def _finish(
    config: Config, data: Prepared, working: Path, rows: list[dict[str, Any]], chosen: SeedRun
) -> dict[str, Any]:
    """Measure, verify, emit and report the chosen seed's student."""
    converted, evaluations = chosen.converted, chosen.evaluations
    footprint = measure(converted)
    parity = verify(converted, data.test.x[_spread(len(data.test), VERIFIED_WINDOWS)])
    threshold = evaluations["student_int8"].threshold
    firmware = emit(
        converted,
        working / "firmware",
        config.firmware.name,
        class_names=data.class_names,
        constants=None if threshold is None else {"threshold": threshold},
    )
    write_bytes(working / "teacher.keras", keras_bytes(uncompiled(chosen.teacher.model)))
    write_bytes(working / "student.keras", keras_bytes(uncompiled(chosen.deployed)))
    write_bytes(working / "student_int8.tflite", converted.content)
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
        },
        "features": dataclasses.asdict(data.features),
        "scaling": data.scaling.to_config(),
        "detector": None
        if threshold is None
        else {
            "score": "mean squared reconstruction error",
            "threshold": threshold,
            "false_alarm_rate": config.detect.false_alarm_rate,
        },
        "parameters": {"teacher": chosen.teacher.model.count_params(), "student": chosen.deployed.count_params()},
        "sparsity": sparsity_of(chosen.deployed),
        "seeds": rows,
        "summary": summarise(rows, variants),
        "distilling": compare(rows, metric, "student_distilled", "student_alone"),
        "distilling_int8": compare(rows, metric, "student_int8", "alone_int8"),
        "quantizing": compare(
            rows, metric, "student_int8", "student_pruned" if "student_pruned" in variants else "student_distilled"
        ),
        "against_teacher": compare(rows, metric, "student_int8", "teacher"),
        "by_origin": by_origin(evaluations["student_int8"], data),
        "conversion": {"weights": converted.weights, "error": converted.error},
        "footprint": dataclasses.asdict(footprint),
        "parity": dataclasses.asdict(parity),
        "firmware": [path.name for path in firmware],
        "history": {
            "teacher": chosen.teacher.history,
            "student_distilled": chosen.student.history,
            "student_alone": chosen.alone.history,
        },
    }
    write_bytes(working / "report.json", json_bytes(report))
    write_bytes(working / "report.html", render_report(report, evaluations, data))
    _write_manifest(config, working)
    return report


def _write_manifest(config: Config, working: Path) -> None:
    """Config, seed, versions and the digest of every file: the last file written."""
    passing = ("parts", "config.json")
    files = sorted(p for p in working.rglob("*") if p.is_file() and p.relative_to(working).parts[0] not in passing)
    manifest = {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "sha256": {str(path.relative_to(working)): sha256(path.read_bytes()) for path in files},
    }
    write_bytes(working / "manifest.json", json_bytes(manifest))
    (working / "config.json").unlink()


def _publish(working: Path, out: Path) -> None:
    """Rename the finished folder into place; an earlier one goes only when the new one is there."""
    before = out.with_name(f"{out.name}.before")
    if out.exists():
        os.replace(out, before)
    os.replace(working, out)
    if before.exists():
        shutil.rmtree(before)


def _kept(place: Path, make: Callable[[], Trained]) -> Trained:
    """The model that an interrupted run left at `place`, or a new one, kept there."""
    model_path, history_path = place.with_suffix(".keras"), place.with_suffix(".json")
    if not (model_path.is_file() and history_path.is_file()):
        trained = make()
        write_bytes(model_path, keras_bytes(uncompiled(trained.model)))
        write_bytes(history_path, json_bytes(trained.history))
    # A model just trained is read back too, so that a resumed run and an uninterrupted one do the very same.
    model = keras.saving.load_model(model_path, compile=False, safe_mode=True)
    return Trained(model, json.loads(history_path.read_text()))


def _keras_predict(model: keras.Model) -> Predict:
    return lambda x: np.asarray(model.predict(x, batch_size=1024, verbose=0))


def _calibration(data: Prepared, seed: int) -> np.ndarray:
    """Training windows to calibrate the int8 ranges on, drawn evenly."""
    rng = np.random.default_rng([seed, 7])
    count = min(CALIBRATION_WINDOWS, len(data.train))
    return data.train.x[np.sort(rng.choice(len(data.train), count, replace=False))]


def _spread(count: int, wanted: int) -> np.ndarray:
    """Up to `wanted` indices spread evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int))
