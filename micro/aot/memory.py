"""Where the tensors of a model lie: in the arena, or in the input and output that the caller gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from micro.aot.arena import Life, Plan, loads, plan
from micro.aot.calls import KINDS, Lowered, Stepped
from micro.aot.rows import Run, kept_rows, links_of, row_bytes, run_distance, runs_through
from micro.aot.states import places_of
from micro.tflite.cost import WIDTHS, bytes_of
from micro.tflite.graph import Graph, Tensor

# C's types of tensors, and of constants. Truth values are bytes of 0 or 1.
C_TYPES = {**{kind: f"{kind}_t" for kind in ("int8", "uint8", "int16", "uint16", "int32")}, "bool": "int8_t"}
# Types that tensors may have, and how many bytes a value has.
BYTES = {kind: WIDTHS[kind] for kind in KINDS}
# Operators in one run, and how often a run is looked for: more take longer and save little.
LONGEST_RUN, ROUNDS = 4, 6
# Rows of room that are tried for a run's windows where the arena has it, the most first.
SPARES = (6, 3, 2)
# Runs move rows that are taken again, so they must save at least this fraction of the arena.
WORTHWHILE = 0.03


@dataclass(frozen=True)
class Memory:
    """The memory of a model.

    Attributes:
        places: A C expression for every input and computed tensor, by its index.
        scratch: Bytes of an arena of the tensors between input and output.
        shared: Bytes of an arena in which inputs and outputs lie, too.
        bound: Bytes that no placement of all of them goes below.
        inputs, outputs: Where each lies in the shared arena.
        runs: Operators that are computed together, row by row.
    """

    places: dict[int, str]
    scratch: int
    shared: int
    bound: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    runs: tuple[Run, ...]


def memory_of(graph: Graph, lowered: Sequence[Lowered]) -> Memory:
    """Places for all tensors of a graph whose operators became these calls."""
    buffers = _buffers(graph, lowered, ())
    made = _planned(buffers)
    for runs in (_saving_runs(graph, lowered), _runs_without_copies(graph, lowered, made)):
        if runs:
            other = _buffers(graph, lowered, runs)
            planned = _planned(other)
            if planned.size <= (1 - WORTHWHILE) * made.size and planned.inner <= made.inner:
                buffers, made = other, planned
    buffers, made = _with_room(graph, lowered, buffers, made)
    places = dict(buffers.places)
    for i, offset in zip(buffers.tensors, made.offsets):
        places.setdefault(i, place_of(graph.tensors[i], offset))
    return Memory(
        places_of(graph) | {i: places[of] for i, of in buffers.root.items() if of in places},
        made.inner,
        made.size,
        made.bound,
        made.offsets[: len(graph.inputs)],
        tuple(made.offsets[number] for number in buffers.outputs),
        buffers.runs,
    )


def place_of(tensor: Tensor, offset: int) -> str:
    """The C of where a tensor lies in the arena, which is one of bytes."""
    place = f"arena + {offset}" if offset else "arena"
    if BYTES[tensor.dtype] == 1 or tensor.variable:
        return place
    return f"({C_TYPES[tensor.dtype]} *)(void *)({place})"


def argument(indices: tuple[int, ...], side: str, number: int) -> str:
    """The name of an input or output as an argument: "input", or "input0" and so on where there are several."""
    return side if len(indices) == 1 else f"{side}{number}"


@dataclass(frozen=True)
class _Buffers:
    """What is to be placed. `tensors` are those of the first buffers, in order; copies of outputs follow."""

    runs: tuple[Run, ...]
    root: dict[int, int]
    tensors: list[int]
    lives: list[Life]
    overlaps: dict[tuple[int, int], int]
    places: dict[int, str]
    outputs: list[int]
    inputs: int


def _planned(buffers: _Buffers) -> Plan:
    return plan(buffers.lives, buffers.overlaps, {*range(buffers.inputs), *buffers.outputs})


def _moments(graph: Graph, runs: Sequence[Run]) -> list[int]:
    """When each operator is computed, by its number; those of a run at the same time."""
    moments = list(range(len(graph.ops)))
    for run in runs:
        moments[run.first : run.past] = [run.first] * (run.past - run.first)
    return moments


def _buffers(graph: Graph, lowered: Sequence[Lowered], runs: Sequence[Run]) -> _Buffers:
    end, moments, root = len(graph.ops), _moments(graph, runs), _roots(graph, lowered)
    first = dict.fromkeys(graph.inputs, -1) | {
        root[i]: moments[number] for number, op in enumerate(graph.ops) for i in op.outputs if root[i] == i
    }
    last = dict(first)
    for number, op in enumerate(graph.ops):
        last |= {root[i]: moments[number] for i in op.inputs if i in root}
    last |= {root[i]: end for i in graph.outputs}
    wide = {kind: [i for i in first if graph.tensors[i].dtype == kind] for kind in ("int16", "int32")}
    if all(wide.values()):
        # C lets no place hold values of both types, one after the other.
        first |= dict.fromkeys(wide["int32"], -1)
        last |= dict.fromkeys(wide["int32"], end)
    states = places_of(graph)
    places = {i: argument(graph.inputs, "input", number) for number, i in enumerate(graph.inputs)} | states
    for number, i in enumerate(graph.outputs):
        places.setdefault(root[i], argument(graph.outputs, "output", number))
    # A state that no call takes, as it starts from 0, needs no place.
    taken = _taken(lowered)
    first = {
        i: at
        for i, at in first.items()
        if i not in states and (i in places or i in taken or not graph.tensors[i].variable)
    }
    size = {i: bytes_of(graph.tensors[i]) for i in first}
    size |= {op.outputs[0]: each.kept for op, each in zip(graph.ops, lowered) if each.kept is not None}
    for run in runs:
        for number in range(run.first, run.past - 1):
            made = graph.ops[number].outputs[0]
            size[made] = kept_rows(graph, lowered, run, number) * row_bytes(graph.tensors[made])
    lives = [Life(size[i], first[i], last[i]) for i in first]
    number_of = {i: number for number, i in enumerate(first)}
    outputs = []
    for number, i in enumerate(graph.outputs):
        copied = places[root[i]] != argument(graph.outputs, "output", number)
        outputs.append(len(lives) if copied else number_of[root[i]])
        if copied:
            lives.append(Life(bytes_of(graph.tensors[i]), -1 if all(wide.values()) else end, end))
    pairs = {
        (x, y): d
        for (x, y), d in _overlaps(graph, lowered, runs, root).items()
        if last[x] == first.get(y) and x in first
    }
    overlaps = {(number_of[x], number_of[y]): distance for (x, y), distance in pairs.items()}
    return _Buffers(tuple(runs), root, list(first), lives, overlaps, places, outputs, len(graph.inputs))


def _roots(graph: Graph, lowered: Sequence[Lowered]) -> dict[int, int]:
    """For each input and computed tensor the one in whose place it lies: itself, or what it is another shape of."""
    root = {i: i for i in graph.inputs}
    for op, each in zip(graph.ops, lowered):
        alias = each.alias and op.inputs[0] in root
        root |= {i: root[op.inputs[0]] if alias else i for i in op.outputs if i >= 0}
    return root


def _taken(lowered: Sequence[Lowered]) -> set[int]:
    """The tensors that calls take."""
    arguments = [argument for each in lowered for call in each.calls for argument in call.arguments]
    tensors = (
        argument[0] if isinstance(argument, tuple) else argument.tensor if isinstance(argument, Stepped) else argument
        for argument in arguments
    )
    return {tensor.index for tensor in tensors if isinstance(tensor, Tensor)}


def _overlaps(
    graph: Graph, lowered: Sequence[Lowered], runs: Sequence[Run], root: dict[int, int]
) -> dict[tuple[int, int], int]:
    """For tensors that operators and runs take and make: by how much the one made must begin earlier to lie over the other."""
    overlaps = {}
    inside = {number for run in runs for number in range(run.first, run.past)}
    for number, (op, each) in enumerate(zip(graph.ops, lowered)):
        if each.alias or len(op.outputs) != 1 or number in inside:
            continue
        allowed: dict[int, list[int | None]] = {}
        for place, i in enumerate(op.inputs):
            if i in root:
                allowed.setdefault(root[i], []).append(each.overlap.get(place))
        for i, distances in allowed.items():
            known = [distance for distance in distances if distance is not None]
            if len(known) == len(distances):
                overlaps[i, op.outputs[0]] = max(known)
    for run in runs:
        ops = graph.ops[run.first : run.past]
        made, y = {i for op in ops for i in op.outputs}, ops[-1].outputs[0]
        for i in {i for op in ops for i in op.inputs if i in root} - made:
            distance = run_distance(graph, lowered, run, i)
            overlaps[root[i], y] = max(distance, overlaps.get((root[i], y), 0))
    return overlaps


def _saving_runs(graph: Graph, lowered: Sequence[Lowered]) -> list[Run]:
    """Runs around the operators that need the most RAM, one after another, as long as each takes less for it."""
    runs, links = list[Run](), links_of(graph, lowered)

    def needed(tried: Sequence[Run]) -> tuple[list[int], int]:
        """The loads at all times, the largest first, and when the largest is."""
        buffers = _buffers(graph, lowered, tried)
        found = loads(buffers.lives, buffers.overlaps)
        return sorted(found.values(), reverse=True), max(found, key=lambda now: (found[now], -now), default=-1)

    best, peak = needed(runs)
    for _ in range(ROUNDS):
        moments = _moments(graph, runs)
        busy = [number for number, moment in enumerate(moments) if moment == peak]
        tried = []
        for run in {run for number in busy for run in runs_through(links, number, LONGEST_RUN)} - set(runs):
            apart = [other for other in runs if other.past <= run.first or run.past <= other.first]
            tried.append(sorted([*apart, run], key=lambda each: each.first))
        rated = sorted(((*needed(each), each) for each in tried), key=lambda one: (one[0], len(one[2]), str(one[2])))
        if not rated or rated[0][0] >= best:
            break
        best, peak, runs = rated[0]
    for run in list(runs):
        fewer = [other for other in runs if other != run]
        if needed(fewer)[0][:1] <= best[:1]:
            runs = fewer
    return runs


def _with_room(graph: Graph, lowered: Sequence[Lowered], buffers: _Buffers, made: Plan) -> tuple[_Buffers, Plan]:
    """The same runs with as much room in their windows as the arena has anyway, so that fewer rows are moved."""
    for number in range(len(buffers.runs)):
        for spare in SPARES:
            runs = list(buffers.runs)
            runs[number] = replace(runs[number], spare=spare)
            other = _buffers(graph, lowered, runs)
            if max(loads(other.lives, other.overlaps).values()) > made.size:
                continue
            planned = _planned(other)
            if planned.size <= made.size and planned.inner <= made.inner:
                buffers, made = other, planned
                break
    return buffers, made


def _runs_without_copies(graph: Graph, lowered: Sequence[Lowered], made: Plan) -> list[Run]:
    """Pairs of operators of which the second takes each row once: nothing is moved. None where placement is near its bound."""
    runs, links = list[Run](), links_of(graph, lowered)
    if made.size <= (1 + WORTHWHILE) * made.bound:
        return runs
    for number in range(1, len(graph.ops)):
        pair = Run(number - 1, number + 1)
        apart = not runs or runs[-1].past <= pair.first
        if apart and links[number] and kept_rows(graph, lowered, pair, number - 1) == 1:
            runs.append(pair)
    return runs
