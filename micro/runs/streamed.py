"""The student of a run as a model that takes the rows of a hop, compared with the one that takes whole windows."""

from __future__ import annotations

import keras
import numpy as np

from micro.config import Config
from micro.conversion.convert_keras import convert
from micro.datasets.spacing import evenly_spaced
from micro.errors import ConversionError, RunError
from micro.quantize.aware import quantize_aware
from micro.runs.chip_report import StreamingReport
from micro.signal import FrontEnd, Hops
from micro.streaming.step_model import stream
from micro.streaming.streamed import Streamed
from micro.tflite.graph import TfliteLike, read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import run_inputs

VERIFIED_WINDOWS = 200


def streamed_student(tflite: TfliteLike, front_end: FrontEnd) -> Streamed:
    """A student as a model that takes the rows of a hop of its windows.

    Raises:
        RunError: Where a hop takes as much as a window.
    """
    hops, graph = Hops.of(front_end), read(tflite)
    steps = graph.tensors[graph.inputs[0]].shape[1] // hops.whole.frames
    made = stream(tflite, hops.each.frames * steps)
    if made.macs >= made.whole_macs:
        why = f": {made.stops[0]}" if made.stops else ""
        raise RunError(
            f"firmware.streaming: the student computes as much for a hop as for a window, {made.macs:,} products and sums{why}"
        )
    if made.warm_up > hops.warm_up:
        raise RunError(
            f"firmware.streaming: the student is right from hop {made.warm_up} on, and a window has {hops.warm_up}"
        )
    return made


def require_streaming(student: keras.Model, config: Config, front_end: object, calibration: np.ndarray) -> None:
    """Refuse a student that does not stream, before it learns anything; raises as `streamed_student`."""
    if config.firmware.streaming and isinstance(front_end, FrontEnd):
        streamed_student(convert(quantize_aware(student, calibration)), front_end)


def verified(made: Streamed, tflite: TfliteLike, windows: np.ndarray) -> StreamingReport:
    """What streaming a student changes; hop by hop it gives what it gives for whole windows (n, *input), in TFLite Micro.

    Raises:
        ConversionError: Where an output differs.
    """
    graph = read(tflite)
    windows = windows[evenly_spaced(len(windows), VERIFIED_WINDOWS)]
    inputs = quantize_inputs(graph, windows)[0]
    inputs = inputs.reshape(len(windows), *graph.tensors[graph.inputs[0]].shape[1:])
    # Before the first row of a window come rows that it does not see: as many as make whole hops.
    missing = -inputs.shape[1] % made.hop
    around = [(0, 0), (missing, 0), *[(0, 0)] * (inputs.ndim - 2)]
    pushes = np.pad(inputs, around, mode="reflect" if missing < inputs.shape[1] else "constant")
    hops = pushes.shape[1] // made.hop
    outputs = run_inputs(made.content, pushes.reshape(-1, made.hop, *inputs.shape[2:]))[hops - 1 :: hops]
    if not np.array_equal(outputs, run_inputs(tflite, inputs)):
        raise ConversionError(
            "firmware.streaming: hop by hop the student gives other outputs than for whole windows; leave it out"
        )
    return StreamingReport(
        hop=made.hop,
        hops=hops,
        state=made.state_bytes,
        macs=made.macs,
        whole_macs=made.whole_macs,
        stops=made.stops,
        verified=len(windows),
    )
