"""The detector in C: front end, score and alarm logic around the model."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from micro.detection.commissioning import Commissioning
from micro.detection.detector import Detector
from micro.detection.limits import MOST_STILL_SAMPLES
from micro.detection.modes import NO_THRESHOLD, Modes, Ranges
from micro.detection.score import CENTRE_BITS
from micro.detection.standstill import LARGEST_LIMIT
from micro.emission.c_array import write_sources
from micro.emission.c_text import CArray, c_array, float_text, render
from micro.emission.commissioning import commissioning_files
from micro.emission.front_end import front_end_files
from micro.emission.mounted_sensor import main_front_end, sensor_files
from micro.emission.parameters import parameters_context
from micro.emission.sensor import stage_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Hops, JoinedFrontEnd, Scaling
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read

SCORES = {
    "reconstruction": "the squared error with which the model reconstructs its input, summed over all features",
    "residual": "the squared error with which the model predicts some channels from the others, summed over their features",
    "distance": "the weighted squared distance between the model's outputs and those of healthy windows",
    "margin": "the highest output among the faulty classes minus the highest among the healthy ones",
}


def emit_detector(
    front_end: AnyFrontEnd, scaling: Scaling, detector: Detector, tflite: TfliteLike, directory: str | Path, name: str
) -> tuple[Path, ...]:
    """Write NAME_front_end, NAME_parameters, NAME_record and NAME_detector, a header and a C file each: samples in, alarms out.

    The C decides as `micro.detection.detector.decide` does, window by window. It runs the model by calling
    `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C of `micro.aot.generate`, or
    with TFLite Micro and the files of `emit`.

    Args:
        front_end, scaling, tflite, directory, name: As for `emit_front_end`.
        detector: Score, threshold and alarm logic, as `make_detector` gives them.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: As `emit_front_end`, and for a score that does not fit the model's outputs.

    Examples:
        >>> front_end = micro.FrontEnd("envelope", window=64, hop=32, envelope_bands=4)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(front_end.shape[-1])(inputs))
        >>> tflite = micro.convert(model, micro.calibration_data(scaling(features)))
        >>> detector = micro.make_detector(micro.reconstruction_score(tflite), micro.Threshold(3.0, "1 % of healthy windows"))
        >>> written = micro.emit_detector(front_end, scaling, detector, tflite, "out", "bearing")
        >>> [path.name for path in written if path.suffix == ".h"]
        ['bearing_front_end.h', 'bearing_detector.h', 'bearing_parameters.h', 'bearing_record.h']
    """
    content = content_of(tflite)
    return write_sources(directory, detector_files(front_end, scaling, detector, read(content), sha256(content), name))


def detector_files(
    front_end: AnyFrontEnd | Hops,
    scaling: Scaling,
    detector: Detector,
    graph: Graph,
    digest: str,
    name: str,
    commissioning: Commissioning | None = None,
    sensor_channels: int | None = None,
    *,
    exchangeable: bool = False,
) -> dict[str, bytes]:
    """Contents of the eight files by name, and of two for each further source; raises as `emit_detector`.

    With `sensor_channels` two more, of a device's own sensor that gives this number of values and of which records tell. With
    `commissioning` four more, of a detector that learns its machine; raises as `commissioning_files`, too. With
    `exchangeable` it takes the numbers of the model's weights in use, of static C with exchangeable weights.
    """
    learns = commissioning is not None
    _require_possible(front_end, detector, sensor_channels, learns=learns, exchangeable=exchangeable)
    context = {**_context(front_end, detector, graph, digest, name), "learns": learns}
    files = {
        f"{name}_{part}.{end}": f"{part}.{end}.j2" for part in ("detector", "parameters", "record") for end in "hc"
    }
    context |= parameters_context(
        front_end, scaling, detector, graph, digest, name, sensor_channels, exchangeable=exchangeable
    )
    if exchangeable and detector.score.kind == "distance":
        context["arrays"] = []  # they stand in NAME_record.c
    made = {file: render(template, context).encode() for file, template in files.items()}
    made |= sensor_files(context, name)
    places = detector.score.places
    if commissioning is not None:
        made |= commissioning_files(front_end, commissioning, graph, digest, name, context)
    more = {"with_parameters": True, "keeps_values": learns, "exchangeable": exchangeable}
    return {**front_end_files(front_end, scaling, graph, digest, name, places, **more), **made}


def _require_possible(
    front_end: AnyFrontEnd | Hops, detector: Detector, sensor_channels: int | None, *, learns: bool, exchangeable: bool
) -> None:
    """ConversionError for what C is not written of together."""
    if exchangeable and (learns or isinstance(front_end, Hops) or sensor_channels is not None):
        hops = "takes hops" if isinstance(front_end, Hops) else "has a sensor in its record"
        why = "learns its machine" if learns else hops
        raise ConversionError(
            f"weights are exchanged with parameters from training and of whole windows, and this detector {why}"
        )
    if learns and detector.modes is not None:
        raise ConversionError(
            "a detector that learns its machine has one threshold, and this one has one for each mode"
        )
    if learns and sensor_channels is not None:
        raise ConversionError("a device that learns its machine learns its sensor, too: leave sensor_channels out")
    if learns and detector.off_rms:
        raise ConversionError(
            "a detector that learns its machine refuses one that is off by its own limit; leave off_rms out"
        )
    main = main_front_end(front_end.whole if isinstance(front_end, Hops) else front_end)
    if detector.off_rms and len(detector.off_rms) != main.channels:
        raise ConversionError(f"off_rms has {len(detector.off_rms)} limits, and there are {main.channels} channels")
    if any(detector.off_rms) and main.arithmetic != "fixed" and main.sensor_window > MOST_STILL_SAMPLES:
        raise ConversionError(
            f"off_rms takes windows of float32 of at most {MOST_STILL_SAMPLES:,} samples, and one has {main.sensor_window:,}"
        )
    highest = max(detector.off_rms, default=0.0)
    if main.arithmetic == "fixed" and highest > LARGEST_LIMIT:
        raise ConversionError(
            f"off_rms is in counts of int16 here, and with {highest:g} of them no machine would be on"
        )


def _context(around: AnyFrontEnd | Hops, detector: Detector, graph: Graph, digest: str, name: str) -> dict[str, Any]:
    front_end = around.each if isinstance(around, Hops) else around
    score = detector.score
    outputs = graph.tensors[graph.outputs[0]].size
    arrays: list[CArray] = []
    if score.kind == "distance":
        if len(score.centre) != outputs:
            raise ConversionError(f"the score is made for {len(score.centre)} outputs, the model has {outputs}")
        arrays = [c_array("int32_t", "center", score.centre), c_array("int32_t", "weights", score.weights)]
    elif score.kind == "margin":
        if not set(score.healthy) < set(range(outputs)):
            raise ConversionError(
                f"the healthy outputs {score.healthy} must be some, but not all, of the model's {outputs} outputs"
            )
        arrays = [c_array("uint8_t", "is_healthy", [i in score.healthy for i in range(outputs)])]
    elif score.kind == "residual":
        if isinstance(front_end, JoinedFrontEnd):
            raise ConversionError("a score of predicted features is for one source, and the front end joins several")
        arrays = [c_array("uint8_t", "is_predicted", _predicted(front_end, score.places, outputs))]
    return {
        **stage_context("detector", detector, around, digest, name),
        "score": dataclasses.asdict(score),
        "frames": front_end.frame is not None,
        "score_text": _score_text(detector, front_end.shape[-1]),
        "zeros": [f"({zero})" for zero in score.zeros],
        "unit": float_text(score.unit),
        "threshold": detector.threshold,
        "clear_threshold": detector.clear_threshold,
        "min_hits": detector.min_hits,
        "history": detector.history,
        "clear_after": detector.clear_after,
        "mask": f"0x{(1 << detector.history) - 1:x}u",
        "outputs": outputs,
        "taken": graph.tensors[graph.inputs[0]].size,
        "row": front_end.shape[-1],
        "one_center": 1 << CENTRE_BITS,
        "arrays": arrays,
        "modes": modes_context(detector.modes),
        "decimate": (around.whole if isinstance(around, Hops) else around).decimate,
    }


def modes_context(modes: Modes | None) -> dict[str, Any] | None:
    """What templates are given of operating modes; None where there are none."""
    if modes is None:
        return None
    ranges, counts = modes.ranges, modes.ranges.resolution is not None
    off = None if ranges.off is None else spelled(ranges, ranges.off)
    rows = zip(ranges.names, modes.thresholds, modes.guarantees, strict=True)
    return {
        "column": ranges.column,
        "type": "int32_t" if counts else "float",
        "unit": "the unit of the training data" if not counts else f"counts of {ranges.resolution:g}",
        "bounds": [spelled(ranges, each) for each in ranges.bounds],
        "first": spelled(ranges, ranges.middle(modes.first)),
        "off": off,
        "off_below": None if ranges.off_below is None else f"{ranges.off_below:g}",
        "each": [
            {"name": name, "threshold": alarm, "clear_threshold": clear, "known": alarm < NO_THRESHOLD, "says": says}
            for name, (alarm, clear), says in rows
        ],
    }


def spelled(ranges: Ranges, value: float) -> str:
    """A value as the firmware is given it, as a constant in C."""
    return float_text(value) if ranges.resolution is None else f"INT32_C({int(value)})"


def _score_text(detector: Detector, row: int) -> str:
    """The score in words; of 'residual' with the predicted features, by their places in a row."""
    places = detector.score.places
    if not places:
        return SCORES[detector.score.kind]
    runs = [[place] for place in places if place - 1 not in places]
    spans = [(first, next(last for last in range(first, row) if last + 1 not in places)) for (first,) in runs]
    named = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
    return f"{SCORES[detector.score.kind]} (of a row of {row} features, from 0 on: {named})"


def _predicted(front_end: AnyFrontEnd, places: tuple[int, ...], outputs: int) -> list[bool]:
    """For each feature of a row whether the model predicts it; ConversionError where its outputs are not these."""
    row = front_end.shape[-1]
    found = math.prod(front_end.shape) // row * len(places)
    if max(places) >= row or found != outputs:
        raise ConversionError(
            f"the score compares features {list(places)} of rows of {row}, {found} a window, the model has {outputs} outputs"
        )
    return [place in places for place in range(row)]
