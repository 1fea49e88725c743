"""The estimator in C: front end and number around the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from micro.detection.estimator import Estimator
from micro.emission.c_array import write_sources
from micro.emission.c_text import comment_text, float_text, render
from micro.emission.front_end import front_end_files
from micro.emission.sensor import stage_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Scaling
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read


def emit_estimator(
    front_end: AnyFrontEnd, scaling: Scaling, estimator: Estimator, tflite: TfliteLike, directory: str | Path, name: str
) -> tuple[Path, ...]:
    """Write NAME_front_end and NAME_estimator, a header and a C file each: sensor samples in, numbers with an interval out.

    It runs the model by calling `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C
    of `micro.aot.generate`, or with TFLite Micro and the files of `emit`.

    Args:
        front_end, scaling, tflite, directory, name: As for `emit_front_end`.
        estimator: What the model's output stands for.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: As `emit_front_end`, and for a model with more than one output value.

    Examples:
        >>> front_end = micro.FrontEnd("envelope", window=64, hop=32, envelope_bands=4)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        >>> tflite = micro.convert(model, scaling(features), anomaly_detector=False)
        >>> estimator = micro.Estimator("wear in mm", unit=0.01, zero=0, offset=1.2, half_width=0.2)
        >>> written = micro.emit_estimator(front_end, scaling, estimator, tflite, "out", "tool")
        >>> [path.name for path in written if path.suffix == ".h"]
        ['tool_front_end.h', 'tool_estimator.h']
    """
    content = content_of(tflite)
    return write_sources(
        directory, estimator_files(front_end, scaling, estimator, read(content), sha256(content), name)
    )


def _spacing(estimator: Estimator) -> float:
    """The distance of neighboring floats at the estimator's largest number."""
    return float(np.spacing(np.float32(abs(estimator.offset) + 128 * estimator.unit)))


def estimator_files(
    front_end: AnyFrontEnd, scaling: Scaling, estimator: Estimator, graph: Graph, digest: str, name: str
) -> dict[str, bytes]:
    """Contents of the four files by name, and of two for each further source; raises as `emit_estimator`."""
    outputs = graph.tensors[graph.outputs[0]].size
    if outputs != 1:
        raise ConversionError(f"an estimator gives one number, the model has {outputs} outputs")
    context: dict[str, Any] = {
        **stage_context("estimator", estimator, front_end, digest, name),
        "what": comment_text(estimator.name),
        "unit": float_text(estimator.unit),
        "offset": float_text(estimator.offset),
        "half_width": float_text(estimator.half_width),
        "zero": estimator.zero,
        "lowest": None if estimator.lowest is None else float_text(estimator.lowest),
        "highest": None if estimator.highest is None else float_text(estimator.highest),
        "coarse": _spacing(estimator) > estimator.unit / 2,
    }
    files = {f"{name}_estimator.h": "estimator.h.j2", f"{name}_estimator.c": "estimator.c.j2"}
    made = {file: render(template, context).encode() for file, template in files.items()}
    return {**front_end_files(front_end, scaling, graph, digest, name), **made}
