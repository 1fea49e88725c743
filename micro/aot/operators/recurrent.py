"""UNIDIRECTIONAL_SEQUENCE_LSTM: a loop over time, with gates and cells in 16 bits."""

from __future__ import annotations

import math

import numpy as np

from micro.aot.calls import (
    Argument,
    Call,
    Constant,
    Lowered,
    array_of,
    given,
    grid_of,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.operators.movement import last_step_only
from micro.aot.operators.products import require_within_64_bits
from micro.aot.states import keeps_state
from micro.aot.weight_layout import Storage, blocks_of_filters, dense
from micro.tflite.graph import Graph, Op, Tensor
from micro.tflite.sigmoids import sigmoid_table

# Gates in TFLite's order: input, forget, cell and output. Places of the operator's inputs.
GATES = 4
KERNELS, RECURRENT, BIASES, STATES = range(1, 5), range(5, 9), range(12, 16), (18, 19)
# Of peephole connections, a projection and normalizations, which TFLite Micro does not compute.
ABSENT = (*range(9, 12), 16, 17, *range(20, 24))
TANH = 4
# Scales that TFLite Micro's kernel prescribes: of what goes into a gate's sigmoid or tanh, and of what comes out.
GATE_SCALE, UNIT_SCALE = 2.0**-12, 2.0**-15
# Powers of two that cells may have as their scale; beyond them shifts would leave 32 bits.
CELL_POWERS = range(-24, 1)


@operator(inputs=(9, 24), optional=True, options=("fusedActivationFunction",))
def unidirectional_sequence_lstm(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """An LSTM with tanh, from states of 0 that its model sets before every inference, or from where the last one ended.

    Of int8 values, or of 16-bit ones with 8-bit weights.
    """
    inputs, y = tensors_of(op, graph)
    require(len(inputs) == 24 and min(op.inputs[place] for place in (*BIASES, *STATES)) >= 0, op, graph, "inputs")
    x = given(inputs[0])
    require_kind(("int8", "int16"), op, graph, x, y)
    (x_scale, x_zero), (scale, zero) = grid_of(x, op, graph), grid_of(y, op, graph)
    require(len(x.shape) == 3 and len(y.shape) == 3 and x.shape[0] == 1, op, graph, "shapes of sequences")
    units, depth, steps = y.shape[2], x.shape[2], x.shape[1]
    require_shape(y, (1, steps, units), op, graph)
    _require_plain(op, graph)
    hidden, cells, cell_power = _states(op, graph, units, (scale, zero))
    kernels = [_weights(inputs[place], (units, depth), op, graph) for place in KERNELS]
    recurrent = [_weights(inputs[place], (units, units), op, graph) for place in RECURRENT]
    biases = [_bias(inputs[place], units, "int32" if y.dtype == "int8" else "int64", op, graph) for place in BIASES]
    cell_scale = 2.0**cell_power
    factors = [
        *(_factor(x_scale, step, GATE_SCALE) for _, step in kernels),
        *(_factor(scale, step, GATE_SCALE) for _, step in recurrent),
        quantize_multiplier(UNIT_SCALE * cell_scale / cell_scale),
        quantize_multiplier(UNIT_SCALE * UNIT_SCALE / cell_scale),
        quantize_multiplier(UNIT_SCALE * UNIT_SCALE / scale),
    ]
    require(all(power <= 0 for _, power in factors[8:]), op, graph, "scales of states")
    tables = (
        Constant(sigmoid_table()),
        Constant(np.array([fraction for fraction, _ in factors], np.int32)),
        Constant(np.array([power for _, power in factors], np.int8)),
    )
    turns = last_step_only(y.index, graph)
    sides = (x, y, hidden, cells)
    sizes, ends = (steps, depth, units), (cell_power + 12, *_clip(op, cell_scale), int(turns))
    start = np.stack(biases, axis=1)
    if y.dtype == "int16":
        _require_wide_sums(kernels, start, factors[:GATES], op, graph)
        _require_wide_sums(recurrent, np.zeros((units, GATES)), factors[GATES:8], op, graph)
        weights = (Constant(_by_units([values for values, _ in gates])) for gates in (kernels, recurrent))
        call = Call("lstm_16", (*sides, *weights, Constant(start.astype(np.int32)), *tables, *sizes, *ends))
        return Lowered((call,), kept=4 * units if turns else None)
    _require_sums([values for values, _ in kernels], biases, x_zero, factors[:GATES], op, graph)
    _require_sums([values for values, _ in recurrent], [np.zeros(units)] * GATES, zero, factors[GATES:8], op, graph)
    pairs = (part for gates in (kernels, recurrent) for part in _stored([values for values, _ in gates]))
    blocks = (
        *(Constant(blocks_of_filters(_by_units([values for values, _ in gates]))) for gates in (kernels, recurrent)),
        Constant(_started(kernels, biases, x_zero)),
        Constant(_started(recurrent, None, zero)),
    )
    mve = Call("lstm_mve", (*sides, *blocks, *tables, *sizes, zero, *ends))
    call = Call("lstm", (*sides, *pairs, Constant(start), *tables, *sizes, -x_zero, zero, *ends), mve)
    return Lowered((call,), kept=2 * units if turns else None)


def _require_plain(op: Op, graph: Graph) -> None:
    """Refuse what TFLite Micro's kernel does not compute, or what no Keras layer has."""
    if any(op.inputs[place] >= 0 for place in ABSENT):
        raise refusal(
            op, graph, "has peephole connections, a projection or a normalization; static C has the plain LSTM"
        )
    if op.options["fusedActivationFunction"] != TANH:
        raise refusal(op, graph, "has another activation than tanh")
    if op.options.get("timeMajor"):
        raise refusal(op, graph, "has time as its first axis; static C takes the batch there")


def _clip(op: Op, scale: float) -> tuple[int, int]:
    """The lowest and the highest value of a cell."""
    clip = float(np.float32(op.options.get("cellClip", 0.0)))
    if clip <= 0:
        return -(1 << 15), (1 << 15) - 1
    most = int(min(clip / scale, 32767.0))
    return -most, most


def _states(op: Op, graph: Graph, units: int, output: tuple[float, int]) -> tuple[Argument, Tensor, int]:
    """The state from the last inference, 0 if it is not taken; the cells, and the power of two that is their scale."""
    hidden, cells = (graph.tensors[op.inputs[place]] for place in STATES)
    require(hidden.size == cells.size == units, op, graph, "sizes of states")
    if hidden.dtype != graph.tensors[op.outputs[0]].dtype or grid_of(hidden, op, graph) != output:
        raise refusal(op, graph, "has states with another scale or zero point than its output")
    if cells.dtype != "int16" or cells.quantization is None:
        raise refusal(op, graph, f"has cells that are {cells.dtype}; TFLite Micro's are quantized int16")
    mantissa, power = math.frexp(cells.quantization.scale[0])
    require(mantissa == 0.5 and power - 1 in CELL_POWERS, op, graph, "scales of cells")
    if keeps_state(op, graph):
        return hidden, cells, power - 1
    for state, start in ((hidden, output[1]), (cells, 0)):
        if not _starts_at(state, start, graph):
            raise refusal(op, graph, f"starts from states in {state.quoted} that are not 0")
    return 0, cells, power - 1


def _starts_at(state: Tensor, start: int, graph: Graph) -> bool:
    """Whether the model sets a state to such a constant before each inference."""
    makers = [op for op in graph.ops if state.index in op.outputs]
    given = graph.tensors[makers[0].inputs[0]] if len(makers) == 1 and makers[0].name == "RESHAPE" else None
    if given is None or given.data is None or given.dtype != state.dtype:
        return False
    return bool((array_of(given) == start).all())


def _weights(tensor: Tensor | None, shape: tuple[int, int], op: Op, graph: Graph) -> tuple[np.ndarray, float]:
    """One gate's weights, and their scale."""
    if tensor is None or tensor.data is None or tensor.dtype != "int8" or tensor.quantization is None:
        raise refusal(op, graph, "has weights that are not constant int8")
    if len(tensor.quantization.scale) != 1 or any(tensor.quantization.zero_point):
        raise refusal(op, graph, "has weights with a zero point, or with more than one scale a gate")
    require(tensor.shape == shape, op, graph, f"weights of shape {list(tensor.shape)}")
    return array_of(tensor), tensor.quantization.scale[0]


def _bias(tensor: Tensor | None, units: int, dtype: str, op: Op, graph: Graph) -> np.ndarray:
    if tensor is None or tensor.data is None or tensor.dtype != dtype:
        raise refusal(op, graph, f"has biases that are not constant {dtype}")
    require(tensor.size == units, op, graph, f"{tensor.size} biases for {units} units, which")
    values = array_of(tensor).reshape(-1)
    if np.abs(values.astype(np.float64)).max() >= 1 << 31:
        raise refusal(op, graph, "has biases beyond 32 bits")
    return values


def _factor(x_scale: float, weight_scale: float, scale: float) -> tuple[int, int]:
    """From a gate's sums to its steps."""
    return quantize_multiplier(x_scale * weight_scale / scale)


def _require_sums(
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    zero: int,
    factors: list[tuple[int, int]],
    op: Op,
    graph: Graph,
) -> None:
    """Refuse weights and biases whose sums may overflow 32 bits, before or after they are rescaled."""
    farthest = max(127 - zero, zero + 128)
    for values, bias, (_, power) in zip(weights, biases, factors):
        sums = np.abs(values.astype(np.int64)).sum(axis=1) * farthest + np.abs(bias.astype(np.int64))
        require_within_32_bits(int(sums.max()), power, op, graph)


def _require_wide_sums(
    gates: list[tuple[np.ndarray, float]],
    start: np.ndarray,
    factors: list[tuple[int, int]],
    op: Op,
    graph: Graph,
) -> None:
    """Refuse weights and biases (units, 4) of 16-bit values whose sums TFLite's kernels cannot scale as 64 bits."""
    for (values, _), bias, (fraction, power) in zip(gates, start.T, factors):
        sums = (np.abs(values.astype(np.int64)).sum(axis=1) << 15) + np.abs(bias.astype(np.int64))
        require_within_64_bits(int(sums.max()), fraction, power, op, graph)


def _by_units(gates: list[np.ndarray]) -> np.ndarray:
    """Weights (units, length) of four gates as (4 * units, length), the gates of a unit next to each other."""
    return np.stack(gates, axis=1).reshape(-1, gates[0].shape[1])


def _started(gates: list[tuple[np.ndarray, float]], biases: list[np.ndarray] | None, zero: int) -> np.ndarray:
    """What sums of products with values that keep their zero point start from, (units, 4) int32."""
    own = np.stack(
        [values.astype(np.int32).sum(axis=1, dtype=np.int32) * np.int32(-zero) for values, _ in gates], axis=1
    )
    return own if biases is None else (own + np.stack(biases, axis=1)).astype(np.int32)


def _stored(gates: list[np.ndarray]) -> tuple[Argument, Argument]:
    """Weights (units, length) of four gates, the gates of a unit next to each other: pairs of filters, or filters."""
    filters = _by_units(gates)
    pairs, singles = dense(filters[:, None], filters.shape[1])
    return Constant(pairs) if pairs.size else 0, Constant(singles) if singles.size else 0
