"""The model as a C array, its header, and the resolver with exactly its operators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micro.emission.resolver import resolver_methods
from micro.errors import ModelError
from micro.support.c_names import CNames, macro_names, words
from micro.support.files import sha256, write_together
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, TfliteLike, content_of, read

# Macros that the headers of model, front end and detector define after the model's name.
TAKEN = words(
    """
    STATIC_ARENA_SIZE
    MODEL_ID MODEL_LEN ARENA_SIZE CLASS_COUNT ALIGNED WINDOW HOP CHANNELS FEATURE_COUNT TRACE SCORE_UNIT DETECTOR_THRESHOLD
    CLEAR_THRESHOLD MIN_HITS HISTORY CLEAR_AFTER WAITING HEALTHY ALARM FAULT_NOT_FINITE FAULT_SATURATED FAULT_MODEL
    """
)
# Bytes that TFLM takes for a moment for each tensor of an operator that it prepares, on a 64-bit host. The arena as measured
# does not count them; on a 32-bit chip the smaller pointers make room for them.
TEMPORARY = 128
# A constant above what C's integers hold would be cut off without a word.
LARGEST_INTEGER = 2**63 - 1


def emit(
    tflite: TfliteLike,
    directory: str | Path,
    name: str,
    *,
    class_names: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
    arena_margin: float = 0.1,
) -> tuple[Path, ...]:
    """Write NAME.h, NAME.cc and NAME_ops.h for TFLite Micro into a directory.

    The array is const, aligned to 16 bytes and equal to the .tflite byte for byte; the header holds scale, zero point and
    shape of input and output, the arena's size and class names. The same model gives the same bytes.

    Args:
        name: Prefix of files, symbols and macros, in lower case by custom; see `micro.support.c_names.identifier`.
        class_names: Names of the output's values, in order.
        constants: Further numbers for the header, e.g. {"threshold": 0.7}, as NAME_THRESHOLD.
        arena_margin: Share added to the measured arena for optimised kernels' scratch buffers, at least 0. The arena has no
            less than `Footprint.ram_bytes`, which CMSIS-NN's are estimated to need.

    Returns: the paths written, all inside `directory`; earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For names that cannot be prefixes, class names that do not match the output, constants that are not finite
            or would be one macro, or a file in `directory` whose name differs only in case.
        ModelError: For a model that is not int8 or int16 in and out.
        InterpreterError: If TFLM does not run it.
    """
    files = model_files(tflite, name, class_names=class_names, constants=constants, arena_margin=arena_margin)
    return write_sources(directory, files)


def write_sources(directory: str | Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write emitted files as `write_together` does.

    Raises:
        ValueError: Where the directory holds one whose name differs only in case: some file systems take them for the
            same.
    """
    folder = Path(directory)
    there = {path.name.lower(): path.name for path in folder.iterdir()} if folder.is_dir() else {}
    for name in files:
        other = there.get(name.lower(), name)
        if other != name:
            raise ValueError(
                f"{folder} holds {other}, which some file systems take for {name}; choose another name or folder"
            )
    return write_together(folder, files)


def model_files(
    tflite: TfliteLike,
    name: str,
    *,
    class_names: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
    arena_margin: float = 0.1,
    suffix: str = ".cc",
) -> dict[str, bytes]:
    """The three files' contents by name; arguments and errors are those of `emit`. `suffix` is that of C++ files."""
    names = CNames(name)
    if not 0 <= arena_margin < math.inf:
        raise ValueError(f"arena_margin must be at least 0, got {arena_margin}")
    content = content_of(tflite)
    graph = read(content)
    sides = [_side(graph, key) for key in ("INPUT", "OUTPUT")]
    if class_names and len(class_names) != sides[1]["shape"][-1]:
        raise ValueError(f"{len(class_names)} class names for {sides[1]['shape'][-1]} outputs")
    footprint = measure(content)
    arena = footprint.arena_bytes
    context = {
        **names.context(),
        "ops_guard": names.guard("ops"),
        "source": f"{name}{suffix}",
        "digest": sha256(content),
        "model_bytes": len(content),
        "arena": {
            "measured": arena,
            "margin_percent": f"{100 * arena_margin:g}",
            "estimated": footprint.ram_bytes,
            "size": math.ceil(max(arena * (1 + arena_margin), footprint.ram_bytes) / 16) * 16,
            "temporary": TEMPORARY * max((len(op.inputs) + len(op.outputs) for op in graph.ops), default=0),
        },
        "input": sides[0],
        "output": sides[1],
        "class_names": [c_string(class_name) for class_name in class_names],
        "constants": list(_constants(constants or {})),
        "methods": resolver_methods(graph),
        "array": array_text(content),
    }
    files = {f"{name}.h": "model.h.j2", f"{name}{suffix}": "model.cc.j2", f"{name}_ops.h": "ops.h.j2"}
    return {file: render(template, context).encode() for file, template in files.items()}


def render(template: str, context: Mapping[str, Any], folder: str = "emission/templates") -> str:
    """A template of C in a folder of this package filled in; a name it misses is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("micro", folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["comment"] = comment_text
    return environment.get_template(template).render(context)


def array_text(content: bytes, width: int = 12) -> str:
    """Bytes as rows of hexadecimal C literals."""
    rows = (content[start : start + width] for start in range(0, len(content), width))
    return "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)


def float_text(value: float) -> str:
    """A C float literal that reads back as the same float32; ValueError for what float32 does not hold."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not math.isfinite(single):
        raise ValueError(f"a C constant must be finite as float32, got {value}")
    text = np.format_float_scientific(single, unique=True, trim="0", exp_digits=2)
    return f"{text}f"


def c_array(kind: str, name: str, values: Any) -> dict[str, Any]:
    """What a template needs of a constant array of C: type, name, count and rows of numbers."""
    flat = np.asarray(values).reshape(-1)
    texts = [float_text(float(value)) if kind == "float" else str(int(value)) for value in flat]
    texts = ["INT32_MIN" if text == str(-(2**31)) else text for text in texts]
    width = 6 if kind == "float" else 8
    rows = [", ".join(texts[start : start + width]) for start in range(0, len(texts), width)]
    return {"type": kind, "name": name, "count": len(texts), "rows": rows}


def c_string(text: str) -> str:
    """A C string literal; bytes outside printable ASCII are written in octal, so that no escape runs on."""
    printable = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?"}
    body = "".join(
        printable.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode("utf-8")
    )
    return f'"{body}"'


def comment_text(text: str) -> str:
    """Text for a comment of C, a build file or a Markdown page: one line of printable ASCII that ends no comment."""
    plain = " ".join(text.encode("ascii", "replace").decode().split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("`", "'")


def _side(graph: Graph, key: str) -> dict[str, Any]:
    """What the header tells of the only input or output."""
    indices = graph.inputs if key == "INPUT" else graph.outputs
    if len(indices) != 1:
        raise ModelError(f"the model has {len(indices)} {key.lower()}s; emit takes models with one")
    tensor = graph.tensors[indices[0]]
    if tensor.dtype not in ("int8", "int16") or tensor.quantization is None:
        raise ModelError(
            f"{key.lower()} {tensor.name!r} is {tensor.dtype}, not quantized int8 or int16; convert the model first"
        )
    return {
        "key": key,
        "title": key.capitalize(),
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "size": tensor.size,
        "scale": float_text(tensor.quantization.scale[0]),
        "zero_point": tensor.quantization.zero_point[0],
    }


def _constants(constants: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    for key, macro in macro_names(constants, TAKEN, ("INPUT_", "OUTPUT_")).items():
        value = constants[key]
        if isinstance(value, (int, np.integer)):
            if abs(value) > LARGEST_INTEGER:
                raise ValueError(f"constant {key!r} must be within +-{LARGEST_INTEGER}, got {value}")
            yield macro, f"INT64_C({value})" if abs(value) >= 2**31 else f"({value})" if value < 0 else str(int(value))
        else:
            literal = float_text(value)
            yield macro, f"({literal})" if value < 0 else literal
