"""What is emitted of a run: the detector, recognizer or estimator on the chip, and what lies in its firmware folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from micro.config import Config
from micro.datasets.prepared import Prepared
from micro.datasets.standing import detector_limits
from micro.detection.commissioning import LIMIT_FRACTION, THRESHOLD_FRACTION, Commissioning
from micro.detection.detector import Detector, make_detector, stand_in, with_modes
from micro.detection.estimator import Estimator, Estimators
from micro.detection.fleet_prior import fleet_prior
from micro.detection.labeler import NEVER as NO_LABEL_ABOVE
from micro.detection.labeler import Labeler, labeled, make_labeler
from micro.detection.predictor import Predictor, table_of
from micro.detection.recognizer import NEVER, NO_CLASS, Recognizer, make_recognizer, recognize
from micro.detection.score import margin_score
from micro.detection.sensor import as_sampled
from micro.detection.threshold import Threshold, threshold_rank
from micro.runs.compression import Written
from micro.runs.evaluate import detector_score
from micro.runs.report_parts import ClassReport, LabelReport, RecognizedReport, ReportedDetector
from micro.runs.run_report import reported
from micro.runs.text_models import Embedding
from micro.signal import FrontEnd
from micro.signal.learned import value_fractions
from micro.tflite.graph import read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import run_inputs


def chip_detector(
    config: Config,
    data: Prepared,
    tflite: Written,
    threshold: Threshold | None,
    by_mode: Sequence[Threshold | None] = (),
) -> ReportedDetector | None:
    """The firmware's detector, with its threshold in real units; None for models that are not int8. `by_mode` are the
    thresholds of operating modes, where there are some."""
    graph = read(tflite)
    if graph.tensors[graph.inputs[0]].dtype != "int8" or config.recognizes:
        return None
    if data.task in ("multilabel", "regression", "sequence"):
        return None
    settings = detector_settings(config, data)
    if threshold is None:
        score = margin_score(tflite, [data.class_names.index(name) for name in data.healthy_classes])
        threshold = Threshold(0.0, "the most likely class is a fault")
    else:
        score = detector_score(tflite, data.predicted)
    detector = make_detector(score, threshold, **settings)
    if data.ranges is not None:
        detector = with_modes(detector, data.ranges, by_mode, clear_threshold=settings["clear_threshold"])
    return reported(detector, threshold.value)


def detector_settings(config: Config, data: Prepared) -> dict[str, Any]:
    """What a run's detector is made with besides score and threshold; see `micro.make_detector`."""
    settings = in_counts(config.detect.model_dump(exclude={"false_alarm_rate", "method"}), data)
    off_rms = detector_limits(config.detect.off_rms, data.channels, config.features, data.features)
    return {**settings, "off_rms": off_rms}


def chip_commissioning(config: Config, data: Prepared, detector: Detector | None) -> Commissioning | None:
    """How the firmware's detector learns its machine; None where it does not."""
    section, machines = config.commissioning, data.machines
    if section is None or machines is None or detector is None or not isinstance(data.features, FrontEnd):
        return None
    prior = fleet_prior(
        list(machines.learned),
        machines.powers,
        np.round(2.0 ** value_fractions(data.features)).astype(np.int64),
        unlike_rate=section.unlike_rate,
        stopped_limit=section.stopped_limit,
        exponent=machines.exponent,
    )
    return Commissioning(
        section.learn_windows,
        section.calibrate_windows,
        threshold_rank(section.calibrate_windows, config.detect.false_alarm_rate),
        prior,
        halves_limit=round(section.halves_limit * (1 << LIMIT_FRACTION)),
        clear=max(1, math.floor(config.detect.clear_threshold * (1 << THRESHOLD_FRACTION))),
        adapt_limit=round(section.adapt_limit * (1 << LIMIT_FRACTION)),
        adapt_shift=section.adapt_windows.bit_length() - 1,
        adapt_below=math.floor(section.adapt_below * (1 << THRESHOLD_FRACTION)),
    )


def chip_recognizer(config: Config, data: Prepared, tflite: Written) -> Recognizer | None:
    """The firmware's recognizer, its thresholds from the windows held out; None where the firmware raises alarms instead, and
    for models that are not int8."""
    graph = read(tflite)
    if graph.tensors[graph.inputs[0]].dtype != "int8" or not config.recognizes:
        return None
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    settings = in_counts(config.recognize.model_dump(), data)
    outputs = run_inputs(tflite, quantize_inputs(graph, data.calibration.x)[0])
    return make_recognizer(quantization.scale[0], data.class_names, outputs, data.calibration.labels, **settings)


def chip_labeler(config: Config, data: Prepared, tflite: Written) -> Labeler | None:
    """The firmware's labeler, its thresholds from the windows held out; None where the run has no labels, and for models that
    are not int8."""
    graph = read(tflite)
    if not data.label_names or graph.tensors[graph.inputs[0]].dtype != "int8":
        return None
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    settings = in_counts(config.recognize.model_dump(exclude={"background_classes", "suppression"}), data)
    outputs = run_inputs(tflite, quantize_inputs(graph, data.calibration.x)[0])
    outputs = outputs.reshape(len(outputs), -1)
    unit, zero = quantization.scale[0], quantization.zero_point[0]
    return make_labeler(unit, zero, data.label_names, outputs, data.calibration.labels, **settings)


def chip_estimator(
    config: Config, data: Prepared, tflite: Written, widths: Sequence[tuple[float, str]]
) -> Estimator | Estimators | None:
    """The firmware's estimator, or those of several numbers; None where the run is no regression, and for models that are not
    int8."""
    graph = read(tflite)
    if data.target is None or graph.tensors[graph.inputs[0]].dtype != "int8":
        return None
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    settings = in_counts(config.estimate.model_dump(exclude={"coverage"}), data)
    scale, zero = quantization.scale[0], quantization.zero_point[0]
    made = []
    for target, (width, guarantee) in zip(data.target.each, widths, strict=True):
        more: dict[str, Any] = {**settings, "guarantee": guarantee, "lowest": target.lowest, "highest": target.highest}
        made.append(Estimator(target.name, scale * target.deviation, zero, target.mean, width, **more))
    return made[0] if len(made) == 1 else Estimators(tuple(made))


def chip_predictor(data: Prepared, tflite: Written, embedding: Embedding | None) -> Predictor | None:
    """What the firmware puts around a model of text; None of other tasks."""
    text = data.text
    if text is None or embedding is None:
        return None
    graph = read(tflite)
    inputs, outputs = (graph.tensors[side[0]].quantization for side in (graph.inputs, graph.outputs))
    assert inputs is not None
    assert outputs is not None
    table = table_of(embedding.table, inputs.scale[0], inputs.zero_point[0])
    around = (text.student.before, text.student.after)
    form: Literal["text", "pairs"] = "text" if text.form == "text" else "pairs"
    unit = outputs.scale[0]
    return Predictor(form, text.vocabulary, text.symbols, text.between, *around, table, unit, text.longest)


def by_class(recognizer: Recognizer | None, data: Prepared, tflite: Written) -> tuple[ClassReport, ...]:
    """What each class's threshold does to the test windows; nothing without a recognizer."""
    if recognizer is None:
        return ()
    labels, taken = data.test.labels, _candidates(recognizer, data, tflite)
    rows = []
    for place, (name, threshold) in enumerate(zip(recognizer.class_names, recognizer.thresholds)):
        own, hit = labels == place, taken == place
        rows.append(
            ClassReport(
                name=name,
                threshold=None if threshold == NEVER else threshold * recognizer.unit,
                windows=int(own.sum()),
                recognized=float(hit[own].mean()) if own.any() else None,
                false_accepts=float(hit[~own].mean()) if not own.all() else None,
            )
        )
    return tuple(rows)


def recognized(recognizer: Recognizer | None, data: Prepared, tflite: Written) -> RecognizedReport | None:
    """What it reports over the test's recordings, window by window as they follow one another; None without a recognizer.

    Windows that the test leaves out, between classes or without one, count as windows of no class.
    """
    if recognizer is None:
        return None
    taken, reported = _candidates(recognizer, data, tflite), np.full(len(data.test), NO_CLASS)
    for mine, stream in _streams(data):
        windows = np.full(stream.length, NO_CLASS)
        windows[stream.places] = taken[mine]
        reported[mine] = np.array(recognize(recognizer, windows)[1])[stream.places]
    right, none = (float(np.mean(each)) for each in (reported == data.test.labels, reported == NO_CLASS))
    return RecognizedReport(right=right, wrong=1.0 - right - none, none=none)


def by_label(labeler: Labeler | None, data: Prepared, tflite: Written) -> tuple[LabelReport, ...]:
    """What each label's threshold does to the test windows, one by one and as the firmware counts them; nothing without a
    labeler."""
    if labeler is None:
        return ()
    scores = labeler.scores(run_inputs(tflite, quantize_inputs(read(tflite), data.test.x)[0]))
    given = labeler.holds(scores)
    reported = _counted(labeler, given, data)
    rows = []
    for place, (name, threshold) in enumerate(zip(labeler.label_names, labeler.thresholds)):
        own = data.test.labels[:, place] == 1
        probability = labeler.probabilities(np.array([threshold]))[0]
        rows.append(
            LabelReport(
                name=name,
                threshold=None if threshold == NO_LABEL_ABOVE else float(probability),
                windows=int(own.sum()),
                given=_fraction(given[own, place]),
                falsely_given=_fraction(given[~own, place]),
                reported=_fraction(reported[own, place]),
                falsely_reported=_fraction(reported[~own, place]),
            )
        )
    return tuple(rows)


def _counted(labeler: Labeler, given: np.ndarray, data: Prepared) -> np.ndarray:
    """Which labels are reported after each test window, recording by recording, (n, labels) bool.

    Windows that the test leaves out count as windows without labels.
    """
    masks = np.zeros(len(given), np.int64)
    for mine, stream in _streams(data):
        holds = np.zeros((stream.length, given.shape[1]), bool)
        holds[stream.places] = given[mine]
        masks[mine] = labeled(labeler, holds)[1][stream.places]
    return (masks[:, None] >> np.arange(given.shape[1]) & 1).astype(bool)


def _fraction(flags: np.ndarray) -> float | None:
    """The fraction of flags that are set; None of none."""
    return float(flags.mean()) if len(flags) else None


@dataclass(frozen=True)
class Stream:
    """The windows of a recording in a row: how many, and where the test's lie among them."""

    length: int
    places: np.ndarray


def _streams(data: Prepared) -> Iterator[tuple[np.ndarray, Stream]]:
    """For each recording of the test the rows of its windows, and where they lie between its first and its last."""
    origins, places = np.array(data.test.origins), data.test.places
    assert places is not None
    for origin in dict.fromkeys(data.test.origins):
        mine = np.flatnonzero(origins == origin)
        own = places[mine] - places[mine].min()
        yield mine, Stream(int(own.max()) + 1, own)


def _candidates(recognizer: Recognizer, data: Prepared, tflite: Written) -> np.ndarray:
    return recognizer.candidates(run_inputs(tflite, quantize_inputs(read(tflite), data.test.x)[0]))


def in_counts(settings: dict[str, Any], data: Prepared) -> dict[str, Any]:
    """Settings of a last stage whose saturation is in the unit that the firmware's front end takes samples in."""
    return {**settings, "saturation": as_sampled(settings["saturation"], data.features)}


def judging(config: Config, detector: Detector | None, threshold: Threshold | None) -> Detector | None:
    """What turns scores into alarms: the chip's detector, or one of real scores where the student is not int8; None of a
    classifier."""
    if threshold is None:
        return None
    if detector is not None:
        return detector
    counting = config.detect.model_dump(include={"clear_threshold", "min_hits", "history", "clear_after"})
    return stand_in(threshold, **counting)


def firmware_note(config: Config, firmware: Sequence[Path], no_project: str | None) -> bytes:
    """What lies in a run's firmware folder and what does not; the same for every place that the run may lie in."""
    files = ", ".join(path.name for path in firmware)
    own = {"multilabel": "labeler", "regression": "estimator", "sequence": "predictor"}.get(config.task, "detector")
    stage = "recognizer" if config.recognizes else own
    whole = f"""\
A whole project with front end, model, {stage}, a place for your sensor and a self-test is written by this command, given in
the folder above this one:

    keras-kd new-firmware . --board BOARD --out ../{config.firmware.name}-firmware

keras-kd new-firmware --help names the boards.
"""
    kind = "holds TFLite Micro"
    if config.firmware.streaming:
        kind = "gives it the rows of a hop at a time: it is static C and keeps what it has computed of earlier ones"
    return f"""\
This is the model alone: {files}.
It is for a program of your own that {kind}. Front end, scaling and {stage} are not here.

{whole if no_project is None else f"keras-kd new-firmware cannot write a whole project of this run: {no_project}."}
""".encode()
