"""How many axes the tensors of an operator must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro.errors import ModelError

if TYPE_CHECKING:
    from micro.tflite.graph import Op, Tensor

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


def require_axes(op: Op, tensors: tuple[Tensor, ...]) -> None:
    """Refuse an operator that lacks one of its tensors, or one of whose tensors has other than its number of axes.

    Raises:
        ModelError: Names the operator and the tensor.
    """
    for place, axes in AXES.get(op.name, {}).items():
        side, number = (op.outputs, 0) if place < 0 else (op.inputs, place)
        what = f"damaged .tflite: operator {op.index} ({op.name})"
        if len(side) <= number or side[number] < 0:
            raise ModelError(f"{what} lacks its {'output' if place < 0 else f'input {place}'}")
        tensor = tensors[side[number]]
        if axes is not None and len(tensor.shape) != axes:
            raise ModelError(f"{what} has {len(tensor.shape)} axes in {tensor.quoted}, where {axes} are right")
