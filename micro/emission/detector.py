"""The detector in C: front end, model, score and alarm in one push."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from micro.detection.detector import LARGEST_SAMPLE, Detector
from micro.detection.score import CENTRE_BITS
from micro.emission.c_array import c_array, float_text, render, write_sources
from micro.emission.front_end import front_end_files
from micro.errors import ConversionError
from micro.signal import FrontEnd, Scaling
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read

SCORES = {
    "reconstruction": "the squared error with which the model reconstructs its input, summed over all features",
    "distance": "the weighted squared distance between the model's outputs and those of healthy windows",
    "margin": "the highest output among the faulty classes minus the highest among the healthy ones",
}


def emit_detector(
    front_end: FrontEnd, scaling: Scaling, detector: Detector, tflite: TfliteLike, directory: str | Path, name: str
) -> tuple[Path, ...]:
    """Write NAME_front_end and NAME_detector, a header and a C file each: samples in, alarms out.

    The C decides as `decide` does, window by window. The model is what `int NAME_infer(const int8_t *, int8_t *)` runs:
    `aot.generate` and `emit` give it.

    Returns: the paths written; earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: For a score of another number of outputs.
    """
    content = content_of(tflite)
    return write_sources(directory, detector_files(front_end, scaling, detector, read(content), sha256(content), name))


def detector_files(
    front_end: FrontEnd, scaling: Scaling, detector: Detector, graph: Graph, digest: str, name: str
) -> dict[str, bytes]:
    """The four files' contents by name; raises as `emit_detector`."""
    context = _context(front_end, detector, graph, digest, name)
    files = {f"{name}_detector.h": "detector.h.j2", f"{name}_detector.c": "detector.c.j2"}
    made = {file: render(template, context).encode() for file, template in files.items()}
    return {**front_end_files(front_end, scaling, graph, digest, name), **made}


def _context(front_end: FrontEnd, detector: Detector, graph: Graph, digest: str, name: str) -> dict[str, Any]:
    score = detector.score
    outputs = graph.tensors[graph.outputs[0]].size
    arrays = []
    if score.kind == "distance":
        if len(score.centre) != outputs:
            raise ConversionError(f"the score is of {len(score.centre)} outputs, the model gives {outputs}")
        arrays = [c_array("int32_t", "centre", score.centre), c_array("int32_t", "weights", score.weights)]
    elif score.kind == "margin":
        if not set(score.healthy) < set(range(outputs)):
            raise ConversionError(
                f"the healthy outputs {score.healthy} are not some of the model's {outputs}, or all of them"
            )
        arrays = [c_array("uint8_t", "is_healthy", [i in score.healthy for i in range(outputs)])]
    fixed = front_end.arithmetic == "fixed"
    limit = detector.saturated_count() if fixed else detector.saturation
    return {
        **CNames(name).context("detector"),
        "digest": digest,
        "score": dataclasses.asdict(score),
        "score_text": SCORES[score.kind],
        "zeros": [f"({zero})" for zero in score.zeros],
        "unit": float_text(score.unit),
        "guarantee": detector.guarantee,
        "threshold": detector.threshold,
        "clear_threshold": detector.clear_threshold,
        "min_hits": detector.min_hits,
        "history": detector.history,
        "clear_after": detector.clear_after,
        "mask": f"0x{(1 << detector.history) - 1:x}u",
        "fixed": fixed,
        "saturation": None if limit is None else str(limit) if fixed else float_text(limit),
        "max_saturated": detector.max_saturated,
        "largest_sample": float_text(LARGEST_SAMPLE),
        "outputs": outputs,
        "one_centre": 1 << CENTRE_BITS,
        "arrays": arrays,
    }
