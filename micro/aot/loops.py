"""Steps that a graph repeats, such as those of a GRU, as one loop: a single copy of their calls, in the same RAM at every step.

A run of operators is a loop where each step has the same operators with the same constants, takes the same tensors from
outside, parts of them that lie equally far apart, and takes of the step before it the same tensors at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from micro.aot.calls import Argument, Call, Lowered, Several, Stepped, sized
from micro.aot.states import HANDLE
from micro.tflite.graph import Graph, Op, Tensor

# The fewest steps of a loop, and the fewest and the most operators of a step.
FEWEST_STEPS, FEWEST_OPERATORS, MOST_OPERATORS = 3, 2, 64
# Operators whose bounds may differ from step to step, and those that join what steps give.
SLICES, JOINS = ("STRIDED_SLICE", "SLICE"), ("PACK", "CONCATENATION")

Lower = Callable[[Op], Lowered]


@dataclass(frozen=True)
class Loop:
    """Operators from `first` on: `steps` times `period`.

    Attributes:
        carried: For each tensor that a step takes of the one before it: the number of the operator within the step that makes
            it, and the tensor in its place before the first step.
        outside: Tensors made before the loop that its steps take.
    """

    first: int
    period: int
    steps: int
    carried: tuple[tuple[int, int], ...]
    outside: tuple[int, ...]

    @property
    def past(self) -> int:
        return self.first + self.period * self.steps

    @property
    def last(self) -> int:
        """The first operator of the last step, whose operators stand for those of all steps."""
        return self.past - self.period


def with_loops(graph: Graph, lower: Lower) -> tuple[Graph, list[Lowered]]:
    """The graph with the operators of one step in place of those of all, and the calls of each operator.

    Around a step stand two operators without a name in the schema: one sets what the first step takes of the one before, and
    begins the loop; one keeps what the next step takes, and ends it. They, and copies of what steps give into the tensor that
    joins it, have no place in the graph as it was; the index of every other operator is its place there.
    """
    ops = [replace(op, index=number) for number, op in enumerate(graph.ops)]
    made, lowered, tensors, joined = list[Op](), list[Lowered](), list(graph.tensors), set[int]()
    number = 0
    repeats = _Repeats(graph)
    while number < len(ops):
        if number in joined:
            number += 1
            continue
        loop = repeats.loop_at(number)
        apart = loop is not None and not joined.intersection(range(loop.first, loop.past))
        built = _built(loop, graph, lower, tensors) if loop is not None and apart else None
        if loop is None or built is None:
            built = [(ops[number], lower(graph.ops[number]))], set()
        body, joins = built
        joined |= joins
        made += [op for op, _ in body]
        lowered += [each for _, each in body]
        number += len(range(loop.first, loop.past)) if loop is not None and len(body) > 1 else 1
    return replace(graph, tensors=tuple(tensors), ops=tuple(made)), lowered


def called_operators(graph: Graph, lowered: Sequence[Lowered]) -> tuple[tuple[int, int], ...]:
    """Of the result of `with_loops`: the index of each operator with a place in the graph as it was, and how often it runs."""
    found, times = [], 1
    for op, each in zip(graph.ops, lowered):
        if op.index >= 0:
            found.append((op.index, times))
        times = each.loop or (1 if each.ends_loop else times)
    return tuple(found)


class _Repeats:
    """Where operators of a graph repeat."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.ops = graph, graph.ops
        kinds: dict[object, int] = {}
        self.kinds = [kinds.setdefault(_kind(op, graph), len(kinds)) for op in graph.ops]
        self.maker = {i: number for number, op in enumerate(graph.ops) for i in op.outputs}
        self.readers: dict[int, list[int]] = {}
        for number, op in enumerate(graph.ops):
            for i in op.inputs:
                self.readers.setdefault(i, []).append(number)

    def loop_at(self, first: int) -> Loop | None:
        """The loop that begins with an operator; None where none does."""
        kinds = self.kinds
        for period in range(FEWEST_OPERATORS, min(MOST_OPERATORS, (len(kinds) - first) // FEWEST_STEPS) + 1):
            if kinds[first : first + period] != kinds[first + period : first + 2 * period]:
                continue
            count = period
            while first + count + period < len(kinds) and kinds[first + count] == kinds[first + count + period]:
                count += 1
            steps = count // period + 1
            found = self._wired(first, period, steps) if steps >= FEWEST_STEPS else None
            if found is not None:
                return found
        return None

    def _wired(self, first: int, period: int, steps: int) -> Loop | None:
        """The loop if all its steps are wired alike and nothing but a join takes what a step before the last one gives."""
        carried, outside = dict[int, int](), list[int]()
        for place in range(period):
            ops = self.ops[first + place : first + period * steps : period]
            if any(len(op.outputs) != 1 or self._keeps(op) for op in ops):
                return None
            for number in range(len(ops[0].inputs)):
                taken = [op.inputs[number] for op in ops]
                constant = all(i >= 0 and self.graph.tensors[i].data is not None for i in taken)
                if ops[0].name in SLICES and number > 0:
                    if not constant:
                        return None
                    continue
                if len(set(taken)) == 1 or (constant and len({self.graph.tensors[i].data for i in taken}) == 1):
                    if self._inside(taken[0], first, period * steps) is not None:
                        return None
                    outside += taken[:1] if taken[0] >= 0 else []
                    continue
                places = [self._inside(i, first, period * steps) for i in taken]
                here = [None if at is None else at - step * period for step, at in enumerate(places)]
                if here[0] is not None and 0 <= here[0] < place and len(set(here)) == 1:
                    continue
                before = here[1]
                own = before is not None and -period <= before < 0 and len(set(here[1:])) == 1
                if not own or before is None or places[0] is not None:
                    return None
                if carried.setdefault(before + period, taken[0]) != taken[0]:
                    return None
        return Loop(first, period, steps, tuple(carried.items()), tuple(dict.fromkeys(outside)))

    def _keeps(self, op: Op) -> bool:
        """Whether an operator has to do with what is kept between inferences."""
        tensors = (self.graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0)
        return any(tensor.variable or tensor.dtype == HANDLE for tensor in tensors)

    def _inside(self, tensor: int, first: int, count: int) -> int | None:
        """The operator among `count` from `first` on that makes a tensor, counted from there; None where none does."""
        maker = self.maker.get(tensor, -1) - first
        return maker if 0 <= maker < count else None


def _kind(op: Op, graph: Graph) -> object:
    """What operators at the same place of all steps have in common."""
    tensors = [graph.tensors[i] if i >= 0 else None for i in (*op.inputs, *op.outputs)]
    kinds = tuple(None if each is None else (each.dtype, each.shape, each.quantization) for each in tensors)
    options = tuple(sorted((name, str(value)) for name, value in op.options.items()))
    return op.name, options, kinds[: len(op.inputs)], kinds[len(op.inputs) :]


def _built(
    loop: Loop, graph: Graph, lower: Lower, tensors: list[Tensor]
) -> tuple[list[tuple[Op, Lowered]], set[int]] | None:
    """The operators of a loop with their calls, and those that join what it gives, which are no more; None where it is none.

    States are added to `tensors`.
    """
    joins = _joins(loop, graph, lower)
    slices = _slices(loop, graph, lower)
    if joins is None or slices is None:
        return None
    states: dict[int, tuple[Tensor, Tensor]] = {}
    for place, start in loop.carried:
        after = graph.tensors[graph.ops[loop.last + place].outputs[0]]
        states[place] = (
            replace(after, index=len(tensors) + len(states), name=f"{after.name}_before"),
            graph.tensors[start],
        )
    # In the last step, a state stands in the place of what the step before it made.
    before = {graph.ops[loop.last - loop.period + place].outputs[0]: state for place, (state, _) in states.items()}
    body: list[tuple[Op, Lowered]] = []
    for place in range(loop.period):
        number = loop.last + place
        op, each = graph.ops[number], slices.get(place) or lower(graph.ops[number])
        if each.alias and any(i in before for i in op.inputs):
            return None
        inputs = tuple(before[i].index if i in before else i for i in op.inputs)
        calls = tuple(_replaced(call, before) for call in each.calls)
        body.append((replace(op, index=number, inputs=inputs), replace(each, calls=calls, slide=None)))
        if place in joins:
            y, length = joins[place][1], graph.tensors[op.outputs[0]].size
            copy = _copy(graph.tensors[op.outputs[0]], Stepped(y, 0, length), length)
            body.append((Op(-1, "JOIN", op.outputs, ()), Lowered((copy,))))
    tensors += [state for state, _ in states.values()]
    whole = tuple(y.index for _, y in joins.values())
    made = tuple(state.index for state, _ in states.values())
    starts = Op(-1, "BEGIN", tuple(start.index for _, start in states.values()), (*made, *whole))
    kept = tuple(graph.ops[loop.last + place].outputs[0] for place in states)
    ends = Op(-1, "END", (*kept, *made, *whole, *loop.outside), ())
    first = Lowered(tuple(_copy(start, state, state.size) for state, start in states.values()), loop=loop.steps)
    last = Lowered(
        tuple(_copy(graph.tensors[i], state, state.size) for i, (state, _) in zip(kept, states.values())),
        ends_loop=True,
    )
    return [(starts, first), *body, (ends, last)], {number for number, _ in joins.values()}


def _joins(loop: Loop, graph: Graph, lower: Lower) -> dict[int, tuple[int, Tensor]] | None:
    """By the place in a step of what is joined: the operator that joins it over all steps, and its output.

    None where something else outside the loop takes what a step before the last one gives.
    """
    found: dict[int, tuple[int, Tensor]] = {}
    made = {graph.ops[number].outputs[0]: number - loop.first for number in range(loop.first, loop.past)}
    early = {i for i, number in made.items() if number < loop.last - loop.first}
    if early & {*graph.outputs}:
        return None
    for number, op in enumerate(graph.ops):
        if loop.first <= number < loop.past or not early.intersection(op.inputs):
            continue
        place = made.get(op.inputs[0], loop.period)
        if place >= loop.period:
            return None
        steps = [graph.ops[loop.first + place + step * loop.period].outputs[0] for step in range(loop.steps)]
        if op.name not in JOINS or list(op.inputs) != steps or place in found:
            return None
        size = graph.tensors[op.inputs[0]].size
        calls = lower(op).calls
        # One after the other, as they are copied in a loop.
        whole = all(call.arguments[2] == 1 and call.arguments[3] == size for call in calls)
        if not whole or len(calls) != loop.steps:
            return None
        found[place] = number, graph.tensors[op.outputs[0]]
    return found


def _slices(loop: Loop, graph: Graph, lower: Lower) -> dict[int, Lowered] | None:
    """By the place in a step: calls that take a part of a tensor, which moves on from step to step; None where it does not."""
    found: dict[int, Lowered] = {}
    for place in range(loop.period):
        ops = graph.ops[loop.first + place : loop.past : loop.period]
        if ops[0].name not in SLICES:
            continue
        parts = [_part(lower(op)) for op in ops]
        starts = [start for _, start, _ in parts]
        steps = {after - before for before, after in pairwise(starts)}
        if len({rest for _, _, rest in parts}) > 1 or len(steps) > 1:
            return None
        each = lower(ops[-1])
        call, (tensor, _, _) = each.calls[0], parts[-1]
        first = Stepped(tensor, starts[0], steps.pop()) if starts[0] != starts[-1] else (tensor, starts[0])
        found[place] = replace(each, calls=(replace(call, arguments=(first, *call.arguments[1:])),))
    return found


def _part(lowered: Lowered) -> tuple[Tensor, int, str]:
    """Of the one call of a slice: the tensor, from where on it is taken, and the other arguments but the output, as text."""
    call = lowered.calls[0]
    first = call.arguments[0]
    assert isinstance(first, tuple)
    return *first, f"{call.kernel} {list(call.arguments[2:])}"


def _replaced(call: Call, before: dict[int, Tensor]) -> Call:
    """The call with states in place of what the step before made."""

    def other(argument: Argument) -> Argument:
        if isinstance(argument, Tensor):
            return before.get(argument.index, argument)
        if isinstance(argument, tuple):
            return before.get(argument[0].index, argument[0]), argument[1]
        if isinstance(argument, Stepped):
            return replace(argument, tensor=before.get(argument.tensor.index, argument.tensor))
        if isinstance(argument, Several):
            return Several(tuple(before.get(part.index, part) for part in argument.parts))
        return argument

    mve = None if call.mve is None else _replaced(call.mve, before)
    return replace(call, arguments=tuple(map(other, call.arguments)), mve=mve)


def _copy(x: Tensor, y: Argument, size: int) -> Call:
    return Call(sized("copy_rows", x), (x, y, 1, size, 0))
