"""The front end in C, with its tables and the scale and zero point of the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micro.emission.c_array import write_sources
from micro.emission.c_text import CArray, c_array, float_text, render
from micro.emission.conditioning import cascades, conditioning_context, filter_bytes
from micro.emission.orders import orders_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, FrontEnd, Hops, JoinedFrontEnd, Scaling, fixed_point, float32, shaft_orders
from micro.signal.bands import mel_bins
from micro.signal.fourier import quarter_cosine
from micro.signal.learned import BEYOND
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read

# Upper bound of the stack that the C uses, in bytes, callees included; a test checks what compilers make of it.
STACK = 512


def emit_front_end(
    front_end: FrontEnd, scaling: Scaling, tflite: TfliteLike, directory: str | Path, name: str
) -> tuple[Path, ...]:
    """Write NAME_front_end.h and NAME_front_end.c: sensor samples in, the model's int8 input features out.

    The C collects samples in a ring buffer and computes what `FrontEnd.int8` does, bit for bit. No heap, no recursion; with
    arithmetic 'float32' it calls sqrtf of the C library.

    Args:
        front_end: The front end that the model was trained with.
        scaling: Mean and standard deviation of each feature along the last axis, as `fit_scaling` gives them.
        tflite: The int8 model that takes the features: bytes, a path, or what `convert` returns.
        directory: Created if it does not exist.
        name: Prefix of files, symbols and macros; see `micro.support.c_names.identifier`.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For a name that cannot be a prefix, a hop longer than the window, or a scaling of another length.
        ConversionError: For a model whose input is not the front end's int8 features.

    Examples:
        >>> front_end = micro.FrontEnd("statistics", window=64, hop=32)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(front_end.shape[-1])(inputs))
        >>> tflite = micro.convert(model, micro.calibration_data(scaling(features)))
        >>> sorted(path.name for path in micro.emit_front_end(front_end, scaling, tflite, "out", "bearing"))
        ['bearing_front_end.c', 'bearing_front_end.h']
    """
    content = content_of(tflite)
    return write_sources(directory, front_end_files(front_end, scaling, read(content), sha256(content), name))


def front_end_files(
    front_end: AnyFrontEnd | Hops,
    scaling: Scaling,
    graph: Graph,
    digest: str,
    name: str,
    predicted: Sequence[int] = (),
    *,
    with_parameters: bool = False,
    keeps_values: bool = False,
    exchangeable: bool = False,
) -> dict[str, bytes]:
    """Contents of the two files by name, and of two more for each further source; raises as `emit_front_end`.

    `predicted` are the places, in a row of features, of those that the model does not take but predict. With `with_parameters`
    the scaling found in training stands in NAME_parameters.c, and not here. With `keeps_values` features are kept before they
    are scaled. With `exchangeable` scale and zero point of the model's input are those of the weights in use, of NAME.h.
    """
    if isinstance(front_end, Hops):
        quantization = input_scale(front_end.each, graph)
        context = _context(front_end.each, scaling, quantization, digest, name)
        hops = {**_of_hops(front_end), "defaults": _defaults(name) if with_parameters else None}
        return _rendered({**context, **hops}, name)
    if len(scaling.centre) != front_end.shape[-1]:
        raise ValueError(f"the scaling has {len(scaling.centre)} features, the front end {front_end.shape[-1]}")
    quantization = input_scale(front_end, graph, predicted)
    files: dict[str, bytes] = {}
    joined = isinstance(front_end, JoinedFrontEnd)
    for source, part, own in scaled_parts(front_end, scaling):
        prefix = name if source is None else source_prefix(name, source)
        context = _context(part, own, quantization, digest, prefix)
        more = {"joined": joined, "source": source, "predicts": bool(predicted), "keeps_values": keeps_values}
        defaults = _defaults(name, source) if with_parameters else None
        held = _of_weights(name, part) if exchangeable else {}
        files |= _rendered({**context, **more, **held, "defaults": defaults}, prefix)
    return files


def scaled_parts(front_end: AnyFrontEnd, scaling: Scaling) -> list[tuple[str | None, FrontEnd, Scaling]]:
    """Name, front end and scaling of the main source, which has no name, and of each further one."""
    if not isinstance(front_end, JoinedFrontEnd):
        return [(None, front_end, scaling)]
    names = [None, *(source.name for source in front_end.sources)]
    return list(zip(names, front_end.parts, front_end.scalings(scaling), strict=True))


def scaling_arrays(front_end: FrontEnd, scaling: Scaling, scale: float) -> list[CArray]:
    """The members of NAME_scaling; `scale` is that of the model's input."""
    if front_end.arithmetic != "fixed":
        return [c_array("float", "mean", scaling.centre), c_array("float", "std", scaling.spread)]
    centre, multiplier, shift = front_end.fixed_scaling(scaling, scale)
    kinds = ("int32_t", "mean", centre), ("int32_t", "multiplier", multiplier), ("uint8_t", "shift", shift)
    return [c_array(*each) for each in kinds]


def scaling_field(source: str | None) -> str:
    """The member of NAME_parameters that holds the scaling of a source, of the main one for None."""
    return "scaling" if source is None else f"{source}_scaling"


def _defaults(name: str, source: str | None = None) -> dict[str, str]:
    """Where the scaling found in training stands, where the front end is one of a detector."""
    return {"header": f"{name}_parameters.h", "scaling": f"{name}_default_parameters.{scaling_field(source)}"}


def source_prefix(name: str, source: str) -> str:
    """The prefix of what is emitted of a further source."""
    return f"{name}_{source}"


def _of_weights(name: str, front_end: FrontEnd) -> dict[str, str]:
    """Where scale and zero point of the model's input stand, in place of their numbers."""
    in_use = f"{name}_weights_in_use()"
    if front_end.arithmetic == "fixed":
        return {"model": name, "zero": f"{in_use}->zeros[0]"}
    return {"model": name, "scale": f"{in_use}->steps[0]", "zero_offset": f"((float){in_use}->zeros[0] + 128.0f)"}


def _rendered(context: dict[str, Any], name: str) -> dict[str, bytes]:
    files = {f"{name}_front_end.h": "front_end.h.j2", f"{name}_front_end.c": "front_end.c.j2"}
    return {file: render(template, context).encode() for file, template in files.items()}


def input_scale(front_end: AnyFrontEnd, graph: Graph, predicted: Sequence[int] = ()) -> tuple[float, int]:
    """Scale and zero point of the model's input; ConversionError where it does not take the features."""
    tensor = graph.tensors[graph.inputs[0]]
    if len(graph.inputs) != 1 or tensor.dtype != "int8" or tensor.quantization is None:
        raise ConversionError("a front end feeds a model of one int8 input")
    *rows, row = front_end.shape
    if tensor.size != int(np.prod(rows)) * (row - len(predicted)):
        besides = f", {len(predicted)} of a row predicted" if predicted else ""
        raise ConversionError(
            f"the front end gives {front_end.shape} features{besides}, the model takes {tensor.shape}"
        )
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    if not -128 <= zero <= 127:
        raise ConversionError(f"the model's input has zero point {zero}, which int8 does not hold")
    return scale, zero


def _context(
    front_end: FrontEnd, scaling: Scaling, quantization: tuple[float, int], digest: str, name: str
) -> dict[str, Any]:
    """For the templates of one front end; `quantization` is scale and zero point of the model's input."""
    scale, zero = quantization
    if front_end.hop > front_end.window:
        raise ValueError(
            f"hop {front_end.hop} is longer than the window of {front_end.window}: the firmware would skip samples"
        )
    in_fixed = front_end.arithmetic == "fixed"
    length, kinds = front_end.length, front_end.kinds
    frames = None if front_end.frame is None else front_end.frames
    sample_bytes = 2 if in_fixed else 4
    row_bytes = 8 + -(-int(np.prod(front_end.shape)) // sample_bytes) * sample_bytes
    arrays = (_fixed_arrays(front_end) if in_fixed else _float_arrays(front_end)) + cascades(front_end)
    numbers = _fixed_numbers(front_end, zero) if in_fixed else _float_numbers(front_end, scale, zero)
    return {
        **CNames(name).context("front_end"),
        "digest": digest,
        "part": "front_end",
        "joined": False,
        "predicts": False,
        "source": None,
        "description": describe(front_end),
        "window": front_end.window,
        "hop": front_end.hop,
        "channels": front_end.channels,
        "measured": front_end.measured,
        "orders": orders_context(front_end),
        "size": int(np.prod(front_end.shape)),
        "length": length,
        "frames": frames,
        "hops": False,
        "first_rows": frames,
        "frame_hop": front_end.frame_hop,
        "row": int(np.prod(front_end.shape)) // front_end.frames,
        "stack": STACK,
        "fixed": in_fixed,
        "word": "int32_t" if in_fixed else "float",
        "full_scale": None if front_end.full_scale is None else f"{front_end.full_scale:g}",
        "ring_bytes": length * front_end.channels * sample_bytes
        + (row_bytes if frames else 4)
        + filter_bytes(front_end),
        "work_bytes": length * (5 if front_end.orders == "spectrum" else 4),
        "kinds": kinds,
        "sizes": {kind: front_end.size_of(kind) for kind in kinds},
        "spectral": front_end.spectral,
        "logs": front_end.spectral or "moments" in kinds or "shape" in kinds,
        "raw": kinds == ("raw",),
        # 'statistics' are of the samples as they are.
        "detrend": "none" if kinds == ("statistics",) else front_end.detrend,
        "taper": front_end.taper,
        "scaling": scaling_arrays(front_end, scaling, scale),
        "scaled": len(scaling.centre),
        "defaults": None,
        "model": None,
        **conditioning_context(front_end),
        "keeps_values": False,
        "beyond": BEYOND,
        "beyond_float": float_text(BEYOND),
        "arrays": arrays,
        **numbers,
    }


def fourier_context(front_end: FrontEnd) -> dict[str, Any]:
    """For the templates of trend, window function and transform alone, where they serve another file."""
    in_fixed = front_end.arithmetic == "fixed"
    return {
        "kinds": front_end.kinds,
        "spectral": True,
        "detrend": front_end.detrend,
        "taper": front_end.taper,
        **(_fixed_numbers(front_end, 0) if in_fixed else _float_numbers(front_end, 1.0, 0)),
    }


def _of_hops(hops: Hops) -> dict[str, Any]:
    """What differs where the model takes the rows of a hop."""
    return {
        "hops": True,
        "window": hops.whole.window,
        "first_rows": hops.first_rows,
        "description": describe(hops.whole),
    }


def describe(front_end: FrontEnd) -> str:
    """The front end in one line."""
    rate = "" if front_end.sample_rate is None else f" at {front_end.sample_rate:g} Hz"
    frames = ""
    if front_end.frame is not None:
        frames = f"{front_end.frames} frames of {front_end.frame} samples, every {front_end.frame_hop}, in windows of "
    return (
        f"{', '.join(front_end.kinds)} of {frames}{front_end.window} samples{rate}, every {front_end.hop}, "
        f"{front_end.channels} channel{'s' if front_end.channels > 1 else ''}, {front_end.arithmetic}"
        f"{', ' if front_end.conditioning.changes else ''}{front_end.conditioning.words}{_ordered(front_end)}."
    )


def _ordered(front_end: FrontEnd) -> str:
    """What bands are multiples of, where they are no frequencies."""
    if front_end.orders is None:
        return ""
    where = "the last channel" if front_end.orders == "channel" else "the spectrum of the first channel"
    return f", bands in orders of the shaft's speed of {front_end.slowest:g} to {front_end.fastest:g} RPM, from {where}"


def _float_arrays(front_end: FrontEnd) -> list[CArray]:
    arrays: list[CArray] = []
    if front_end.spectral:
        arrays.append(c_array("float", "quarter", quarter_cosine(front_end.length)))
    if "mel" in front_end.kinds:
        arrays.append(c_array("float", "mel_slopes", float32.mel_slopes(front_end)))
    return arrays + _bins(front_end)


def _fixed_arrays(front_end: FrontEnd) -> list[CArray]:
    arrays: list[CArray] = []
    if front_end.spectral:
        arrays.append(c_array("int32_t", "quarter", fixed_point.quarter_table(front_end.length)))
    if "mel" in front_end.kinds:
        arrays.append(c_array("int32_t", "mel_slopes", fixed_point.mel_slopes(front_end)))
    return arrays + _bins(front_end)


def _bins(front_end: FrontEnd) -> list[CArray]:
    bands = [kind for kind in ("spectrum", "envelope") if kind in front_end.kinds]
    if front_end.orders is not None:
        return [c_array("int32_t", f"{kind}_orders", shaft_orders.order_edges(front_end, kind)) for kind in bands]
    arrays = [c_array("uint16_t", f"{kind}_edges", front_end.edges(kind)) for kind in bands]
    if "mel" in front_end.kinds:
        arrays.append(c_array("uint16_t", "mel_bins", np.transpose(mel_bins(front_end.mel()))))
    return arrays


def _float_numbers(front_end: FrontEnd, scale: float, zero: int) -> dict[str, Any]:
    length = front_end.length
    return {
        "scale": float_text(scale),
        "zero_offset": float_text(zero + 128),
        "inverse_window": float_text(1 / length),
        "inverse_steps": float_text(1 / max(1, length - 1)),
        "inverse_moment": float_text(12 / max(1, length * (length**2 - 1))),
        "middle": float_text((length - 1) / 2),
        "level": float_text(_level(front_end)),
        "silence": float_text(float(float32.SILENCE)),
        "silence_squared": float_text(float(float32.SILENCE_SQUARED)),
        "log10_2": float_text(float(float32.LOG10_2)),
        "series": [float_text(float(term)) for term in float32.SERIES],
        "one_bits": float32.ONE_BITS,
        "root_half_bits": float32.ROOT_HALF_BITS,
    }


def _fixed_numbers(front_end: FrontEnd, zero: int) -> dict[str, Any]:
    length = front_end.length
    levels = (length // 2).bit_length() - 1
    return {
        "zero": zero,
        "sample_fraction": fixed_point.SAMPLE_FRACTION,
        "level_fraction": fixed_point.LEVEL_FRACTION,
        "one_level": 1 << fixed_point.LEVEL_FRACTION,
        "log_fraction": fixed_point.LOG_FRACTION,
        "one_log": 1 << fixed_point.LOG_FRACTION,
        "half_log": 1 << (fixed_point.LOG_FRACTION - 1),
        "log10_2": fixed_point.LOG10_2,
        "log_window": int(fixed_point.log2(np.full(1, length, np.uint64))[0]),
        "silence": f"({fixed_point.SILENCE * (1 << fixed_point.LOG_FRACTION)})",
        "moment": f"INT64_C({length * (length**2 - 1) // 3})",
        "mel_fraction": fixed_point.MEL_FRACTION,
        "one_mel": 1 << fixed_point.MEL_FRACTION,
        "one": fixed_point.ONE,
        "level": round(_level(front_end) * fixed_point.ONE),
        "levels": levels,
        "exponent": 10 + 2 * levels - 2 * fixed_point.SAMPLE_FRACTION - (levels + 1),
    }


def _level(front_end: FrontEnd) -> float:
    """Mean of the window function."""
    return 0.54 if front_end.taper == "hamming" else 0.5
