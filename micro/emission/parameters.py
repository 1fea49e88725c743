"""A detector's parameters as the emitted C holds them, and what they belong to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from micro.detection.detector import Detector
from micro.detection.record import (
    BLOCK,
    DIGEST,
    FORMAT,
    HEADER,
    SCALING,
    START,
    THRESHOLDS,
    AnyScaling,
    FixedScaling,
    FloatScaling,
    MadeFor,
    Parameters,
    RecordStatus,
)
from micro.detection.score_record import HEADER as SCORE_HEADER
from micro.detection.score_record import numbers_of, score_size
from micro.emission.c_text import c_array, float_text
from micro.emission.front_end import input_scale, scaled_parts, scaling_arrays, scaling_field, source_prefix
from micro.emission.mounted_sensor import sensor_context
from micro.signal import AnyFrontEnd, FrontEnd, Hops, JoinedFrontEnd, Scaling
from micro.support.c_names import CNames
from micro.tflite.graph import Graph

# What a detector has besides that a record does not hold.
FIXED_IN_FIRMWARE = ("min_hits", "history", "clear_after", "saturation", "max_saturated", "off_rms")

SAYS = {
    RecordStatus.OK: "As it should be.",
    RecordStatus.TOO_SHORT: "Bytes are missing.",
    RecordStatus.NOT_A_RECORD: "It begins otherwise, as erased flash does.",
    RecordStatus.UNKNOWN_FORMAT: "Of a format that this firmware does not know.",
    RecordStatus.DAMAGED: "Its CRC is another one.",
    RecordStatus.OTHER_MODEL: "For another model.",
    RecordStatus.OTHER_FRONT_END: "For another front end.",
    RecordStatus.OTHER_SCORE: "For another score of the same model.",
    RecordStatus.NOT_SENSIBLE: "A number that no detector has, such as a clear threshold above the threshold.",
    RecordStatus.OLDER: "Not newer than the one in use.",
    RecordStatus.NOT_SIGNED: "Its signature is not accepted.",
    RecordStatus.NOT_READ: "Flash could not be read.",
    RecordStatus.NOT_STORED: "Flash does not hold what was written.",
}


def parameters_of(
    around: AnyFrontEnd | Hops, scaling: Scaling, detector: Detector, graph: Graph, digest: str, counter: int = 1
) -> Parameters:
    """Parameters of the detector that `detector_files` emits of the same; `digest` is the model's SHA-256."""
    front_end = around.each if isinstance(around, Hops) else around
    scale, _ = input_scale(front_end, graph, detector.score.places)
    scalings = tuple(_constants(part, own, scale) for _, part, own in scaled_parts(front_end, scaling))
    made_for = made_for_of(around, detector, digest)
    if detector.modes is None:
        return Parameters(detector.threshold, detector.clear_threshold, scalings, made_for, counter)
    alarm, clear = zip(*detector.modes.thresholds)
    return Parameters(alarm, clear, scalings, made_for, counter)


def made_for_of(around: AnyFrontEnd | Hops, detector: Detector, digest: str) -> MadeFor:
    """What a detector's parameters, and what it tells home, belong to; `digest` is the model's SHA-256."""
    return MadeFor(bytes.fromhex(digest)[:DIGEST], _digest(_described(around)), _digest(_of_score(detector)))


def score_form(detector: Detector) -> dict[str, Any]:
    """What a score is compiled for, whatever the model: all but its numbers, of which there are as many as here."""
    return {**_of_score(detector), **{each.name: len(each.values) for each in numbers_of(detector.score)}}


def detector_form(detector: Detector) -> bytes:
    """First bytes of the SHA-256 of what a detector is compiled for, whatever its model: all but what its records hold."""
    return _digest({**score_form(detector), **{name: getattr(detector, name) for name in FIXED_IN_FIRMWARE}})


def parameters_context(
    around: AnyFrontEnd | Hops,
    scaling: Scaling,
    detector: Detector,
    graph: Graph,
    digest: str,
    name: str,
    sensor_channels: int | None = None,
    *,
    exchangeable: bool = False,
) -> dict[str, Any]:
    """For the templates of NAME_parameters and NAME_record; `sensor_channels` are those of a device's own sensor, of which
    records tell, None where they do not; `exchangeable` where the model's weights are."""
    parameters = parameters_of(around, scaling, detector, graph, digest)
    content = parameters.to_bytes()
    scalings, at = [], HEADER.size + THRESHOLDS.size * len(parameters.thresholds)
    front_end = around.each if isinstance(around, Hops) else around
    scale, _ = input_scale(front_end, graph, detector.score.places)
    for (source, part, own), made in zip(scaled_parts(front_end, scaling), parameters.scalings, strict=True):
        prefix = name if source is None else source_prefix(name, source)
        arrays, packed = scaling_arrays(part, own, scale), made.to_bytes()
        count, first = len(made.mean), at + SCALING.size
        scalings.append(
            {
                "field": scaling_field(source),
                "prefix": prefix,
                "upper": CNames(prefix).upper,
                "source": source,
                "arrays": arrays,
                "fixed": isinstance(made, FixedScaling),
                "parts": [array.name for array in arrays],
                "head": int.from_bytes(packed[: SCALING.size], "little"),
                "head_at": at,
                "at": (first, first + 4 * count, first + 8 * count),
            }
        )
        at += len(packed)
    of_sensor = sensor_context(front_end, sensor_channels, len(content), name)
    made_for = (parameters.made_for.model, parameters.made_for.front_end, parameters.made_for.score)
    return {
        "parameters_guard": CNames(name).guard("parameters"),
        "record_guard": CNames(name).guard("record"),
        "exchangeable": exchangeable,
        "score_struct": _score_struct(detector),
        "scalings": scalings,
        "kinds_of_scaling": {
            "fixed": any(each["fixed"] for each in scalings),
            "float32": not all(each["fixed"] for each in scalings),
        },
        "format": FORMAT,
        "made_for": [_hexadecimal(each) for each in made_for],
        "digest_size": DIGEST,
        "start_size": START.size,
        "shortest": HEADER.size + THRESHOLDS.size + 4,
        "counter_at": HEADER.size - 4,
        "threshold_at": HEADER.size,
        "thresholds_size": THRESHOLDS.size * len(parameters.thresholds),
        **of_sensor,
        "block": BLOCK,
        "slot_size": -(-of_sensor["record_size"] // BLOCK) * BLOCK,
        "statuses": [{"name": each.name, "value": int(each), "says": SAYS[each]} for each in RecordStatus],
    }


def _score_struct(detector: Detector) -> dict[str, Any]:
    """What templates are given of NAME_record_score."""
    arrays, at = [], SCORE_HEADER.size
    for each in numbers_of(detector.score):
        name = "center" if each.name == "centre" else each.name
        rows = c_array("int32_t", name, each.values)
        arrays.append({**vars(rows), "at": at, "low": f"({each.low})", "span": each.high - each.low})
        at += 4 * len(each.values)
    unit, form = float_text(detector.score.unit), _hexadecimal(detector_form(detector))
    return {"arrays": arrays, "size": score_size(detector.score), "form": form, "unit": unit}


def _hexadecimal(content: bytes) -> str:
    return ", ".join(f"0x{byte:02x}" for byte in content)


def _constants(front_end: FrontEnd, scaling: Scaling, scale: float) -> AnyScaling:
    """A scaling as the C takes it."""
    if front_end.arithmetic != "fixed":
        return FloatScaling(scaling.centre, scaling.spread)
    mean, multiplier, shift = (tuple(each.tolist()) for each in front_end.fixed_scaling(scaling, scale))
    return FixedScaling(mean, multiplier, shift)


def _described(around: AnyFrontEnd | Hops) -> dict[str, Any]:
    """All that a front end computes by but its scaling. What is as by default is left out, so that a front end keeps its digest
    when others get more settings."""
    front_end = around.whole if isinstance(around, Hops) else around
    if not isinstance(front_end, JoinedFrontEnd):
        return _settings(front_end)
    sources = [[each.name, each.max_age, _settings(each.front_end)] for each in front_end.sources]
    return {"main": _settings(front_end.main), "sources": sources}


def _settings(front_end: FrontEnd) -> dict[str, Any]:
    own = {field.name: (getattr(front_end, field.name), field.default) for field in dataclasses.fields(front_end)}
    return {name: value for name, (value, default) in own.items() if value != default}


def _of_score(detector: Detector) -> dict[str, Any]:
    """What a score's integers are computed by, and what thresholds by mode are for; its unit is only how they are shown."""
    score = detector.score
    own = {field.name: (getattr(score, field.name), field.default) for field in dataclasses.fields(score)}
    described = {name: value for name, (value, default) in own.items() if name != "unit" and value != default}
    return described if detector.modes is None else {**described, "modes": dataclasses.asdict(detector.modes.ranges)}


def _digest(description: dict[str, Any]) -> bytes:
    text = json.dumps(description, sort_keys=True, default=dataclasses.asdict)
    return hashlib.sha256(text.encode()).digest()[:DIGEST]
