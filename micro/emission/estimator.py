"""The estimator in C: front end and number around the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from micro.detection.estimator import Estimator, Estimators
from micro.emission.c_array import write_sources
from micro.emission.c_text import c_string, comment_text, float_text, render
from micro.emission.front_end import front_end_files
from micro.emission.sensor import stage_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Hops, Scaling
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read


def emit_estimator(
    front_end: AnyFrontEnd,
    scaling: Scaling,
    estimator: Estimator | Estimators,
    tflite: TfliteLike,
    directory: str | Path,
    name: str,
) -> tuple[Path, ...]:
    """Write NAME_front_end and NAME_estimator, a header and a C file each: sensor samples in, numbers with an interval out.

    It runs the model by calling `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C
    of `micro.aot.generate`, or with TFLite Micro and the files of `emit`.

    Args:
        front_end, scaling, tflite, directory, name: As for `emit_front_end`.
        estimator: What the model's output stands for, or each of several.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: As `emit_front_end`, and for a model with another number of outputs than of estimators.

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


def _one(estimator: Estimator) -> dict[str, Any]:
    """What templates are given of the only number."""
    return {
        "several": [],
        "what": comment_text(estimator.name),
        "unit": float_text(estimator.unit),
        "offset": float_text(estimator.offset),
        "half_width": float_text(estimator.half_width),
        "zero": estimator.zero,
        "lowest": None if estimator.lowest is None else float_text(estimator.lowest),
        "highest": None if estimator.highest is None else float_text(estimator.highest),
    }


def _several(estimators: Estimators) -> list[dict[str, Any]]:
    """What templates are given of each of several numbers."""
    most = float(np.finfo(np.float32).max)
    rows = []
    for one in estimators.each:
        low, high = one.lowest, one.highest
        bounds = [f"at least {low:.9g}"] if low is not None else []
        bounds += [f"at most {high:.9g}"] if high is not None else []
        rows.append(
            {
                "comment": comment_text(one.name),
                "string": c_string(one.name),
                "unit": float_text(one.unit),
                "offset": float_text(one.offset),
                "half_width": float_text(one.half_width),
                "says": f"{one.offset:.9g} + {one.unit:.9g} * score",
                "width": f"{one.half_width:.9g}",
                "zero": one.zero,
                "lowest": float_text(-most if low is None else low),
                "highest": float_text(most if high is None else high),
                "bounds": " and ".join(bounds),
                "guarantee": one.guarantee,
            }
        )
    return rows


def _spacing(estimator: Estimator) -> float:
    """The distance of neighboring floats at the estimator's largest number."""
    return float(np.spacing(np.float32(abs(estimator.offset) + 128 * estimator.unit)))


def estimator_files(
    front_end: AnyFrontEnd | Hops,
    scaling: Scaling,
    estimator: Estimator | Estimators,
    graph: Graph,
    digest: str,
    name: str,
) -> dict[str, bytes]:
    """Contents of the four files by name, and of two for each further source; raises as `emit_estimator`."""
    outputs = graph.tensors[graph.outputs[0]].size
    if outputs != len(estimator.each):
        gives = "one number" if isinstance(estimator, Estimator) else f"{len(estimator.each)} numbers"
        raise ConversionError(f"an estimator gives {gives}, the model has {outputs} outputs")
    context: dict[str, Any] = {
        **stage_context("estimator", estimator, front_end, digest, name),
        **(_one(estimator) if isinstance(estimator, Estimator) else {"several": _several(estimator)}),
        "coarse": any(_spacing(one) > one.unit / 2 for one in estimator.each),
    }
    files = {f"{name}_estimator.h": "estimator.h.j2", f"{name}_estimator.c": "estimator.c.j2"}
    made = {file: render(template, context).encode() for file, template in files.items()}
    return {**front_end_files(front_end, scaling, graph, digest, name), **made}
