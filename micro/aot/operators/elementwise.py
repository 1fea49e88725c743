"""ADD, SUB, MUL of two tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

from micro.aot.calls import (
    Argument,
    Call,
    Lowered,
    Slide,
    four,
    grid_of,
    ints,
    operator,
    refusal,
    require_kind,
    require_shape,
    require_within_32_bits,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.fixed_point import activation_range, quantize_multiplier
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.cost import WIDTHS
from micro.tflite.graph import Graph, Op

# Fraction bits of the operands of a sum, of 8 and of 16 bits.
SUM_BITS, WIDE_SUM_BITS = 20, 15


@operator(inputs=(2, 2), exchangeable=True)
def add(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """a + b."""
    return _sum(1, op, graph)


@operator(inputs=(2, 2), exchangeable=True)
def sub(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """a - b."""
    return _sum(-1, op, graph)


@operator(inputs=(2, 2), exchangeable=True)
def mul(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """a * b."""
    (a, b), y = tensors_of(op, graph)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (grid_of(t, op, graph) for t in (a, b, y))
    fraction, power = quantize_multiplier(a_scale * b_scale / y_scale)
    require_within_32_bits(255 * 255 if y.dtype == "int8" else 1 << 30, power, op, graph)
    low, high = activation_range(op.options.get("fusedActivationFunction", 0), y_scale, y_zero, _bits(op, graph))
    numbers = ints([-a_zero, -b_zero, fraction, power, y_zero, low, high], of_model=True)
    return broadcast(sized("mul", y), op, graph, numbers, mve="mul_mve" if y.dtype == "int8" and power <= 0 else None)


def to_unit(grids: Sequence[tuple[float, int]], unit: float) -> list[int]:
    """Offset, multiplier and shift of each operand, given by scale and zero point, to a common unit."""
    parameters = []
    for scale, zero in grids:
        fraction, power = quantize_multiplier(scale / unit)
        parameters += [-zero, fraction, -power]
    return parameters


def _sum(sign: int, op: Op, graph: Graph) -> Lowered:
    (a, b), y = tensors_of(op, graph)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (grid_of(t, op, graph) for t in (a, b, y))
    twice = 2.0 * max(a_scale, b_scale)
    to_output = twice / ((1 << (SUM_BITS if y.dtype == "int8" else WIDE_SUM_BITS)) * y_scale)
    if not to_output < 1:
        raise refusal(
            op,
            graph,
            f"has output scale {y_scale:g} for input scale {max(a_scale, b_scale):g}: too fine for TFLite's sums",
        )
    parameters = to_unit([(a_scale, a_zero), (b_scale, b_zero)], twice)
    fraction, power = quantize_multiplier(to_output)
    low, high = activation_range(op.options.get("fusedActivationFunction", 0), y_scale, y_zero, _bits(op, graph))
    numbers = ints([*parameters, fraction, -power, y_zero, low, high], of_model=True)
    return broadcast(sized("add", y), op, graph, sign, numbers, mve="add_mve" if y.dtype == "int8" else None)


def _bits(op: Op, graph: Graph) -> int:
    """8 or 16, the width of all tensors."""
    inputs, y = tensors_of(op, graph)
    require_kind(("int8", "int16"), op, graph, *inputs, y)
    return 8 if y.dtype == "int8" else 16


def broadcast(kernel: str, op: Op, graph: Graph, *further: Argument, mve: str | None = None) -> Lowered:
    """A call with both inputs, the output, its shape, the inputs' strides (0 where a value repeats), and further arguments.

    Args:
        mve: The kernel for cores with MVE, which takes inputs of the output's shape and no strides.
    """
    inputs, y = tensors_of(op, graph)
    shape = four(y.shape, op, graph)
    owned = [four(tensor.shape, op, graph) for tensor in inputs if tensor is not None]
    if any(len({size for size in sizes if size != 1}) > 1 for sizes in zip(*owned)):
        raise refusal(
            op, graph, f"takes shapes {' and '.join(str(list(own)) for own in owned)}, which do not broadcast"
        )
    require_shape(y, [max(sizes) for sizes in zip(*owned)], op, graph)
    arguments: list[Argument] = []
    strides = []
    for tensor, own in zip(inputs, owned):
        assert tensor is not None
        strides.append([0 if size == 1 else stride for size, stride in zip(own, strides_of(own))])
        arguments.append(tensor)
    vector = None
    if mve is not None and all(own == shape for own in owned):
        vector = Call(mve, (*arguments, y, ints(shape), *further))
    call = Call(kernel, (*arguments, y, ints(shape), ints(strides[0]), ints(strides[1]), *further), vector)
    alike = {
        number: IN_PLACE
        for number, (tensor, own) in enumerate(zip(inputs, owned))
        if own == shape and tensor is not None and WIDTHS[tensor.dtype] == WIDTHS[y.dtype]
    }
    return Lowered((call,), overlap=alike, slide=Slide() if len(alike) == len(owned) else None)
