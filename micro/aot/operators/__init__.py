"""The operators that static C has: one function each, from the operator in the graph to its calls."""

from __future__ import annotations

from collections.abc import Callable

from micro.aot.calls import Step
from micro.aot.operators.convolution import conv_2d, depthwise_conv_2d, fully_connected
from micro.aot.operators.elementwise import add, mul, sub
from micro.aot.operators.lookup import lookup
from micro.aot.operators.movement import concatenation, pad, reshape, strided_slice, transpose
from micro.aot.operators.pooling import average_pool_2d, max_pool_2d, mean
from micro.aot.operators.softmax import softmax
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Those whose weights may be stored in several ways.
STORED: dict[str, Callable[[Op, Graph, Storage], Step]] = {"CONV_2D": conv_2d, "FULLY_CONNECTED": fully_connected}

OPERATORS: dict[str, Callable[[Op, Graph], Step]] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "EXPAND_DIMS": reshape,
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
    "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_slice,
    "SUB": sub,
    "TANH": lookup,
    "TRANSPOSE": transpose,
}
