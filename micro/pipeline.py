"""A whole run: data, teacher, students, int8, proof, firmware, report."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from micro.compress.prune import sparsity_of
from micro.config import Config
from micro.conversion import convert
from micro.emission import emit
from micro.errors import RunError
from micro.evaluate import Evaluation, by_origin, compare, evaluate, summarise
from micro.files import json_bytes, keras_bytes, sha256, write_bytes
from micro.prepare import Prepared, prepare
from micro.report import render_report
from micro.tflm import measure, run, verify
from micro.train import Trained, check_models, distil, prune_student, train_alone, train_teacher, uncompiled

VERIFIED_WINDOWS = 1000
CALIBRATION_WINDOWS = 512
PACKAGES = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite-micro", "ai-edge-litert", "numpy")

Progress = Callable[[str, float], None]


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
    partial = claim(out, config, resume=resume, force=force)
    with _deterministic():
        progress("reading data", 0.0)
        data = prepare(config)
        check_models(config, data)
        report = _run_stages(config, data, partial, progress)
    shutil.rmtree(partial / "parts")
    _publish(partial, out)
    progress("done", 1.0)
    return report


def claim(out: Path, config: Config, *, resume: bool, force: bool) -> Path:
    """The folder to work in: new, or with `resume` the one that an interrupted run of the same config left.

    Raises: RunError if something of the user's would be lost or another config's work mixed in.
    """
    partial = out.with_name(f"{out.name}.partial")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (out / "manifest.json").is_file():
            raise RunError(f"{out} exists and is not a run folder; choose another --out")
        if not force:
            raise RunError(f"{out} holds a run already; choose another --out, or replace it with --force")
    told = json_bytes(config.model_dump(mode="json"))
    if partial.exists():
        if not (partial / "config.json").is_file():
            raise RunError(f"{partial} exists and is not an interrupted run; move it away")
        if resume:
            if (partial / "config.json").read_bytes() != told:
                raise RunError(f"{partial} belongs to another config; run that one, or start afresh with --force")
            return partial
        if not force:
            raise RunError(f"{partial} holds an interrupted run; go on with --resume, or start afresh with --force")
        shutil.rmtree(partial)
    elif resume and not force:
        raise RunError(f"nothing to resume: {partial} does not exist")
    write_bytes(partial / "config.json", told)
    return partial


def _run_stages(config: Config, data: Prepared, partial: Path, progress: Progress) -> dict[str, Any]:
    parts = partial / "parts"
    seeds = [config.seed + number for number in range(config.seeds)]
    epochs_a_seed = config.teacher.epochs + 2 * config.student.epochs
    done = 0

    def epochs_to(total: int, label: str) -> Callable[[], None]:
        def step() -> None:
            nonlocal done
            done += 1
            progress(label, 0.02 + 0.88 * done / max(1, config.seeds * epochs_a_seed))

        return step

    rows: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    for number, seed in enumerate(seeds):

        def stage(name: str, make: Callable[[Callable[[], None]], Trained], epochs: int, seed: int = seed) -> Trained:
            nonlocal done
            target = (done + epochs, f"seed {seed}: {name}")
            trained = _kept(parts / f"seed-{seed}" / name, lambda: make(epochs_to(*target)))
            done = target[0]
            return trained

        teacher = stage("teacher", lambda tick, s=seed: train_teacher(config, data, s, tick), config.teacher.epochs)
        student = stage(
            "student", lambda tick, s=seed, t=teacher: distil(config, data, t.model, s, tick), config.student.epochs
        )
        alone = stage("alone", lambda tick, s=seed: train_alone(config, data, s, tick), config.student.epochs)
        deployed = student.model
        if config.prune.target_sparsity:
            pruned = stage(
                "pruned",
                lambda tick, s=seed, t=teacher, m=student: Trained(
                    prune_student(config, data, t.model, m.model, s), {}
                ),
                0,
            )
            deployed = pruned.model
        progress(f"seed {seed}: int8", 0.02 + 0.88 * (number + 0.95) / config.seeds)
        calibration = _calibration(data, seed)
        converted = convert(deployed, calibration, weights=config.convert.weights)
        converted_alone = convert(alone.model, calibration, weights=config.convert.weights)
        evaluations = {
            "teacher": _evaluate(teacher.model, data, config),
            "student_distilled": _evaluate(student.model, data, config),
            "student_alone": _evaluate(alone.model, data, config),
        }
        if config.prune.target_sparsity:
            evaluations["student_pruned"] = _evaluate(deployed, data, config)
        rate = config.detect.false_alarm_rate
        evaluations["student_int8"] = evaluate(lambda x, c=converted: run(c, x), data, rate)
        evaluations["alone_int8"] = evaluate(lambda x, c=converted_alone: run(c, x), data, rate)
        rows.append({"seed": seed, **{name: evaluation.metrics for name, evaluation in evaluations.items()}})
        if number == 0:
            first = {
                "teacher": teacher,
                "student": deployed,
                "converted": converted,
                "evaluations": evaluations,
                "history": {
                    "teacher": teacher.history,
                    "student_distilled": student.history,
                    "student_alone": alone.history,
                },
            }
    progress("proving and emitting", 0.95)
    return _finish(config, data, partial, rows, first)


def _finish(
    config: Config, data: Prepared, partial: Path, rows: list[dict[str, Any]], first: dict[str, Any]
) -> dict[str, Any]:
    """Measure, verify, emit and report the first seed's student; the seed is chosen before any is tested."""
    converted = first["converted"]
    evaluations: dict[str, Evaluation] = first["evaluations"]
    footprint = measure(converted)
    parity = verify(converted, data.test.x[_spread(len(data.test), VERIFIED_WINDOWS)])
    threshold = evaluations["student_int8"].threshold
    firmware = emit(
        converted,
        partial / "firmware",
        config.firmware.name,
        class_names=data.class_names,
        constants=None if threshold is None else {"threshold": threshold},
    )
    write_bytes(partial / "teacher.keras", keras_bytes(uncompiled(first["teacher"].model)))
    write_bytes(partial / "student.keras", keras_bytes(uncompiled(first["student"])))
    write_bytes(partial / "student_int8.tflite", converted.content)
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
        "parameters": {"teacher": first["teacher"].model.count_params(), "student": first["student"].count_params()},
        "sparsity": sparsity_of(first["student"]),
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
        "history": first["history"],
    }
    write_bytes(partial / "report.json", json_bytes(report))
    write_bytes(partial / "report.html", render_report(report, evaluations, data))
    _write_manifest(config, partial)
    return report


def _write_manifest(config: Config, partial: Path) -> None:
    """Config, seed, versions and the digest of every file: the last file written."""
    (partial / "config.json").unlink()
    files = sorted(p for p in partial.rglob("*") if p.is_file() and p.relative_to(partial).parts[0] != "parts")
    manifest = {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "sha256": {str(path.relative_to(partial)): sha256(path.read_bytes()) for path in files},
    }
    write_bytes(partial / "manifest.json", json_bytes(manifest))


def _publish(partial: Path, out: Path) -> None:
    """Rename the finished folder into place; an earlier one goes only when the new one is there."""
    before = out.with_name(f"{out.name}.before")
    if out.exists():
        os.replace(out, before)
    os.replace(partial, out)
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


def _evaluate(model: keras.Model, data: Prepared, config: Config) -> Evaluation:
    return evaluate(
        lambda x: np.asarray(model.predict(x, batch_size=1024, verbose=0)), data, config.detect.false_alarm_rate
    )


def _calibration(data: Prepared, seed: int) -> np.ndarray:
    """Training windows to calibrate the int8 ranges on, drawn evenly."""
    rng = np.random.default_rng([seed, 7])
    count = min(CALIBRATION_WINDOWS, len(data.train))
    return data.train.x[np.sort(rng.choice(len(data.train), count, replace=False))]


def _spread(count: int, wanted: int) -> np.ndarray:
    """Up to `wanted` indices spread evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int))


@contextmanager
def _deterministic() -> Iterator[None]:
    """The same seed gives the same weights; the setting cannot be taken back within the process."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    yield
