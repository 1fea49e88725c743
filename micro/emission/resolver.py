"""The methods of TFLM's MicroMutableOpResolver, by operators' names in the schema."""

from __future__ import annotations

from micro.errors import ModelError
from micro.support.c_names import words
from micro.tflite.graph import Graph

# Operators whose method is spelled otherwise in micro_mutable_op_resolver.h.
IRREGULAR = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "L2_POOL_2D": "AddL2Pool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "PADV2": "AddPadV2",
    "TFLM_DECODE": "AddDecode",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}
# Operators whose method is Add + CamelCase.
REGULAR = words(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL
    CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS
    FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
    L2_NORMALIZATION LEAKY_RELU LESS
    LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH
    SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """
)


def resolver_methods(graph: Graph) -> list[str]:
    """One method for each operator that the graph uses, in alphabetical order.

    Raises:
        ModelError: For an operator that MicroMutableOpResolver has no method for.
    """
    return sorted(resolver_method(op) for op in graph.op_counts)


def resolver_method(op: str) -> str:
    """E.g. FULLY_CONNECTED -> AddFullyConnected."""
    if op in IRREGULAR:
        return IRREGULAR[op]
    if op in REGULAR:
        return "Add" + "".join(part.capitalize() for part in op.split("_"))
    raise ModelError(f"operator {op} is not among those of TFLite Micro's MicroMutableOpResolver")
