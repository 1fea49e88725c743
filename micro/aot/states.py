"""What a model keeps from one inference to the next: tensors that operators change themselves, and variables."""

from __future__ import annotations

from dataclasses import dataclass

from micro.errors import ConversionError
from micro.tflite.graph import Graph, Op, Tensor

# Operators that keep values from one inference to the next, and which of their inputs hold them.
KEEPS_STATE = {"SVDF": (4,), "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19)}
# Of VAR_HANDLE, whose output stands for a variable.
HANDLE = "resource"


@dataclass(frozen=True)
class State:
    """Values of one type, what they start from, and the tensors that stand for them."""

    dtype: str
    size: int
    start: int
    tensors: tuple[int, ...]


def states_of(graph: Graph) -> tuple[State, ...]:
    """All states of a graph, those of operators first.

    Raises:
        ConversionError: For a variable that is never assigned, or read and assigned with other types or sizes.
    """
    kept = [(op, op.inputs[place]) for op in graph.ops if keeps_state(op, graph) for place in KEEPS_STATE[op.name]]
    if len({index for _, index in kept}) < len(kept):
        raise ConversionError("damaged .tflite: two operators keep their state in one tensor")
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensors[index].dtype == HANDLE:
            raise ConversionError(f"{graph.tensors[index].quoted} is a variable; static C takes and gives values")
    own = tuple(_own(op, graph.tensors[index]) for op, index in kept)
    return own + tuple(_variable(name, handles, graph) for name, handles in _variables(graph).items())


def keeps_state(op: Op, graph: Graph) -> bool:
    """Whether an operator goes on from its last inference; where the model sets its state before, it does not."""
    places = KEEPS_STATE.get(op.name, ())
    if not places:
        return False
    made = {index for other in graph.ops for index in other.outputs}
    return max(places) < len(op.inputs) and not any(op.inputs[place] in made for place in places)


def places_of(graph: Graph) -> dict[int, str]:
    """The C of where each state lies, by the tensors that stand for it."""
    return {i: f"state->values_{number}" for number, each in enumerate(states_of(graph)) for i in each.tensors}


def values_of(op: Op, graph: Graph) -> Tensor:
    """What a READ_VARIABLE gives, or an ASSIGN_VARIABLE takes."""
    return graph.tensors[op.outputs[0] if op.name == "READ_VARIABLE" else op.inputs[1]]


def stays_until_read(op: Op, graph: Graph) -> bool:
    """Whether all that takes the output of a READ_VARIABLE does so before its variable is assigned again."""
    made, handles = op.outputs[0], next((h for h in _variables(graph).values() if op.inputs[0] in h), ())
    later = [other for other in graph.ops if other.index > op.index]
    readers = [other for other in later if made in other.inputs]
    if made in graph.outputs or any(other.name in ("RESHAPE", "EXPAND_DIMS", "SQUEEZE") for other in readers):
        return False
    assigned = [other.index for other in later if other.name == "ASSIGN_VARIABLE" and other.inputs[0] in handles]
    return max((other.index for other in readers), default=-1) < min(assigned, default=len(graph.ops))


def _own(op: Op, tensor: Tensor) -> State:
    """The state of an operator. TFLite Micro fills 8-bit ones with their zero point; cells of an LSTM are two bytes each."""
    if op.name != "SVDF" and tensor.dtype == "int16":
        return State("int8", 2 * tensor.size, 0, (tensor.index,))
    start = tensor.quantization.zero_point[0] if tensor.quantization and tensor.dtype == "int8" else 0
    return State(tensor.dtype, tensor.size, start, (tensor.index,))


def _variables(graph: Graph) -> dict[tuple[str, str], tuple[int, ...]]:
    """The handles of each variable, by its container and name."""
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for op in graph.ops:
        if op.name == "VAR_HANDLE":
            name = str(op.options.get("container", "")), str(op.options.get("sharedName", ""))
            found[name] = (*found.get(name, ()), op.outputs[0])
    return found


def _variable(name: tuple[str, str], handles: tuple[int, ...], graph: Graph) -> State:
    used = [op for op in graph.ops if op.name in ("READ_VARIABLE", "ASSIGN_VARIABLE") and op.inputs[0] in handles]
    if not any(op.name == "ASSIGN_VARIABLE" for op in used):
        raise ConversionError(f"variable {name[1]!r} is never assigned")
    kinds = {(values_of(op, graph).dtype, values_of(op, graph).size) for op in used}
    if len(kinds) > 1:
        each = " and ".join(f"{size} values that are {dtype}" for dtype, size in sorted(kinds))
        raise ConversionError(f"variable {name[1]!r} is read and assigned as {each}")
    ((dtype, size),) = kinds
    # TFLite Micro fills 8-bit variables with the zero point of what is assigned first in the graph.
    given = next(values_of(op, graph) for op in used if op.name == "ASSIGN_VARIABLE")
    start = given.quantization.zero_point[0] if given.quantization and dtype == "int8" else 0
    return State(dtype, size, start, handles)
