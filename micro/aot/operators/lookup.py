"""Functions of single int8 values, as a table of their 256 results, which TFLite Micro itself computes."""

from __future__ import annotations

import numpy as np

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    int8_of,
    operator,
    require_shape,
    tensors_of,
)
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor, packed, schema_module
from micro.tflite.interpreter import all_outputs


@operator(inputs=(1, 1))
def lookup(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """RELU, RELU6, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH and QUANTIZE."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    int8_of(x, op, graph)
    int8_of(y, op, graph)
    assert x is not None
    require_shape(y, x.shape, op, graph)
    every = np.arange(-128, 128, dtype=np.int8)
    table = all_outputs(_alone(op, x, y), [every.reshape(1, 1, 256)])["output0"]
    return Lowered(
        (Call("lookup", (x, y, x.size, Constant(table.reshape(-1).astype(np.int8)))),), overlap={0: IN_PLACE}
    )


def _alone(op: Op, x: Tensor, y: Tensor) -> bytes:
    """A .tflite of this operator on 256 values."""
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
        made.shape, made.type, made.name = [1, 256], schema.TensorType.INT8, str(len(subgraph.tensors))
        made.quantization = schema.QuantizationParametersT()
        assert tensor.quantization is not None
        made.quantization.scale = list(tensor.quantization.scale)
        made.quantization.zeroPoint = list(tensor.quantization.zero_point)
        subgraph.tensors.append(made)
    subgraph.inputs, subgraph.outputs, subgraph.operators = [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [subgraph]
    model.buffers = [schema.BufferT()]
    return packed(model)
