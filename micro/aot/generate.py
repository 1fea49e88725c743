"""From a .tflite to one C file and its header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import numpy as np

from micro.aot.arena import Life, plan
from micro.aot.calls import Argument, Constant, Step, refusal
from micro.aot.decode import unpacked
from micro.aot.operators import OPERATORS, STORED
from micro.aot.validate import require_sound
from micro.aot.weight_layout import Storage
from micro.emission.c_array import c_array, float_text, render, write_sources
from micro.errors import ConversionError
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, Op, Tensor, TfliteLike, content_of, read

# What kernels call in turn.
NEEDS = {
    "scaled": ("high_product", "divide_by_power"),
    "rescaled": ("scaled", "clamped"),
    "dot_4": ("lanes",),
    "dot_1": ("lanes",),
    "channels_of_4": ("lanes",),
    "fully_connected": ("dot_4", "dot_1", "rescaled"),
    "conv_2d": ("dot_4", "dot_1", "edge_4", "inside", "rescaled"),
    "conv_2d_sparse": ("inside", "rescaled"),
    "conv_2d_shared": ("inside", "rescaled"),
    "depthwise_conv_2d": ("channels_of_4", "inside", "rescaled"),
    "sum_of": ("high_product", "divide_by_power", "clamped"),
    "add": ("sum_of",),
    "mul": ("scaled", "clamped"),
    "mean": ("scaled", "clamped"),
    "average_pool_2d": ("clamped", "inside"),
    "max_pool_2d": ("clamped", "inside"),
    "softmax": ("high_product", "divide_by_power", "clamped"),
}
FOLDER = "aot/templates"
C_TYPES = {kind: f"{kind}_t" for kind in ("int8", "uint8", "int16", "uint16", "int32")}


def generate(tflite: TfliteLike, directory: str | Path, name: str, *, storage: Storage = "auto") -> tuple[Path, ...]:
    """Write NAME.h and NAME.c: `void NAME_invoke(const int8_t *input, int8_t *output)`, no heap, recursion or floating point.

    Further inputs and outputs are further arguments. Results are those of TFLite Micro's reference kernels, bit for bit. The
    arena is a static array; only kernels that the model uses are in the file. The same model gives the same bytes.

    Args:
        tflite: An int8 model, as `convert` makes them or another's.
        name: Identifier of C, prefix of files and symbols.
        storage: How kernels lie in flash: 'dense'; 'auto', without their zeros where that is smaller and takes no more
            instructions, from about 78 % of them on, and a packed model's kernels as small as can be; 'small', each as small as
            can be: dense, without its zeros, or 4 bits a weight where it has at most 16 values. Kernels are decoded where
            they are multiplied, and take no RAM.

    Returns: the paths written; earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For a name that is no identifier.
        ModelError: For a damaged model.
        ConversionError: Names the operator that static C does not have, or not in this form.
    """
    return write_sources(directory, static_files(tflite, name, storage))


@dataclass(frozen=True)
class StaticSize:
    """Bytes of a model as static C: constant arrays in flash, and the arena. The kernels' code comes on top, 0.3 to 3 KiB."""

    constants: int
    arena: int


def static_size(tflite: TfliteLike, storage: Storage = "auto") -> StaticSize:
    """What a model would take as static C; raises as `generate`."""
    laid = _laid_out(tflite, storage)
    widths = {name: np.dtype(kind).itemsize for kind, name in C_TYPES.items()}
    return StaticSize(sum(widths[array["type"]] * array["count"] for array in laid["arrays"]), laid["arena"])


def static_files(tflite: TfliteLike, name: str, storage: Storage = "auto") -> dict[str, bytes]:
    """The two files' contents by name; raises as `generate`."""
    context: dict[str, Any] = {**CNames(name).context("static"), **_laid_out(tflite, storage)}
    files = {f"{name}.h": "static.h.j2", f"{name}.c": "static.c.j2"}
    return {file: render(template, context, FOLDER).encode() for file, template in files.items()}


def _laid_out(tflite: TfliteLike, storage: Storage) -> dict[str, Any]:
    """What the templates need of a model, whatever its name."""
    if storage not in get_args(Storage):
        raise ValueError(f"storage must be one of {', '.join(get_args(Storage))}, got {storage!r}")
    content = content_of(tflite)
    packed = read(content)
    graph = unpacked(packed)
    require_sound(graph)
    if storage == "auto" and graph is not packed:
        storage = "small"
    steps = [_step(op, graph, storage) for op in graph.ops]
    places, arena = _places(graph, steps)
    constants: dict[tuple[str, bytes], str] = {}
    arrays: list[dict[str, Any]] = []

    def text(argument: Argument) -> str:
        if isinstance(argument, tuple):
            return f"{places[argument[0].index]} + {argument[1]}" if argument[1] else places[argument[0].index]
        if isinstance(argument, Tensor):
            return places[argument.index]
        if isinstance(argument, Constant):
            return _constant(argument, constants, arrays)
        return str(argument)

    body = [f"{call.kernel}({', '.join(map(text, call.arguments))});" for step in steps for call in step.calls]
    copies = _copied_outputs(graph, places)
    body += copies
    names = [_argument(graph.inputs, "input", number) for number in range(len(graph.inputs))]
    # An input that nothing takes would be a warning.
    body = [f"(void){name};" for name in names if not re.search(rf"\b{name}\b", " ".join(body))] + body
    return {
        "digest": sha256(content),
        "arena": arena,
        "inputs": [_side(graph.tensors[i], "input", n, len(graph.inputs)) for n, i in enumerate(graph.inputs)],
        "outputs": [_side(graph.tensors[i], "output", n, len(graph.outputs)) for n, i in enumerate(graph.outputs)],
        "kernels": _kernels(steps, bool(copies)),
        "arrays": arrays,
        "body": body,
    }


def _step(op: Op, graph: Graph, storage: Storage) -> Step:
    try:
        return STORED[op.name](op, graph, storage) if op.name in STORED else OPERATORS[op.name](op, graph)
    except (LookupError, ArithmeticError, ValueError, TypeError) as error:
        # What the checks leave: options that are missing, numbers that no kernel's arithmetic takes.
        raise refusal(op, graph, f"has options or numbers that make no sense: {error}") from None


def _places(graph: Graph, steps: list[Step]) -> tuple[dict[int, str], int]:
    """A C expression for every tensor that is given or computed, and the arena's size."""
    root: dict[int, int] = {i: i for i in graph.inputs}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, (op, step) in enumerate(zip(graph.ops, steps)):
        for i in op.inputs:
            if i in root:
                last[root[i]] = number
        made = op.outputs[0]
        root[made] = root[op.inputs[0]] if step.alias and op.inputs[0] in root else made
        if root[made] == made:
            first[made] = last[made] = number
    places = {i: _argument(graph.inputs, "input", number) for number, i in enumerate(graph.inputs)}
    for number, i in enumerate(graph.outputs):
        if root[i] not in places:
            places[root[i]] = _argument(graph.outputs, "output", number)
    kept = [made for made in first if made not in places]
    offsets, size = plan([Life(graph.tensors[i].size, first[i], last[i]) for i in kept])
    places |= {i: f"arena + {offset}" if offset else "arena" for i, offset in zip(kept, offsets)}
    return {i: places[of] for i, of in root.items()}, size


def _copied_outputs(graph: Graph, places: dict[int, str]) -> list[str]:
    """Outputs whose values lie elsewhere: an input in another shape, or one tensor given twice."""
    lines = []
    for number, i in enumerate(graph.outputs):
        wanted = _argument(graph.outputs, "output", number)
        if places[i] != wanted:
            lines.append(f"copy_rows({places[i]}, {wanted}, 1, {graph.tensors[i].size}, 0);")
    return lines


def _kernels(steps: list[Step], copies: bool) -> list[str]:
    """Sources of the kernels that are called, each after those it calls."""
    wanted: list[str] = []

    def want(kernel: str) -> None:
        for needed in NEEDS.get(kernel, ()):
            want(needed)
        if kernel not in wanted:
            wanted.append(kernel)

    for kernel in sorted({call.kernel for step in steps for call in step.calls} | ({"copy_rows"} if copies else set())):
        want(kernel)
    folder = resources.files("micro.aot") / "kernels"
    return [(folder / f"{kernel}.c").read_text(encoding="utf-8").rstrip() for kernel in wanted]


def _constant(constant: Constant, constants: dict[tuple[str, bytes], str], arrays: list[dict[str, Any]]) -> str:
    """The name of a constant array; equal ones are stored once."""
    kind = C_TYPES[constant.values.dtype.name]
    flat = np.ascontiguousarray(constant.values).reshape(-1)
    key = (kind, flat.tobytes())
    if key not in constants:
        constants[key] = f"constant_{len(arrays)}"
        arrays.append(c_array(kind, constants[key], flat))
    return constants[key]


def _argument(indices: tuple[int, ...], side: str, number: int) -> str:
    return side if len(indices) == 1 else f"{side}{number}"


def _side(tensor: Tensor, side: str, number: int, count: int) -> dict[str, Any]:
    if tensor.dtype != "int8" or tensor.quantization is None:
        raise ConversionError(
            f"{side} {tensor.name!r} is {tensor.dtype}; static C takes models that are int8 in and out"
        )
    return {
        "argument": side if count == 1 else f"{side}{number}",
        "shape": tensor.shape,
        "size": tensor.size,
        "scale": float_text(tensor.quantization.scale[0]),
        "zero_point": tensor.quantization.zero_point[0],
    }
