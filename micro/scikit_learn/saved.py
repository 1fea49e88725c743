"""A fitted estimator as one file: a zip of the int8 model, the windows kept for self-tests, and all else as JSON."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from micro.conversion.converted import Converted
from micro.detection.detector import Detector
from micro.detection.recognizer import Recognizer
from micro.detection.threshold import Threshold
from micro.errors import ModelError
from micro.runs.firmware import Firmware
from micro.signal import FrontEnd, Scaling
from micro.support.files import ZIP_EPOCH, array_bytes, json_bytes
from micro.tflite.graph import read

FORMAT = 1
MODEL, WINDOWS = "student_int8.tflite", "windows.npy"
# Which estimator a file is of.
Kind = Literal["AnomalyDetector", "SensorClassifier"]
# What of it is JSON.
REST: dict[Kind, str] = {"AnomalyDetector": "detector.json", "SensorClassifier": "classifier.json"}
# Bytes that an entry may unpack to: of numbers as they are, and of JSON, whose objects take far more memory than its text.
LARGEST, LARGEST_JSON = 1 << 28, 1 << 24


@dataclass(frozen=True)
class Saved:
    """What is kept of a fitted estimator.

    Attributes:
        parameters: Of the constructor, plain; without those that no file holds.
        firmware, converted, loss: As the estimator has them.
        kept: Some of its windows, (n, window, channels) float32.
        features: `n_features_in_`.
        feature_names: Names of the columns that it was fitted on, if they had any.
        threshold: Of a detector.
        classes: Of a classifier, in the order of the model's outputs, (classes,).
    """

    parameters: dict[str, Any]
    firmware: Firmware
    converted: Converted
    loss: tuple[float, ...]
    kept: np.ndarray
    features: int
    feature_names: tuple[str, ...] | None
    threshold: Threshold | None = None
    classes: np.ndarray | None = None

    @property
    def kind(self) -> Kind:
        """The estimator that it is of."""
        return "AnomalyDetector" if self.classes is None else "SensorClassifier"


@dataclass(frozen=True)
class _Rest:
    """The part that is JSON, of any of them."""

    format: int
    parameters: dict[str, Any]
    front_end: FrontEnd
    given_front_end: bool
    scaling: Scaling
    converted: Converted
    loss: tuple[float, ...]
    features: int
    feature_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _OfDetector(_Rest):
    detector: Detector
    threshold: Threshold


@dataclass(frozen=True)
class _OfClassifier(_Rest):
    """With whether the classes were an array of objects, as pandas has text."""

    recognizer: Recognizer
    classes: tuple[bool | int | float | str, ...]
    objects: bool


_OF_DETECTOR, _OF_CLASSIFIER = TypeAdapter(_OfDetector), TypeAdapter(_OfClassifier)


def saved_bytes(saved: Saved) -> bytes:
    """The file's content; the same estimator gives the same bytes.

    Raises:
        ValueError: For what is larger than a file may be, or classes that are neither numbers nor text.
    """
    entries = {
        MODEL: saved.firmware.tflite,
        WINDOWS: array_bytes(saved.kept),
        REST[saved.kind]: json_bytes(_plain(saved)),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            if len(content) > _largest(name):
                raise ValueError(f"{name} would have {len(content):,} bytes; a file takes {_largest(name):,}")
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return out.getvalue()


def _plain(saved: Saved) -> dict[str, Any]:
    """The part that is JSON, as plain data."""
    firmware, parameters = saved.firmware, dict(saved.parameters)
    given = parameters.pop("front_end", None) is not None
    assert isinstance(firmware.front_end, FrontEnd)
    common = (
        FORMAT,
        parameters,
        firmware.front_end,
        given,
        firmware.scaling,
        replace(saved.converted, content=b""),
        saved.loss,
        saved.features,
        saved.feature_names,
    )
    if saved.classes is None:
        assert isinstance(firmware.decider, Detector)
        assert saved.threshold is not None
        detector = _OfDetector(*common, firmware.decider, saved.threshold)
        return dict(_OF_DETECTOR.dump_python(detector, mode="json"))
    assert isinstance(firmware.decider, Recognizer)
    if saved.classes.dtype.kind not in "biufUO":
        raise ValueError(f"classes of {saved.classes.dtype} cannot be saved: give numbers or text")
    as_objects = saved.classes.dtype.kind == "O"
    classifier = _OfClassifier(*common, firmware.decider, tuple(saved.classes.tolist()), as_objects)
    return dict(_OF_CLASSIFIER.dump_python(classifier, mode="json"))


def read_saved(source: str | Path | bytes, kind: Kind) -> Saved:
    """A file of `saved_bytes`, or its content.

    Raises:
        OSError: If there is no file.
        ModelError: If it is something else, or damaged.
    """
    named = "the state" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else _content(Path(source), kind)
    try:
        return _read(content, kind)
    except Exception as error:
        # Parsers of zip, JSON and arrays, and what is made of their values, raise whatever they like on bytes without sense.
        what: object = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise ModelError(
            f"{named} is no {kind} that was saved, or is damaged: {what or type(error).__name__}"
        ) from None


def _content(path: Path, kind: Kind) -> bytes:
    size, most = path.stat().st_size, 2 * LARGEST + LARGEST_JSON
    if size > most:
        raise ModelError(f"{path} is no {kind} that was saved: it has {size:,} bytes, and one has at most {most:,}")
    return path.read_bytes()


def _read(content: bytes, kind: Kind) -> Saved:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tflite, windows, plain = (_entry(archive, name) for name in (MODEL, WINDOWS, REST[kind]))
    found = json.loads(plain)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"its format is {found.get('format') if isinstance(found, dict) else None!r}, not {FORMAT}")
    kept = _array(windows)
    rest: _OfDetector | _OfClassifier = (_OF_DETECTOR if kind == "AnomalyDetector" else _OF_CLASSIFIER).validate_python(
        found
    )
    _require_whole(rest, kept, tflite)
    parameters = rest.parameters | ({"front_end": rest.front_end} if rest.given_front_end else {})
    if isinstance(parameters.get("sizes"), list):
        parameters["sizes"] = tuple(parameters["sizes"])
    decider = rest.detector if isinstance(rest, _OfDetector) else rest.recognizer
    return Saved(
        parameters,
        Firmware(rest.front_end, rest.scaling, tflite, decider),
        replace(rest.converted, content=tflite),
        rest.loss,
        kept,
        rest.features,
        rest.feature_names,
        rest.threshold if isinstance(rest, _OfDetector) else None,
        _classes(rest) if isinstance(rest, _OfClassifier) else None,
    )


def _require_whole(rest: _OfDetector | _OfClassifier, kept: np.ndarray, tflite: bytes) -> None:
    """ValueError for parts that do not belong together."""
    front_end = rest.front_end
    if not len(kept) or kept.shape[1:] != (front_end.window, front_end.channels):
        raise ValueError(f"its windows have the shape {kept.shape}")
    graph = read(tflite)
    ((taken, given),) = ((graph.tensors[x], graph.tensors[y]) for x, y in zip(graph.inputs, graph.outputs, strict=True))
    if taken.size != math.prod(front_end.shape) or {taken.dtype, given.dtype} != {"int8"}:
        raise ValueError(f"its model takes {taken.size} values of {taken.dtype}, its front end gives {front_end.shape}")
    if taken.quantization is None or given.quantization is None:
        raise ValueError("its model is not quantized")
    wanted = taken.size if isinstance(rest, _OfDetector) else len(rest.recognizer.class_names)
    if given.size != wanted:
        raise ValueError(f"its model gives {given.size} values, not {wanted}")
    if len(rest.scaling.centre) != front_end.shape[-1]:
        raise ValueError(f"its scaling is of {len(rest.scaling.centre)} features, not {front_end.shape[-1]}")
    if rest.features != front_end.window * front_end.channels:
        raise ValueError(f"it takes {rest.features} features")
    if rest.feature_names is not None and len(rest.feature_names) != rest.features:
        raise ValueError(f"it names {len(rest.feature_names)} of {rest.features} features")


def _classes(rest: _OfClassifier) -> np.ndarray:
    """The classes as an array, as the estimator had them."""
    if len({type(each) for each in rest.classes}) != 1 or len(rest.classes) != len(rest.recognizer.class_names):
        raise ValueError(f"its classes are {len(rest.classes)}, or numbers and text at once")
    classes = np.array(rest.classes, object if rest.objects else None)
    if classes.dtype.kind not in "biufUO" or not (classes[:-1] < classes[1:]).all():
        raise ValueError("its classes are not in order")
    return classes


def _array(content: bytes) -> np.ndarray:
    """Finite float32, whose header says as many bytes as there are; ValueError otherwise."""
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.float32 or len(shape) != 3 or min(shape) < 0:
        raise ValueError(f"{WINDOWS} holds {dtype} of shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{WINDOWS} says it holds {shape} numbers, and does not")
    array = np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    if not np.isfinite(array).all():
        raise ValueError(f"{WINDOWS} holds numbers that are not finite")
    return array


def _largest(name: str) -> int:
    return LARGEST_JSON if name.endswith(".json") else LARGEST


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry's bytes, of which no more are unpacked than it may have, whatever it says."""
    info, most = archive.getinfo(name), _largest(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed as no estimator is")
    if info.file_size > most:
        raise ValueError(f"{name} would unpack to {info.file_size:,} bytes")
    with archive.open(info) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} unpacks to more than {most:,} bytes")
    return content
