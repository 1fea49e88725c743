"""The labeler in C: front end, thresholds per label and k of n around the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from micro.detection.labeler import LARGEST_OUTPUT, Labeler
from micro.emission.c_array import write_sources
from micro.emission.c_text import c_array, c_string, comment_text, float_text, render
from micro.emission.front_end import front_end_files
from micro.emission.sensor import stage_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Hops, Scaling
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read


def emit_labeler(
    front_end: AnyFrontEnd,
    scaling: Scaling,
    labeler: Labeler,
    tflite: TfliteLike,
    directory: str | Path,
    name: str,
) -> tuple[Path, ...]:
    """Write NAME_front_end and NAME_labeler, a header and a C file each: sensor samples in, labels out.

    The C decides as `micro.detection.labeler.labeled` does, window by window. It runs the model by calling
    `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C of `micro.aot.generate`, or
    with TFLite Micro and the files of `emit`.

    Args:
        front_end, scaling, tflite, directory, name: As for `emit_front_end`.
        labeler: Thresholds and counting, as `make_labeler` gives them.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: As `emit_front_end`, and for a labeler of another number of labels than the model has outputs.

    Examples:
        >>> front_end = micro.FrontEnd("envelope", window=64, hop=32, envelope_bands=4)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        >>> tflite = micro.convert(model, scaling(features), anomaly_detector=False)
        >>> labeler = micro.Labeler(0.1, 0, ("unbalance", "wear"), thresholds=(3, -9), min_hits=2, history=3)
        >>> written = micro.emit_labeler(front_end, scaling, labeler, tflite, "out", "pump")
        >>> [path.name for path in written if path.suffix == ".h"]
        ['pump_front_end.h', 'pump_labeler.h']
    """
    content = content_of(tflite)
    return write_sources(directory, labeler_files(front_end, scaling, labeler, read(content), sha256(content), name))


def labeler_files(
    front_end: AnyFrontEnd | Hops, scaling: Scaling, labeler: Labeler, graph: Graph, digest: str, name: str
) -> dict[str, bytes]:
    """Contents of the four files by name, and of two for each further source; raises as `emit_labeler`."""
    outputs = graph.tensors[graph.outputs[0]].size
    if len(labeler.label_names) != outputs:
        raise ConversionError(
            f"the labeler is made for {len(labeler.label_names)} labels, the model has {outputs} outputs"
        )
    context: dict[str, Any] = {
        **stage_context("labeler", labeler, front_end, digest, name),
        "labels": [
            {
                "comment": comment_text(each),
                "string": c_string(each),
                "threshold": threshold,
                "never": threshold >= LARGEST_OUTPUT - labeler.zero,
            }
            for each, threshold in zip(labeler.label_names, labeler.thresholds)
        ],
        "thresholds": c_array("int16_t", "thresholds", labeler.thresholds),
        "unit": float_text(labeler.unit),
        "zero": labeler.zero,
        "min_hits": labeler.min_hits,
        "history": labeler.history,
        "counted": f"0x{2**labeler.history - 1:08x}u",
    }
    files = {f"{name}_labeler.h": "labeler.h.j2", f"{name}_labeler.c": "labeler.c.j2"}
    made = {file: render(template, context).encode() for file, template in files.items()}
    return {**front_end_files(front_end, scaling, graph, digest, name), **made}
