"""The recognizer in C: front end, thresholds per class, k of n and suppression around the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from micro.detection.recognizer import Recognizer
from micro.emission.c_array import write_sources
from micro.emission.c_text import c_array, c_string, comment_text, float_text, render
from micro.emission.front_end import front_end_files
from micro.emission.sensor import stage_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Hops, Scaling
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read


def emit_recognizer(
    front_end: AnyFrontEnd,
    scaling: Scaling,
    recognizer: Recognizer,
    tflite: TfliteLike,
    directory: str | Path,
    name: str,
) -> tuple[Path, ...]:
    """Write NAME_front_end and NAME_recognizer, a header and a C file each: sensor samples in, recognized classes out.

    The C decides as `micro.detection.recognizer.recognize` does, window by window. It runs the model by calling
    `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C of `micro.aot.generate`, or
    with TFLite Micro and the files of `emit`.

    Args:
        front_end, scaling, tflite, directory, name: As for `emit_front_end`.
        recognizer: Thresholds and counting, as `make_recognizer` gives them.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: As `emit_front_end`.
        ConversionError: As `emit_front_end`, and for a recognizer of another number of classes than the model has outputs.

    Examples:
        >>> front_end = micro.FrontEnd("envelope", window=64, hop=32, envelope_bands=4)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        >>> tflite = micro.convert(model, scaling(features), anomaly_detector=False)
        >>> recognizer = micro.Recognizer(0.1, ("off", "on"), thresholds=(3, 5), min_hits=2, history=3)
        >>> written = micro.emit_recognizer(front_end, scaling, recognizer, tflite, "out", "pump")
        >>> [path.name for path in written if path.suffix == ".h"]
        ['pump_front_end.h', 'pump_recognizer.h']
    """
    content = content_of(tflite)
    return write_sources(
        directory, recognizer_files(front_end, scaling, recognizer, read(content), sha256(content), name)
    )


def recognizer_files(
    front_end: AnyFrontEnd | Hops, scaling: Scaling, recognizer: Recognizer, graph: Graph, digest: str, name: str
) -> dict[str, bytes]:
    """Contents of the four files by name, and of two for each further source; raises as `emit_recognizer`."""
    outputs = graph.tensors[graph.outputs[0]].size
    if len(recognizer.class_names) != outputs:
        raise ConversionError(
            f"the recognizer is made for {len(recognizer.class_names)} classes, the model has {outputs} outputs"
        )
    context: dict[str, Any] = {
        **stage_context("recognizer", recognizer, front_end, digest, name),
        "thresholds": c_array("int16_t", "thresholds", recognizer.thresholds),
        "class_names": [c_string(each) for each in recognizer.class_names],
        "comments": [comment_text(each) for each in recognizer.class_names],
        "unit": float_text(recognizer.unit),
        "min_hits": recognizer.min_hits,
        "history": recognizer.history,
        "suppression": recognizer.suppression,
    }
    files = {f"{name}_recognizer.h": "recognizer.h.j2", f"{name}_recognizer.c": "recognizer.c.j2"}
    made = {file: render(template, context).encode() for file, template in files.items()}
    return {**front_end_files(front_end, scaling, graph, digest, name), **made}
