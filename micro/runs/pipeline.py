"""A whole run: data, teacher, students, int8, verification, firmware, report."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_kd.layers import copied
from micro.aot import generate
from micro.config import Config
from micro.datasets.prepared import Prepared, calibration_windows
from micro.datasets.spacing import evenly_spaced
from micro.emission import emit
from micro.errors import ConversionError, DataError
from micro.runs.alarms_explained import alarm_reports
from micro.runs.around_model import around_of
from micro.runs.baseline import baseline_files
from micro.runs.chip_report import StreamingReport
from micro.runs.compression import Written
from micro.runs.epochs import planned_epochs
from micro.runs.firmware import STEP, firmware_of, not_for_a_chip
from micro.runs.firmware_files import (
    by_class,
    by_label,
    chip_commissioning,
    chip_detector,
    chip_estimator,
    chip_labeler,
    chip_predictor,
    chip_recognizer,
    firmware_note,
    recognized,
)
from micro.runs.folder import RunFolder
from micro.runs.kept_outputs import NAME as TEST_OUTPUTS
from micro.runs.kept_scores import NAME as TEST_SCORES
from micro.runs.kept_scores import data_digests, scores_file
from micro.runs.kept_windows import windows_outputs
from micro.runs.progress_lines import Teller
from micro.runs.real_numbers import in_real_numbers
from micro.runs.recipe_trials import settled_recipe
from micro.runs.report import About, render_report
from micro.runs.reporting import Emitted, RunResults, deployed_model, make_report
from micro.runs.run_report import RunReport
from micro.runs.seed_run import SeedRun, SeedWork, Tick, run_seed
from micro.runs.streamed import streamed_student, verified
from micro.runs.tested_streams import seconds_of
from micro.runs.text_device import TEST_TEXTS
from micro.runs.train import check_models
from micro.runs.training_devices import ready_devices
from micro.signal import FrontEnd
from micro.streaming.streamed import Streamed
from micro.support.files import array_bytes, json_bytes, keras_bytes, sha256, write_bytes
from micro.support.wording import listed
from micro.tflite.interpreter import run
from micro.tflite.parity import Parity, verify

VERIFIED_WINDOWS = 1000
PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-model-optimization",
    "tflite-micro",
    "ai-edge-litert",
    "numpy",
    "scikit-learn",
)


def check_work(config: Config, data: Prepared) -> None:
    """Prepare TensorFlow for a run, and check that models, data and budget fit one another before anything is trained.

    Raises:
        DataError: For models that do not fit the data.
        ValueError: For stages that do not fit the models.
        RunError: For a budget that cannot be met.
    """
    # The same seed gives the same weights; the setting cannot be taken back within the process.
    tf.config.experimental.enable_op_determinism()
    _require_classes(config.recognize.background_classes, data.class_names)
    ready_devices(config.teacher.devices)
    check_models(config, data, calibration_windows(data, config.seed))


def _require_classes(background: Sequence[str], names: Sequence[str]) -> None:
    """DataError for background classes that are no classes, or all of them."""
    unknown = [name for name in background if name not in names]
    if unknown:
        raise DataError(f"background_classes names {unknown[0]!r}; the classes are {listed(names)}")
    if names and set(names) == set(background):
        raise DataError("background_classes names every class, so that none could ever be reported")


def train_and_report(config: Config, data: Sequence[Prepared], folder: RunFolder, teller: Teller) -> RunReport:
    """Train, or take up again, all seeds' models in a folder that has begun, fill its `whole`, and return the report.

    `data` is one division, or one of each fold, whose models have a folder of their own.
    """
    teller.planned(*planned_epochs(config, len(data)))

    def of_fold(number: int) -> Tick:
        if len(data) == 1:
            return teller.tick
        return lambda label, epochs=1, epoch=None, /: teller.tick(
            f"fold {number + 1}, {label}", epochs, None if epoch is None else replace(epoch, fold=number + 1)
        )

    seeds = [config.seed + n for n in range(config.seeds)]
    places = [folder.parts / f"fold-{number + 1}" if len(data) > 1 else folder.parts for number in range(len(data))]
    first = SeedWork(config, data[0], seeds[0], places[0] / f"seed-{seeds[0]}", of_fold(0))
    config, recipe = settled_recipe(first, folder.parts / "recipes")
    runs = tuple(
        run_seed(SeedWork(config, data[number], seed, place / f"seed-{seed}", of_fold(number)))
        for number, place in enumerate(places)
        for seed in seeds
    )
    teller.say("verifying and writing firmware", 0.95)
    report = _finish(RunResults(config, data[0], runs, recipe, tuple(data[1:])), folder.fresh_whole())
    _write_manifest(json.loads(folder.config_file.read_bytes()), folder.whole, data_digests(config))
    return report


def _finish(results: RunResults, working: Path) -> RunReport:
    """Verify, emit and report the deployed student."""
    config, data, tflite = results.config, results.data, results.deployed.written
    evaluation = results.chosen.evaluations["student_int8"]
    threshold = evaluation.threshold
    parity = _verified(results.chosen, data, tflite)
    streamed, streaming = _streamed(config, data, tflite)
    if streamed is None:
        files = emit(
            tflite,
            working / "firmware",
            config.firmware.name,
            class_names=data.class_names or data.label_names,
            constants=None if threshold is None else {"threshold": threshold.value},
        )
    else:
        files = generate(streamed, working / "firmware", config.firmware.name)
        streamed.save(working / STEP)
    _keep(results.chosen, data, working)
    detector = chip_detector(config, data, tflite, threshold, evaluation.by_mode)
    recognizer = chip_recognizer(config, data, tflite)
    estimator = chip_estimator(config, data, tflite, evaluation.half_widths)
    labeler = chip_labeler(config, data, tflite)
    predictor = chip_predictor(data, tflite, results.chosen.embedding)
    no_project = not_for_a_chip(config, detector or recognizer or labeler or estimator or predictor)
    write_bytes(working / "firmware" / "README.txt", firmware_note(config, files, no_project))
    names = tuple(path.name for path in files)
    classes = by_class(recognizer, data, tflite), recognized(recognizer, data, tflite)
    labels = by_label(labeler, data, tflite)
    decides = (detector, recognizer, labeler, estimator, predictor)
    learns = chip_commissioning(config, data, detector)
    alarms = alarm_reports(detector, evaluation, data, tflite)
    emitted = Emitted(names, *decides, *classes, labels, parity, no_project, streamed, streaming, learns, alarms)
    report = make_report(results, emitted)
    write_bytes(working / "report.json", report.to_bytes())
    if no_project is None and predictor is None:
        write_bytes(working / TEST_OUTPUTS, array_bytes(windows_outputs(working, firmware_of(working, report, config))))
    timed = seconds_of(data)
    on_chip = replace(deployed_model(results, streamed), around=around_of(report, config))
    about = About(config, versions(), on_chip, None if timed is None else timed[1])
    write_bytes(working / "report.html", render_report(report, results.chosen.evaluations, data, about))
    return report


def _streamed(config: Config, data: Prepared, tflite: Written) -> tuple[Streamed | None, StreamingReport | None]:
    """The student as a model that takes a hop, compared on test windows; None where the firmware does not stream."""
    if not config.firmware.streaming or not isinstance(data.features, FrontEnd):
        return None, None
    made = streamed_student(tflite, data.features)
    return made, verified(made, tflite, data.inputs(data.test))


def _verified(chosen: SeedRun, data: Prepared, tflite: Written) -> Parity:
    """TFLite Micro compared with TFLite on test windows, with the student as it was before packing, which TFLite runs too.

    Raises:
        ConversionError: If packing has changed an output.
    """
    windows = data.inputs(data.test)[evenly_spaced(len(data.test), VERIFIED_WINDOWS)]
    if chosen.embedding is not None:
        windows = chosen.embedding(windows)
    parity = verify(tflite.plain, windows)
    packed = tflite.content != tflite.plain.content
    if packed and not np.array_equal(run(tflite, windows), run(tflite.plain, windows)):
        raise ConversionError("the packed student gives other outputs than before packing; leave out stage 'cluster'")
    return parity


def _keep(chosen: SeedRun, data: Prepared, working: Path) -> None:
    """Models of the deployed seed, windows of the test, and the scores and features of its calibration."""
    final = chosen.stages[-1]
    if chosen.teacher is not None:
        teacher = copied(in_real_numbers(chosen.teacher.model, data.target))
        write_bytes(working / "teacher.keras", keras_bytes(teacher))
    write_bytes(working / "student.keras", keras_bytes(copied(final.model)))
    write_bytes(working / "student_int8.tflite", final.written.content)
    if data.text is None:
        write_bytes(working / "test_vectors.npy", array_bytes(data.test_vectors))
    else:
        write_bytes(working / TEST_TEXTS, json_bytes(list(data.text.kept)))
    scores = scores_file(chosen.evaluations["student_int8"], data)
    if scores is not None:
        write_bytes(working / TEST_SCORES, scores)
    healthy = chosen.evaluations["student_int8"].healthy
    if healthy is not None:
        for name, content in baseline_files(data, healthy, final.written).items():
            write_bytes(working / name, content)


def versions() -> dict[str, str]:
    """Of Python and the libraries that figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _write_manifest(config: dict[str, object], whole: Path, data: dict[str, str]) -> None:
    """Config, seed, versions, and digests of every file and of the data: the last file written."""
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    manifest = {
        "config": config,
        "seed": config["seed"],
        "data": data,
        "versions": versions(),
        "sha256": {path.relative_to(whole).as_posix(): sha256(path.read_bytes()) for path in files},
    }
    write_bytes(whole / "manifest.json", json_bytes(manifest))
