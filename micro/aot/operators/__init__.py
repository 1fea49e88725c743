"""The operators that static C has, by their names in the TFLite schema.

To add one, write a function in a module here, decorated with `operator`, that turns the operator into calls of kernels; write
the kernels it needs as C files in `micro/aot/kernels`; and add a line to the table below. CONTRIBUTING.md walks through it.
"""

from __future__ import annotations

from micro.aot.calls import Operator
from micro.aot.operators.arithmetic import add_n, cumsum, div, prelu, squared_difference
from micro.aot.operators.blocks import (
    batch_to_space_nd,
    depth_to_space,
    mirror_pad,
    resize_nearest_neighbor,
    space_to_batch_nd,
    space_to_depth,
)
from micro.aot.operators.compared import arg_max_min, comparison, maximum_minimum, select_v2
from micro.aot.operators.elementwise import add, mul, sub
from micro.aot.operators.filled import broadcast_args, broadcast_to, cast, fill, shape, zeros_like
from micro.aot.operators.indexed import dynamic_update_slice, embedding_lookup, gather, gather_nd
from micro.aot.operators.lookup import lookup, quantize, rsqrt, sigmoid
from micro.aot.operators.movement import (
    concatenation,
    expand_dims,
    pad,
    padv2,
    reshape,
    squeeze,
    strided_slice,
    transpose,
)
from micro.aot.operators.normalized import l2_normalization, log_softmax, resize_bilinear
from micro.aot.operators.parts import pack, reverse_v2, slice_, split, split_v, unpack
from micro.aot.operators.pooling import average_pool_2d, max_pool_2d
from micro.aot.operators.products import (
    batch_matmul,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    transpose_conv,
)
from micro.aot.operators.recurrent import unidirectional_sequence_lstm
from micro.aot.operators.reduction import mean, reduce_max_min, sum_
from micro.aot.operators.slopes import slopes
from micro.aot.operators.softmax import softmax
from micro.aot.operators.state import assign_variable, read_variable, svdf, var_handle
from micro.aot.operators.truth import logical, logical_not, reduce_all

OPERATORS: dict[str, Operator] = {
    "ABS": slopes,
    "ADD": add,
    "ADD_N": add_n,
    "ARG_MAX": arg_max_min,
    "ARG_MIN": arg_max_min,
    "ASSIGN_VARIABLE": assign_variable,
    "AVERAGE_POOL_2D": average_pool_2d,
    "BATCH_MATMUL": batch_matmul,
    "BATCH_TO_SPACE_ND": batch_to_space_nd,
    "BROADCAST_ARGS": broadcast_args,
    "BROADCAST_TO": broadcast_to,
    "CAST": cast,
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "CUMSUM": cumsum,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEPTH_TO_SPACE": depth_to_space,
    "DIV": div,
    "DYNAMIC_UPDATE_SLICE": dynamic_update_slice,
    "ELU": lookup,
    "EMBEDDING_LOOKUP": embedding_lookup,
    "EQUAL": comparison,
    "EXPAND_DIMS": expand_dims,
    "FILL": fill,
    "FULLY_CONNECTED": fully_connected,
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "GREATER": comparison,
    "GREATER_EQUAL": comparison,
    "HARD_SWISH": lookup,
    "L2_NORMALIZATION": l2_normalization,
    "LEAKY_RELU": slopes,
    "LESS": comparison,
    "LESS_EQUAL": comparison,
    "LOGICAL_AND": logical,
    "LOGICAL_NOT": logical_not,
    "LOGICAL_OR": logical,
    "LOGISTIC": sigmoid,
    "LOG_SOFTMAX": log_softmax,
    "MAXIMUM": maximum_minimum,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "MINIMUM": maximum_minimum,
    "MIRROR_PAD": mirror_pad,
    "MUL": mul,
    "NOT_EQUAL": comparison,
    "PACK": pack,
    "PAD": pad,
    "PADV2": padv2,
    "PRELU": prelu,
    "QUANTIZE": quantize,
    "READ_VARIABLE": read_variable,
    "REDUCE_ALL": reduce_all,
    "REDUCE_MAX": reduce_max_min,
    "REDUCE_MIN": reduce_max_min,
    "RELU": slopes,
    "RELU6": slopes,
    "RESHAPE": reshape,
    "RESIZE_BILINEAR": resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
    "REVERSE_V2": reverse_v2,
    "RSQRT": rsqrt,
    "SELECT_V2": select_v2,
    "SHAPE": shape,
    "SLICE": slice_,
    "SOFTMAX": softmax,
    "SPACE_TO_BATCH_ND": space_to_batch_nd,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUARED_DIFFERENCE": squared_difference,
    "SQUEEZE": squeeze,
    "STRIDED_SLICE": strided_slice,
    "SUB": sub,
    "SUM": sum_,
    "SVDF": svdf,
    "TANH": sigmoid,
    "TRANSPOSE": transpose,
    "TRANSPOSE_CONV": transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": unidirectional_sequence_lstm,
    "UNPACK": unpack,
    "VAR_HANDLE": var_handle,
    "ZEROS_LIKE": zeros_like,
}
