"""Static C of a .tflite: one C file and its header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from micro.aot.argument_text import Constants, argument_text
from micro.aot.block import Block, Weights, checked_storage, held, struct_context
from micro.aot.calls import Argument, Lowered, sized
from micro.aot.decode import unpacked
from micro.aot.loops import called_operators
from micro.aot.lower import lowered_graph
from micro.aot.memory import BYTES, C_TYPES, Memory, argument, memory_of
from micro.aot.run_text import moves_rows, run_lines
from micro.aot.stack import Cores, measured_on, stack_bytes
from micro.aot.states import State, states_of
from micro.aot.validate import require_valid
from micro.aot.variants import IF_MVE, Text, Variant, call_lines, called, kernels_of
from micro.aot.weight_layout import Storage
from micro.aot.weights_format import record_context
from micro.emission.c_array import write_sources
from micro.emission.c_text import comment_text, float_text, render
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, Tensor, TfliteLike, content_of, read

FOLDER = "aot/templates"


def generate(
    tflite: TfliteLike,
    directory: str | Path,
    name: str,
    *,
    storage: Storage = "auto",
    weights: Weights = "constant",
) -> tuple[Path, ...]:
    """Write NAME.h and NAME.c: the model as C99, run by `void NAME_invoke(const int8_t *input, int8_t *output)`.

    Further inputs and outputs are further arguments. Results equal those of TFLite Micro's reference kernels, bit for bit. The
    C uses no heap, no recursion and no floating point; tensors lie in a static array, and only the kernels that the model
    uses are in the file. The same model gives the same bytes. Macros that the header names put input and output into that
    array too, or let the caller give it.

    Args:
        tflite: A model of integers: bytes, a path, or what `convert` returns.
        directory: Created if it does not exist.
        name: Prefix of files, symbols and macros; see `micro.support.c_names.identifier`.
        storage: How weights lie in flash. 'dense': as they are. 'auto': without their zeros where that is smaller and takes no
            more instructions, from a sparsity of about 81 % on; a packed model as 'small'. 'small': the smallest of dense,
            without zeros, and 4 bits a weight where a layer's weights have at most 16 values. Weights are decoded while they
            are multiplied, and take no RAM.
        weights: Where all numbers of the model are, which are its weights, multipliers, zero points, limits and tables.
            'constant': in the C, where compilers fold them. 'exchangeable': in one block that the C reaches by a pointer, so
            that a device takes another model of the same layers as bytes (`weights_record`), by NAME_weights.h and its C file,
            which are written too. That takes more flash and time, weights are stored dense, and cores with the vector extension
            MVE compute as others do.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For a name that cannot be a prefix, an unknown storage, or one that exchangeable weights do not have.
        ModelError: For a damaged model.
        ConversionError: Names an operator that static C does not have, or not in this form, or whose numbers a block does not
            hold.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> sorted(path.name for path in micro.aot.generate(tflite, "out", "bearing"))
        ['bearing.c', 'bearing.h']
    """
    return write_sources(directory, static_files(tflite, name, storage, weights=weights))


def weights_of(tflite: TfliteLike) -> Block:
    """The block of a model's numbers that C with exchangeable weights takes, of this model and of others of its layers.

    Args:
        tflite: A model of int8 operators: bytes, a path, or what `convert` returns.

    Raises:
        MicroError: As `generate`.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> len(micro.aot.weights_of(tflite).to_bytes()) % 4
        0
    """
    block = _laid_out(tflite, "auto", weights="exchangeable")["made"]
    assert isinstance(block, Block)
    return block


@dataclass(frozen=True)
class StaticSize:
    """Bytes of a model as static C.

    Attributes:
        constants: Constant arrays, in flash. The kernels' code comes on top, 0.3 to 6 KiB. On cores with MVE (Cortex-M55, M85)
            layers without a bias take 4 bytes more for each of their outputs, and depthwise layers of 3x3 twelve bytes a
            channel where others take nine.
        arena: RAM for tensors between input and output, beside the buffers that `NAME_invoke` is given.
        shared: RAM for all tensors where input and output lie in the arena, as `NAME_run` has them.
        bound: Bytes that `shared` could not go below with any other placement, operators computed together as they are.
        state: RAM for what is kept from one inference to the next.
        called: The operators that the code has calls of, by their places in the graph without DECODE, and how often each is
            computed: of steps that the graph repeats, those of the last one stand for all.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> size = micro.aot.static_size(tflite)
        >>> size.constants, size.arena, size.shared, size.bound
        (29, 0, 12, 12)
    """

    constants: int
    arena: int
    shared: int
    bound: int
    state: int = 0
    called: tuple[tuple[int, int], ...] = field(default=(), repr=False)


def static_size(tflite: TfliteLike, storage: Storage = "auto", weights: Weights = "constant") -> StaticSize:
    """Flash and RAM that a model would take as static C, without writing it.

    Args:
        tflite, storage, weights: As for `generate`.

    Raises:
        MicroError: As `generate`.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.aot.static_size(tflite).arena
        0
    """
    laid = _laid_out(tflite, storage, weights=weights)
    widths = {name: np.dtype(kind).itemsize for kind, name in C_TYPES.items()}
    arrays, memory = laid["arrays"]["any"] + laid["arrays"]["plain"], laid["memory"]
    constants = sum(widths[array.type] * array.count for array in arrays)
    constants += laid["block"]["size"] if laid["block"] else 0
    return StaticSize(constants, memory.scratch, memory.shared, memory.bound, laid["state"], laid["called"])


def static_files(
    tflite: TfliteLike,
    name: str,
    storage: Storage = "auto",
    marks: str = "",
    weights: Weights = "constant",
    *,
    with_detector: bool = False,
) -> dict[str, bytes]:
    """Contents of the files by name; raises as `generate`.

    `marks` names a header with `operator_done(number)`, which is called after each operator, or after each row where several
    are computed row by row; none where it is empty. With `with_detector` records of weights have what NAME_record.h takes.
    """
    context: dict[str, Any] = {
        **CNames(name).context("static"),
        **_laid_out(tflite, storage, bool(marks), weights),
        "marks": marks,
    }
    files = {f"{name}.h": "static.h.j2", f"{name}.c": "static.c.j2"}
    made = {file: render(template, context, FOLDER).encode() for file, template in files.items()}
    if weights == "exchangeable":
        more = {**record_context(), **context["block"], "with_detector": with_detector}
        context |= {**more, "weights_guard": CNames(name).guard("weights")}
        made |= {f"{name}_weights.{end}": render(f"weights.{end}.j2", context).encode() for end in "hc"}
    return made


def _laid_out(
    tflite: TfliteLike, storage: Storage, marked: bool = False, weights: Weights = "constant"
) -> dict[str, Any]:
    """What the templates need to know of a model; does not depend on its name."""
    storage = checked_storage(storage, weights)
    content = content_of(tflite)
    packed = read(content)
    graph = unpacked(packed)
    require_valid(graph)
    if storage == "auto" and graph is not packed:
        storage = "small"
    states = states_of(graph)
    graph, lowered = lowered_graph(graph, storage)
    memory = memory_of(graph, lowered)
    starts, made = [str(each.start) for each in states], None
    if weights == "exchangeable":
        lowered, starts, made = held(graph, lowered, states, bytes.fromhex(sha256(content)))
    places = memory.places
    constants = Constants()

    def text(argument: Argument, variant: Variant) -> str:
        return argument_text(argument, variant, places, constants)

    copies = _copied_outputs(graph, places)
    body = _calls(graph, lowered, memory, text, marked) + copies
    calls = [call for each in lowered for call in each.calls]
    further = [line.split("(")[0] for line in copies]
    further += ["move_down"] * any(moves_rows(graph, lowered, run) for run in memory.runs)
    names = [
        "arena",
        *(["weights"] if made else []),
        *(argument(graph.inputs, "input", number) for number in range(len(graph.inputs))),
    ]
    # Compilers warn about an unused argument.
    body = [f"(void){name};" for name in names if not re.search(rf"\b{name}\b", " ".join(body))] + body
    return {
        "digest": sha256(content),
        "called": called_operators(graph, lowered),
        "memory": memory,
        "wide": any(BYTES.get(tensor.dtype, 1) > 1 for tensor in _computed(graph)),
        "made": made,
        "block": struct_context(made) if made else None,
        "states": [
            {"type": C_TYPES[each.dtype], "count": each.size, "start": start} for each, start in zip(states, starts)
        ],
        "starts": any(each.start for each in states) or bool(states and made),
        "state": _bytes_of_struct(states),
        "inputs": _sides(graph, graph.inputs, "input", memory.inputs),
        "outputs": _sides(graph, graph.outputs, "output", memory.outputs),
        "if_mve": IF_MVE,
        "kernels": kernels_of(calls, further),
        "stack": {
            cores: stack_bytes(tuple(sorted({*further, *called(calls, cores == "mve")})), cores)
            for cores in get_args(Cores)
        },
        **measured_on(),
        "arrays": {variant: constants.of(variant) for variant in get_args(Variant)},
        "body": body,
    }


def _calls(graph: Graph, lowered: list[Lowered], memory: Memory, text: Text, marked: bool) -> list[str]:
    """The lines that compute all operators, one after the other or in runs; `text` is the C of an argument."""
    lines: list[str] = []
    runs = {run.first: run for run in memory.runs}
    number = depth = 0
    while number < len(lowered):
        if number in runs:
            lines += run_lines(graph, lowered, runs[number], memory.places, text, marked)
            number = runs[number].past
            continue
        each, own, inner = lowered[number], "  " * depth, graph.ops[number].index
        made = [line for call in each.calls for line in call_lines(call, text)]
        lines += [line if line.startswith("#") else f"{own}{line}" for line in made]
        lines += [f"{own}operator_done({inner});"] * (marked and inner >= 0)
        if each.loop:
            lines.append(f"for (int32_t step = 0; step < {each.loop}; ++step) {{")
        if each.ends_loop:
            lines.append("}")
        depth += (each.loop > 0) - each.ends_loop
        number += 1
    return lines


def _bytes_of_struct(states: Sequence[State]) -> int:
    """Bytes of a C struct with these arrays, each at a multiple of its type's size, as the struct itself."""
    size = 0
    for each in states:
        width = BYTES[each.dtype]
        size = -(-size // width) * width + width * each.size
    widest = max((BYTES[each.dtype] for each in states), default=1)
    return -(-size // widest) * widest


def _computed(graph: Graph) -> list[Tensor]:
    """Tensors that lie in the arena, or may do so."""
    made = [graph.tensors[i] for op in graph.ops for i in op.outputs]
    return [tensor for tensor in (*made, *(graph.tensors[i] for i in graph.inputs)) if not tensor.variable]


def _copied_outputs(graph: Graph, places: dict[int, str]) -> list[str]:
    """Copies to outputs whose values are elsewhere: an input in another shape, or one tensor that is two outputs."""
    lines = []
    for number, i in enumerate(graph.outputs):
        wanted = argument(graph.outputs, "output", number)
        if places[i] != wanted:
            kernel = sized("copy_rows", graph.tensors[i])
            lines.append(f"{kernel}({places[i]}, {wanted}, 1, {graph.tensors[i].size}, 0);")
    return lines


def _sides(graph: Graph, indices: tuple[int, ...], side: str, offsets: tuple[int, ...]) -> list[dict[str, Any]]:
    """What the templates need to know of each input or output. Integers without a scale and booleans have no unit."""
    made = []
    for number, i in enumerate(indices):
        tensor = graph.tensors[i]
        unit = tensor.quantization if tensor.dtype in ("int8", "int16") else None
        made.append({
            "argument": argument(indices, side, number),
            "type": C_TYPES[tensor.dtype],
            "named": f" ({comment_text(tensor.name)})" if len(indices) > 1 else "",
            "kind": "bool, 0 or 1" if tensor.dtype == "bool" else tensor.dtype,
            "shape": tensor.shape,
            "size": tensor.size,
            "scale": float_text(unit.scale[0]) if unit else None,
            "zero_point": unit.zero_point[0] if unit else 0,
            "place": offsets[number],
        })  # fmt: skip
    return made
