"""Functions of single values: of int8 as a table of their 256 results, which TFLite Micro itself computes."""

from __future__ import annotations

import math

import numpy as np

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    given,
    grid_of,
    int8_of,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    sized,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor, packed, schema_module
from micro.tflite.interpreter import all_outputs
from micro.tflite.sigmoids import sigmoid_table


@operator(inputs=(1, 1), exchangeable=True)
def lookup(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """ELU, HARD_SWISH, and RELU, RELU6, LEAKY_RELU, ABS, LOGISTIC, TANH and QUANTIZE where the input is int8."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    int8_of(x, op, graph)
    assert x is not None
    require_shape(y, x.shape, op, graph)
    every = np.arange(-128, 128, dtype=np.int8)
    kernel = "lookup"
    if op.name == "QUANTIZE" and y.dtype == "int16":
        grid_of(y, op, graph)
        kernel = "lookup_wide"
    else:
        int8_of(y, op, graph)
    table = all_outputs(_alone(op, x, y, every.size), [every.reshape(1, 1, 256)])["output0"]
    call = Call(kernel, (x, y, x.size, Constant(table.reshape(-1).astype(y.dtype), True)))
    return Lowered((call,), overlap={0: IN_PLACE} if kernel == "lookup" else {})


@operator(inputs=(1, 1))
def rsqrt(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The reciprocal of the square root of int8 values that cannot be negative."""
    inputs, _ = tensors_of(op, graph)
    if int8_of(inputs[0], op, graph)[1] != -128:
        raise refusal(
            op, graph, "takes values that may be negative, on which TFLite Micro fails; the zero point must be -128"
        )
    return lookup.lowering(op, graph, storage)


@operator(inputs=(1, 1), exchangeable=True)
def quantize(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Between int8, int16 and int32, on any scales."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    if "int32" in (x.dtype, y.dtype):
        return _quantize_32(op, graph)
    if x.dtype == "int8":
        return lookup.lowering(op, graph, storage)
    (x_scale, _), (y_scale, y_zero) = grid_of(x, op, graph), grid_of(y, op, graph)
    require_shape(y, x.shape, op, graph)
    fraction, power = quantize_multiplier(x_scale / y_scale)
    require_within_32_bits(1 << 15, power, op, graph)
    kernel = "requantize_to_8" if y.dtype == "int8" else "requantize_to_16"
    return Lowered((Call(kernel, (x, y, x.size, fraction, power, y_zero)),))


def _quantize_32(op: Op, graph: Graph) -> Lowered:
    """To or from int32, whose zero point is 0."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_shape(y, x.shape, op, graph)
    grids = []
    for tensor in (x, y):
        unit = tensor.quantization
        if tensor.dtype not in ("int8", "int16", "int32") or unit is None or len(unit.scale) != 1:
            raise refusal(op, graph, f"has an input or output that is {tensor.dtype} without one scale")
        require(tensor.dtype != "int32" or unit.zero_point[0] == 0, op, graph, "32-bit values with a zero point")
        require(abs(unit.zero_point[0]) <= 1 << 15, op, graph, "zero points")
        grids.append((unit.scale[0], unit.zero_point[0]))
    (x_scale, x_zero), (y_scale, y_zero) = grids
    fraction, power = quantize_multiplier(x_scale / y_scale)
    if y.dtype == "int32" and x.dtype != "int32":
        require_within_32_bits(1 << 16, power, op, graph)
        return Lowered((Call(sized("widened", x), (x, y, x.size, -x_zero, fraction, power)),))
    if y.dtype == "int32" or power > 0:
        raise refusal(op, graph, "brings 32-bit values to a finer scale or to 32 bits, which TFLite Micro does not")
    return Lowered((Call(sized("narrowed", y), (x, y, x.size, fraction, power, y_zero)),))


@operator(inputs=(1, 1), exchangeable=True)
def sigmoid(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """LOGISTIC and TANH of int8 or int16."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    if x.dtype == "int8":
        return lookup.lowering(op, graph, storage)
    require_kind(("int16",), op, graph, x, y)
    (scale, _), (y_scale, _) = grid_of(x, op, graph), grid_of(y, op, graph)
    require_shape(y, x.shape, op, graph)
    if y_scale != 1 / (1 << 15):
        raise refusal(op, graph, f"has an output with the scale {y_scale:g}; TFLite's is 1/32768")
    exponent = math.log2(scale)
    shift = 12 + round(exponent)
    if abs(exponent - round(exponent)) < 1e-3 and shift in ((0,) if op.name == "LOGISTIC" else (0, 1)):
        multiplier, shift = 3 << shift, 0
    else:
        real, shift = scale * 4096.0 * 3.0, 0
        while real <= 32767.0 / 2.0 and shift <= 30:
            real, shift = real * 2.0, shift + 1
        multiplier = int(real)
    if multiplier > 32767:
        raise refusal(op, graph, f"has an input with the scale {scale:g}, too coarse for TFLite's table")
    table = Constant(sigmoid_table())
    return Lowered((Call("sigmoid", (x, y, x.size, table, multiplier, shift, int(op.name == "TANH"))),))


def _alone(op: Op, x: Tensor, y: Tensor, count: int) -> bytes:
    """A .tflite of this operator on `count` values."""
    schema = schema_module()
    model, subgraph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, op.name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 2
    operator.inputs, operator.outputs = [0], [1]
    if op.name == "LEAKY_RELU":
        operator.builtinOptionsType = schema.BuiltinOptions.LeakyReluOptions
        operator.builtinOptions = schema.LeakyReluOptionsT()
        operator.builtinOptions.alpha = op.options["alpha"]
    subgraph.tensors = []
    for tensor in (x, y):
        made = schema.TensorT()
        made.shape, made.name = [1, count], str(len(subgraph.tensors))
        made.type = getattr(schema.TensorType, tensor.dtype.upper())
        made.quantization = schema.QuantizationParametersT()
        assert tensor.quantization is not None
        made.quantization.scale = list(tensor.quantization.scale)
        made.quantization.zeroPoint = list(tensor.quantization.zero_point)
        subgraph.tensors.append(made)
    subgraph.inputs, subgraph.outputs, subgraph.operators = [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [subgraph]
    model.buffers = [schema.BufferT()]
    return packed(model)
