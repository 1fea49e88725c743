"""Where the tensors of a model lie: in the arena, or in the input and output that the caller gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from micro.aot.arena import Life, plan
from micro.aot.calls import Lowered
from micro.tflite.cost import bytes_of
from micro.tflite.graph import Graph, Tensor


@dataclass(frozen=True)
class Memory:
    """The memory of a model.

    Attributes:
        places: A C expression for every input and computed tensor, by its index.
        scratch: Bytes of an arena of the tensors between input and output.
        shared: Bytes of an arena in which inputs and outputs lie, too.
        bound: Bytes that no placement of all of them goes below.
        inputs, outputs: Where each lies in the shared arena.
    """

    places: dict[int, str]
    scratch: int
    shared: int
    bound: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def memory_of(graph: Graph, lowered: Sequence[Lowered]) -> Memory:
    """Places for all tensors of a graph whose operators became these calls."""
    end = len(graph.ops)
    root = _roots(graph, lowered)
    first = dict.fromkeys(graph.inputs, -1) | {
        root[i]: number for number, op in enumerate(graph.ops) for i in op.outputs if root[i] == i
    }
    last = dict(first)
    for number, op in enumerate(graph.ops):
        last |= {root[i]: number for i in op.inputs if i in root}
    last |= {root[i]: end for i in graph.outputs}
    places = {i: argument(graph.inputs, "input", number) for number, i in enumerate(graph.inputs)}
    for number, i in enumerate(graph.outputs):
        places.setdefault(root[i], argument(graph.outputs, "output", number))
    # A state that no call takes, as it starts from 0, needs no place.
    taken = _taken(lowered)
    roots = [i for i in first if i in places or i in taken or not graph.tensors[i].variable]
    lives = [Life(bytes_of(graph.tensors[i]), first[i], last[i]) for i in roots]
    number_of = {i: number for number, i in enumerate(roots)}
    outputs = []
    for number, i in enumerate(graph.outputs):
        copied = places[root[i]] != argument(graph.outputs, "output", number)
        outputs.append(len(lives) if copied else number_of[root[i]])
        if copied:
            lives.append(Life(graph.tensors[i].size, end, end))
    outer = {*range(len(graph.inputs)), *outputs}
    made = plan(lives, _overlaps(graph, lowered, root, last, number_of), outer)
    for i, offset in zip(roots, made.offsets):
        places.setdefault(i, f"arena + {offset}" if offset else "arena")
    return Memory(
        {i: places[of] for i, of in root.items() if of in places},
        made.inner,
        made.size,
        made.bound,
        made.offsets[: len(graph.inputs)],
        tuple(made.offsets[number] for number in outputs),
    )


def argument(indices: tuple[int, ...], side: str, number: int) -> str:
    """The name of an input or output as an argument: "input", or "input0" and so on where there are several."""
    return side if len(indices) == 1 else f"{side}{number}"


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
    tensors = (argument[0] if isinstance(argument, tuple) else argument for argument in arguments)
    return {tensor.index for tensor in tensors if isinstance(tensor, Tensor)}


def _overlaps(
    graph: Graph, lowered: Sequence[Lowered], root: dict[int, int], last: dict[int, int], number_of: dict[int, int]
) -> dict[tuple[int, int], int]:
    """For buffers of an operator's input and output that may lie over each other: by how much the output begins earlier."""
    overlaps = {}
    for number, (op, each) in enumerate(zip(graph.ops, lowered)):
        if each.alias or len(op.outputs) != 1:
            continue
        allowed: dict[int, list[int | None]] = {}
        for place, i in enumerate(op.inputs):
            if i in root:
                allowed.setdefault(root[i], []).append(each.overlap.get(place))
        for i, distances in allowed.items():
            known = [distance for distance in distances if distance is not None]
            if last[i] == number and len(known) == len(distances):
                overlaps[number_of[i], number_of[op.outputs[0]]] = max(known)
    return overlaps
