"""A fitted detector as one file: a zip of the int8 model, the windows kept for self-tests, and all else as JSON."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from micro.conversion.converted import Converted
from micro.detection.detector import Detector
from micro.detection.threshold import Threshold
from micro.errors import ModelError
from micro.runs.firmware import Firmware
from micro.signal import FrontEnd, Scaling
from micro.support.files import ZIP_EPOCH, array_bytes, json_bytes
from micro.tflite.graph import read

FORMAT = 1
MODEL, WINDOWS, REST = "student_int8.tflite", "windows.npy", "detector.json"
# Bytes that an entry may unpack to.
LARGEST = 1 << 28


@dataclass(frozen=True)
class Saved:
    """What is kept of a fitted detector.

    Attributes:
        parameters: Of the constructor, plain; without those that no file holds.
        firmware, converted, threshold, loss: As the estimator has them.
        kept: Windows held out, (n, window, channels) float32.
        feature_names: Names of the columns that it was fitted on, if they had any.
        features: `n_features_in_`.
    """

    parameters: dict[str, Any]
    firmware: Firmware
    converted: Converted
    threshold: Threshold
    loss: tuple[float, ...]
    kept: np.ndarray
    features: int
    feature_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _Rest:
    """The part that is JSON."""

    format: int
    parameters: dict[str, Any]
    front_end: FrontEnd
    given_front_end: bool
    scaling: Scaling
    detector: Detector
    converted: Converted
    threshold: Threshold
    loss: tuple[float, ...]
    features: int
    feature_names: tuple[str, ...] | None


_REST = TypeAdapter(_Rest)


def saved_bytes(saved: Saved) -> bytes:
    """The file's content; the same detector gives the same bytes."""
    firmware, parameters = saved.firmware, dict(saved.parameters)
    given = parameters.pop("front_end", None) is not None
    assert isinstance(firmware.front_end, FrontEnd)
    assert isinstance(firmware.decider, Detector)
    rest = _Rest(
        FORMAT,
        parameters,
        firmware.front_end,
        given,
        firmware.scaling,
        firmware.decider,
        replace(saved.converted, content=b""),
        saved.threshold,
        saved.loss,
        saved.features,
        saved.feature_names,
    )
    entries = {
        MODEL: firmware.tflite,
        WINDOWS: array_bytes(saved.kept),
        REST: json_bytes(_REST.dump_python(rest, mode="json")),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return out.getvalue()


def read_saved(source: str | Path | bytes) -> Saved:
    """A file of `saved_bytes`, or its content.

    Raises:
        OSError: If there is no file.
        ModelError: If it is something else, or damaged.
    """
    named = "the state" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        return _read(content)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise ModelError(f"{named} is no AnomalyDetector that was saved, or is damaged: {what}") from None


def _read(content: bytes) -> Saved:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tflite, windows, plain = (_entry(archive, name) for name in (MODEL, WINDOWS, REST))
    found = json.loads(plain)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"its format is {found.get('format') if isinstance(found, dict) else None!r}, not {FORMAT}")
    rest = _REST.validate_python(found)
    kept = _array(windows)
    graph = read(tflite)
    (taken,) = (graph.tensors[index].size for index in graph.inputs)
    if taken != int(np.prod(rest.front_end.shape)):
        raise ValueError(f"its model takes {taken} values, its front end gives {rest.front_end.shape}")
    if kept.shape[1:] != (rest.front_end.window, rest.front_end.channels):
        raise ValueError(f"its windows have the shape {kept.shape[1:]}")
    if len(rest.scaling.centre) != rest.front_end.shape[-1]:
        raise ValueError(f"its scaling is of {len(rest.scaling.centre)} features, not {rest.front_end.shape[-1]}")
    if rest.features < 1:
        raise ValueError(f"it takes {rest.features} features")
    parameters = rest.parameters | ({"front_end": rest.front_end} if rest.given_front_end else {})
    if isinstance(parameters.get("sizes"), list):
        parameters["sizes"] = tuple(parameters["sizes"])
    firmware = Firmware(rest.front_end, rest.scaling, tflite, rest.detector)
    converted = replace(rest.converted, content=tflite)
    names = rest.feature_names
    return Saved(parameters, firmware, converted, rest.threshold, rest.loss, kept, rest.features, names)


def _array(content: bytes) -> np.ndarray:
    """An array whose header says as many bytes as there are; ValueError otherwise."""
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{WINDOWS} says it holds {shape} numbers, and does not")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > LARGEST:
        raise ValueError(f"{name} would unpack to {size:,} bytes")
    return archive.read(name)
