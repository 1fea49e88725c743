"""Arithmetic of several tensors beyond ADD, SUB and MUL: DIV, PRELU, SQUARED_DIFFERENCE, ADD_N, CUMSUM."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    Several,
    axis_of,
    given,
    grid_of,
    int8_of,
    ints,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    sized,
    tensors_of,
)
from micro.aot.fixed_point import activation_range, quantize_multiplier
from micro.aot.operators.elementwise import SUM_BITS, broadcast, to_unit
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Powers of two of quotients that TFLite's shifts hold, whatever the values.
QUOTIENT_POWERS = range(7, 24)
# Fraction bits of the operands of a difference of 8 bits that is squared.
DIFFERENCE_BITS = 7


@operator(inputs=(2, 2))
def div(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """a / b. What TFLite Micro gives for b = 0 is open; here it is a / 1."""
    (a, b), y = tensors_of(op, graph)
    require_kind(("int8",), op, graph, a, b, y)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (int8_of(t, op, graph) for t in (a, b, y))
    fraction, power = quantize_multiplier(a_scale / (b_scale * y_scale))
    if power not in QUOTIENT_POWERS:
        raise refusal(
            op,
            graph,
            f"has quotients of up to 2^{power} in steps of its output; below 2^7 and above 2^23 TFLite Micro shifts some "
            "by more than 31 bits, which C leaves open",
        )
    reach = activation_range(op.options.get("fusedActivationFunction", 0), y_scale, y_zero)
    return broadcast("divided", op, graph, ints([-a_zero, -b_zero, fraction, power, y_zero, *reach]))


@operator(inputs=(2, 2))
def prelu(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Negative values times alpha."""
    (x, alpha), y = tensors_of(op, graph)
    require_kind(("int8", "int16"), op, graph, x, y)
    (scale, zero), (x_scale, x_zero), (y_scale, y_zero) = (
        int8_of(alpha, op, graph), grid_of(x, op, graph), grid_of(y, op, graph)
    )  # fmt: skip
    farthest = 255 if y.dtype == "int8" else 1 << 15
    positive, negative = quantize_multiplier(x_scale / y_scale), quantize_multiplier(x_scale * scale / y_scale)
    require_within_32_bits(farthest, positive[1], op, graph)
    require_within_32_bits(255 * farthest, negative[1], op, graph)
    return broadcast(sized("prelu", y), op, graph, ints([-x_zero, -zero, *positive, *negative, y_zero]))


@operator(inputs=(2, 2))
def squared_difference(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """(a - b) squared."""
    (a, b), y = tensors_of(op, graph)
    require_kind(("int8", "int16"), op, graph, a, b, y)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (grid_of(t, op, graph) for t in (a, b, y))
    bits, farthest = (DIFFERENCE_BITS, 255 << DIFFERENCE_BITS) if y.dtype == "int8" else (0, 1 << 15)
    twice = 2.0 * max(a_scale, b_scale)
    parameters = to_unit([(a_scale, a_zero), (b_scale, b_zero)], twice)
    fraction, power = quantize_multiplier(twice * twice / ((1 << 2 * bits) * y_scale))
    require_within_32_bits(farthest**2, power, op, graph)
    return broadcast(sized("squared_difference", y), op, graph, ints([*parameters, fraction, power, y_zero]))


@operator(inputs=(2, 64))
def add_n(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The sum of tensors of one shape, scale and zero point."""
    inputs, y = tensors_of(op, graph)
    terms = [given(tensor) for tensor in inputs]
    require_kind(("int8",), op, graph, *terms, y)
    if len({(int8_of(tensor, op, graph), tensor.shape) for tensor in terms}) > 1:
        raise refusal(op, graph, "adds tensors with different shapes, scales or zero points; TFLite Micro does not")
    require_shape(y, terms[0].shape, op, graph)
    parameters = _to_sums(op, graph, len(terms))
    return Lowered((Call("add_n", (Several(tuple(terms)), len(terms), y, y.size, parameters)),))


@operator(inputs=(2, 2))
def cumsum(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Sums of all values so far along an axis, with or without the value itself, from the start or from the end."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    axis = axis_of(inputs[1], x, op, graph)
    require(x.shape == y.shape, op, graph, "shapes of input and output")
    sizes = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    flags = [int(bool(op.options.get(name))) for name in ("exclusive", "reverse")]
    parameters = _to_sums(op, graph, x.shape[axis] + 1)
    return Lowered((Call("cumsum", (x, y, *sizes, *flags, parameters)),))


def _to_sums(op: Op, graph: Graph, terms: int) -> Constant:
    """Offset, multiplier and shift of each of `terms` values; multiplier, shift and offset of their sum."""
    inputs, y = tensors_of(op, graph)
    (x_scale, x_zero), (y_scale, y_zero) = int8_of(inputs[0], op, graph), int8_of(y, op, graph)
    to_output = 2.0 * x_scale / ((1 << SUM_BITS) * y_scale)
    if not to_output < 1:
        raise refusal(
            op, graph, f"has output scale {y_scale:g} for input scale {x_scale:g}: too fine for TFLite's sums"
        )
    require_within_32_bits((255 << SUM_BITS - 1) * (terms + 1), 0, op, graph)
    (fraction, power), (back, shift) = quantize_multiplier(0.5), quantize_multiplier(to_output)
    return ints([-x_zero, fraction, -power, back, -shift, y_zero])
