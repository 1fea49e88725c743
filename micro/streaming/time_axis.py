"""Which operators of a graph, when the window moves on by a hop, only add frames to what they gave before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.tflite.graph import Graph, Op, Tensor

# Each value of the output depends on the value at its place alone.
POINTWISE = frozenset(
    ("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "NEG", "QUANTIZE", "RELU", "RELU6")
    + ("RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SQRT", "SQUARE", "TANH")
)
MERGING = frozenset(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"))
WINDOWED = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"))
RESHAPING = frozenset(("RESHAPE", "EXPAND_DIMS", "SQUEEZE"))
REDUCING = frozenset(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"))


@dataclass(frozen=True)
class Flow:
    """A tensor along time: its axis of frames, and how many frames of the model's input the next frame is apart."""

    axis: int
    stride: int


@dataclass(frozen=True)
class Reach:
    """What an operator takes along time for its output frames.

    Attributes:
        output: The output along time.
        step: Input frames from one output frame to the next.
        span: Input frames that one output frame takes.
        before: Input frames before the first that the first output frame would take, as padding or, if negative, cut off.
        after: Input frames behind the last that the last output frame would take; if negative, frames are left over.
    """

    output: Flow
    step: int = 1
    span: int = 1
    before: int = 0
    after: int = 0

    def frames(self, count: int) -> int:
        """The newest input frames that the newest `count` output frames take."""
        return (count - 1) * self.step + self.span - self.after


@dataclass(frozen=True)
class Along:
    """A graph along time.

    Attributes:
        flows: The tensors of which a hop only adds frames, by index.
        reaches: What the operators that make them take, by the operator's index.
        oldest: The oldest frame of each tensor that the model's output depends on, by index.
        stops: Why an operator computes its output as a whole although its input adds frames, by the operator's index.
    """

    flows: Mapping[int, Flow]
    reaches: Mapping[int, Reach]
    oldest: Mapping[int, int]
    stops: Mapping[int, str]


def along_time(graph: Graph, hop: int) -> Along:
    """What of a graph only adds frames when its one input, (1, time, ...), moves on by `hop` frames.

    An operator does so if it treats all frames alike and sees no padding in time, at least not in a frame that the output
    depends on. All others compute their output from the whole of their input.
    """
    flows, reaches, stops = _flows(graph, hop, {})
    while True:
        oldest = _oldest(graph, hop, flows, reaches)
        padded = {
            op.index: f"pads time with {max(reach.before, 0)} frames before and {max(reach.after, 0)} behind it"
            for op in graph.ops
            if (reach := reaches.get(op.index)) is not None
            and (reach.after > 0 or min(oldest.get(i, 0) for i in op.outputs) * reach.step < reach.before)
        }
        if not padded:
            return Along(flows, reaches, oldest, {**stops})
        first = min(padded)
        flows, reaches, stops = _flows(graph, hop, {**stops, first: padded[first]})


def _flows(
    graph: Graph, hop: int, stopped: Mapping[int, str]
) -> tuple[dict[int, Flow], dict[int, Reach], dict[int, str]]:
    """Tensors that add frames, how far their operators reach, and why others do not; `stopped` is known not to."""
    flows = {graph.inputs[0]: Flow(1, 1)}
    reaches: dict[int, Reach] = {}
    stops: dict[int, str] = {}
    for op in graph.ops:
        if not any(i in flows for i in op.inputs):
            continue
        if op.index in stopped:
            stops[op.index] = stopped[op.index]
            continue
        reach = _reach(op, graph, flows)
        if isinstance(reach, Reach):
            count, rest = divmod(hop, reach.output.stride)
            short = min(graph.tensors[i].shape[reach.output.axis] for i in op.outputs)
            if rest or not count:
                reach = f"gives a frame every {reach.output.stride} samples, of which {hop} is no multiple"
            elif count > short:
                reach = f"gives {short} frames, fewer than the {count} of a hop"
        if isinstance(reach, str):
            stops[op.index] = reach
        else:
            reaches[op.index] = reach
            flows.update(dict.fromkeys(op.outputs, reach.output))
    return flows, reaches, stops


def _oldest(graph: Graph, hop: int, flows: Mapping[int, Flow], reaches: Mapping[int, Reach]) -> dict[int, int]:
    """The oldest frame of each tensor that the output depends on."""
    oldest: dict[int, int] = {}
    for i in graph.outputs:
        if i in flows:
            oldest[i] = graph.tensors[i].shape[flows[i].axis] - hop // flows[i].stride
    for op in reversed(graph.ops):
        reach = reaches.get(op.index)
        for i in op.inputs:
            if i not in flows:
                continue
            if reach is None:
                cut = picked(op, graph, flows[i].axis)
                first = cut.start if cut else 0
            else:
                made = [oldest[j] for j in op.outputs if j in oldest]
                if not made:
                    continue
                first = max(min(made) * reach.step - reach.before, 0)
            oldest[i] = min(oldest.get(i, first), first)
    return oldest


def _reach(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    """How an operator reaches along time, or why it needs its whole input."""
    rule = RULES.get(op.name)
    if rule is None:
        return "takes its whole input at once"
    return rule(op, graph, flows)


def _pointwise(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    return Reach(flows[op.inputs[0]])


def _softmax(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    flow = flows[op.inputs[0]]
    if flow.axis == len(graph.tensors[op.inputs[0]].shape) - 1:
        return "normalizes over time"
    return Reach(flow)


def _merging(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    """Operands are aligned at their last axes; those that add frames must do so alike, others must not vary along time."""
    rank = len(graph.tensors[op.outputs[0]].shape)
    found = set()
    for i in op.inputs:
        tensor = graph.tensors[i]
        if i in flows:
            axis = flows[i].axis + rank - len(tensor.shape)
            found.add((axis, flows[i].stride, tensor.shape[flows[i].axis]))
    if len(found) > 1:
        return "merges inputs of other lengths or rates"
    axis, stride, length = found.pop()
    for i in op.inputs:
        tensor = graph.tensors[i]
        if i in flows:
            continue
        if tensor.data is None:
            return "merges with what is computed from the whole window"
        own = axis - (rank - len(tensor.shape))
        if own >= 0 and tensor.shape[own] != 1:
            return "merges with constants that differ from frame to frame"
    if graph.tensors[op.outputs[0]].shape[axis] != length:
        return "merges inputs of other lengths or rates"
    return Reach(Flow(axis, stride))


def _windowed(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    if any(i in flows for i in op.inputs[1:]):
        return "takes weights that are computed"
    flow, x, y = flows[op.inputs[0]], graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if flow.axis not in (1, 2) or len(x.shape) != 4:
        return "reaches over channels and not over time"
    way = "H" if flow.axis == 1 else "W"
    if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        size = graph.tensors[op.inputs[1]].shape[flow.axis]
    else:
        size = op.options["filterHeight" if way == "H" else "filterWidth"]
    step, dilation = op.options[f"stride{way}"], op.options.get(f"dilation{way}Factor", 1)
    span = (size - 1) * dilation + 1
    length, count = x.shape[flow.axis], y.shape[flow.axis]
    overhang = (count - 1) * step + span - length
    before = max(overhang, 0) // 2 if op.options["padding"] == 0 else 0
    return Reach(Flow(flow.axis, flow.stride * step), step, span, before, overhang - before)


def _concatenation(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    if not all(i in flows for i in op.inputs):
        return "joins with what is no series of frames"
    if len({flows[i] for i in op.inputs}) > 1:
        return "merges inputs of other lengths or rates"
    flow = flows[op.inputs[0]]
    if op.options.get("axis", 0) % len(graph.tensors[op.outputs[0]].shape) == flow.axis:
        return "joins along time"
    return Reach(flow)


def _pad(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    flow, around = flows[op.inputs[0]], integers_of(graph.tensors[op.inputs[1]])
    if around is None:
        return "takes its whole input at once"
    before, after = around.reshape(-1, 2)[flow.axis]
    return Reach(flow, before=int(before), after=int(after))


def _reshape(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    flow = flows[op.inputs[0]]
    axis = _same_axis(graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape, flow.axis)
    return "mixes time with channels" if axis is None else Reach(replace(flow, axis=axis))


def _same_axis(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """The axis of another shape that holds the same values as `axis`; None where it is split or merged."""
    outer = math.prod(before[:axis])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == outer:
            return place
    return None


def _transpose(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    order = integers_of(graph.tensors[op.inputs[1]])
    if order is None:
        return "takes its whole input at once"
    flow = flows[op.inputs[0]]
    return Reach(replace(flow, axis=order.tolist().index(flow.axis)))


def _fully_connected(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    """A row of outputs for each row of inputs."""
    if any(i in flows for i in op.inputs[1:]):
        return "takes weights that are computed"
    flow, x, y = flows[op.inputs[0]], graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if flow.axis == len(x.shape) - 1 or x.shape[-1] != graph.tensors[op.inputs[1]].shape[-1]:
        return "connects all frames"
    axis = _same_axis(x.shape, y.shape, flow.axis)
    return "connects all frames" if axis is None or axis == len(y.shape) - 1 else Reach(replace(flow, axis=axis))


def _reducing(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    flow, x, axes = flows[op.inputs[0]], graph.tensors[op.inputs[0]], integers_of(graph.tensors[op.inputs[1]])
    if axes is None:
        return "takes its whole input at once"
    over = {int(axis) % len(x.shape) for axis in axes.reshape(-1)}
    if flow.axis in over:
        return "sums over time"
    gone = 0 if op.options.get("keepDims") else sum(axis < flow.axis for axis in over)
    return Reach(replace(flow, axis=flow.axis - gone))


def _lstm(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    return "begins each window with a state of zeros, which a hop in the middle of it does not have"


def _strided_slice(op: Op, graph: Graph, flows: Mapping[int, Flow]) -> Reach | str:
    flow, x, y = flows[op.inputs[0]], graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    cut = slice_of(op, graph, flow.axis)
    if cut is None or cut.step != 1:
        return "takes its whole input at once"
    if op.options.get("shrinkAxisMask", 0) >> flow.axis & 1:
        return "picks one frame"
    axis = flow.axis - bin(op.options.get("shrinkAxisMask", 0) & ((1 << flow.axis) - 1)).count("1")
    if y.shape[axis] != len(cut):
        return "takes its whole input at once"
    return Reach(Flow(axis, flow.stride), before=-cut.start, after=cut.stop - x.shape[flow.axis])


def slice_of(op: Op, graph: Graph, axis: int) -> range | None:
    """The positions along an axis that a STRIDED_SLICE takes; None where they are not constant."""
    begin, end, strides = (integers_of(graph.tensors[i]) for i in op.inputs[1:4])
    if (
        begin is None
        or end is None
        or strides is None
        or op.options.get("ellipsisMask")
        or op.options.get("newAxisMask")
    ):
        return None
    length = graph.tensors[op.inputs[0]].shape[axis]
    if axis >= len(begin):
        return range(length)
    step = int(strides[axis])
    if op.options.get("shrinkAxisMask", 0) >> axis & 1:
        start = int(begin[axis]) % length
        return range(start, start + 1)
    first = None if op.options.get("beginMask", 0) >> axis & 1 else int(begin[axis])
    last = None if op.options.get("endMask", 0) >> axis & 1 else int(end[axis])
    return range(length)[first:last:step]


def picked(op: Op, graph: Graph, axis: int) -> range | None:
    """The frames that a STRIDED_SLICE which ends a series of frames takes; None for any other operator."""
    cut = slice_of(op, graph, axis) if op.name == "STRIDED_SLICE" else None
    return cut if cut and cut.step > 0 else None


def integers_of(tensor: Tensor) -> np.ndarray | None:
    """The values of a constant; None for what is computed."""
    return None if tensor.data is None else np.frombuffer(tensor.data, tensor.dtype)


Rule = Callable[[Op, Graph, Mapping[int, Flow]], Reach | str]
RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(MERGING, _merging),
    **dict.fromkeys(WINDOWED, _windowed),
    **dict.fromkeys(RESHAPING, _reshape),
    **dict.fromkeys(REDUCING, _reducing),
    "SOFTMAX": _softmax,
    "CONCATENATION": _concatenation,
    "PAD": _pad,
    "TRANSPOSE": _transpose,
    "FULLY_CONNECTED": _fully_connected,
    "STRIDED_SLICE": _strided_slice,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
