"""What is known of operators by name: how many axes their tensors must have, and what their tables of options are called."""

from __future__ import annotations

# By position among the inputs (-1: the output; None: any number): of tensors from whose shapes MACs are computed, and of those
# of which TFLite Micro's kernels read four sizes whatever the file says. Behind a shorter shape they take what lies there for a
# size, so that they may end at once or never.
AXES: dict[str, dict[int, int | None]] = {
    "CONV_2D": {0: 4, 1: 4, -1: 4},
    "DEPTHWISE_CONV_2D": {0: 4, 1: 4, -1: 4},
    "TRANSPOSE_CONV": {1: 4, 2: 4, -1: 4},
    "AVERAGE_POOL_2D": {0: 4, -1: 4},
    "MAX_POOL_2D": {0: 4, -1: 4},
    "L2_POOL_2D": {0: 4, -1: 4},
    "FULLY_CONNECTED": {1: None, -1: None},
    "BATCH_MATMUL": {0: None, -1: None},
    "UNIDIRECTIONAL_SEQUENCE_LSTM": {0: None, -1: None},
}
# Tables of options that are not named as their operators.
OPTIONS = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), "Pool2DOptions"),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL"), "ReducerOptions"),
    "L2_NORMALIZATION": "L2NormOptions",
}
