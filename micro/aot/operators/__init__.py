"""The operators that static C has, by their names in the TFLite schema.

To add one, write a function in a module here, decorated with `operator`, that turns the operator into calls of kernels; write
the kernels it needs as C files in `micro/aot/kernels`; and add a line to the table below. CONTRIBUTING.md walks through it.
"""

from __future__ import annotations

from micro.aot.calls import Operator
from micro.aot.operators.convolution import conv_2d, depthwise_conv_2d, fully_connected
from micro.aot.operators.elementwise import add, mul, sub
from micro.aot.operators.lookup import lookup
from micro.aot.operators.movement import concatenation, expand_dims, pad, reshape, squeeze, strided_slice, transpose
from micro.aot.operators.pooling import average_pool_2d, max_pool_2d, mean
from micro.aot.operators.recurrent import unidirectional_sequence_lstm
from micro.aot.operators.softmax import softmax

OPERATORS: dict[str, Operator] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "EXPAND_DIMS": expand_dims,
    "FULLY_CONNECTED": fully_connected,
    "HARD_SWISH": lookup,
    "LEAKY_RELU": lookup,
    "LOGISTIC": lookup,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "MUL": mul,
    "PAD": pad,
    "QUANTIZE": lookup,
    "RELU": lookup,
    "RELU6": lookup,
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
    "SQUEEZE": squeeze,
    "STRIDED_SLICE": strided_slice,
    "SUB": sub,
    "TANH": lookup,
    "TRANSPOSE": transpose,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": unidirectional_sequence_lstm,
}
