"""Operators over rows: LOG_SOFTMAX, L2_NORMALIZATION; and RESIZE_BILINEAR."""

from __future__ import annotations

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    given,
    int8_of,
    integers_of,
    ints,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.operators.softmax import exponentials, factor_of_differences
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


@operator(inputs=(1, 1))
def log_softmax(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over the last axis, with the output that TFLite prescribes: scale 1/16, zero point 127."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    scale, _ = int8_of(x, op, graph)
    require_shape(y, x.shape, op, graph)
    if int8_of(y, op, graph) != (1 / 16, 127):
        raise refusal(op, graph, "has an output with another scale than 1/16 or another zero point than 127")
    depth = x.shape[-1] if x.shape else 1
    factor = factor_of_differences(op, graph, depth, scale)
    require(factor > 1, op, graph, "scales")
    fraction, power = quantize_multiplier(factor)
    back = (1 << (31 - power)) / fraction
    require(back < 1, op, graph, "scales")
    parameters = ints([fraction, power, *quantize_multiplier(back)])
    table = exponentials(fraction, power)
    return Lowered((Call("log_softmax", (x, y, x.size // depth, depth, Constant(table), table.size, parameters)),))


@operator(inputs=(1, 1))
def l2_normalization(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over the last axis. The output counts in steps of 1/128 around 0, whatever it says: so does TFLite Micro."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    require_shape(y, x.shape, op, graph)
    require(1 <= len(x.shape) <= 4, op, graph, "axes")
    if op.options.get("fusedActivationFunction", 0):
        raise refusal(op, graph, "has a fused activation, which TFLite Micro refuses too")
    depth = x.shape[-1]
    require_within_32_bits(255 * 255 * depth, 0, op, graph)
    return Lowered((Call("l2_normalization", (x, y, x.size // depth, depth, -int8_of(x, op, graph)[1])),))


@operator(inputs=(2, 2))
def resize_bilinear(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """In 1024ths of a position, with aligned corners or half-pixel centers."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    wanted = integers_of(inputs[1], op, graph, "size").reshape(-1).tolist()
    require(len(x.shape) == 4 and len(wanted) == 2, op, graph, f"sizes {wanted}")
    require_shape(y, (x.shape[0], *wanted, x.shape[3]), op, graph)
    aligned, centered = (bool(op.options.get(name)) for name in ("alignCorners", "halfPixelCenters"))
    require(not (aligned and centered), op, graph, "aligned corners and half-pixel centers at once")
    scales = []
    for size, made in zip(x.shape[1:3], wanted):
        own, other = (size - 1, made - 1) if aligned and made > 1 else (size, made)
        scales.append((1024 * own + other // 2) // other)
        last = (made - 1) * scales[-1] + (scales[-1] // 2 - 512 if centered else 0)
        if last // 1024 > size - 1 or last >= 1 << 30:
            raise refusal(op, graph, f"resizes {size} to {made}, where TFLite Micro's rounded scale leads past the end")
    return Lowered((Call("resize_bilinear", (x, y, *x.shape, *wanted, *scales, int(centered))),))
