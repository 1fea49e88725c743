"""The model as a C array, its header, and the resolver with exactly its operators."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micro.emission.resolver import resolver_methods
from micro.errors import ModelError
from micro.files import identifier, sha256, write_together
from micro.graph import Graph, TfliteLike, content_of, read
from micro.tflm import measure

# Macros that the header defines after the model's name.
TAKEN = ("MODEL_ID", "MODEL_LEN", "ARENA_SIZE", "CLASS_COUNT", "ALIGNED")


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
        name: Identifier of C and C++, in lower case by custom: prefix of files, symbols and macros.
        class_names: Names of the output's values, in order.
        constants: Further numbers for the header, e.g. {"threshold": 0.7}, as NAME_THRESHOLD.
        arena_margin: Share added to the measured arena for optimised kernels' scratch buffers, at least 0.

    Returns: the paths written, all inside `directory`; earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For names that are no identifiers, class names that do not match the output, or constants that are
            not finite.
        ModelError: For a model that is not int8 or int16 in and out.
        InterpreterError: If TFLM does not run it.
    """
    files = model_files(tflite, name, class_names=class_names, constants=constants, arena_margin=arena_margin)
    return write_together(directory, files)


def model_files(
    tflite: TfliteLike,
    name: str,
    *,
    class_names: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
    arena_margin: float = 0.1,
) -> dict[str, bytes]:
    """The three files' contents by name; arguments and errors are those of `emit`."""
    identifier(name)
    if not 0 <= arena_margin < math.inf:
        raise ValueError(f"arena_margin must be at least 0, got {arena_margin}")
    content = content_of(tflite)
    graph = read(content)
    sides = [_side(graph, key) for key in ("INPUT", "OUTPUT")]
    if class_names and len(class_names) != sides[1]["shape"][-1]:
        raise ValueError(f"{len(class_names)} class names for {sides[1]['shape'][-1]} outputs")
    arena = measure(content).arena_bytes
    context = {
        "name": name,
        "upper": name.upper(),
        "camel": "".join(part.capitalize() for part in name.split("_")),
        "guard": f"KERAS_KD_{name.upper()}_H_",
        "ops_guard": f"KERAS_KD_{name.upper()}_OPS_H_",
        "digest": sha256(content),
        "model_bytes": len(content),
        "arena": {
            "measured": arena,
            "margin_percent": f"{100 * arena_margin:g}",
            "size": math.ceil(arena * (1 + arena_margin) / 16) * 16,
        },
        "input": sides[0],
        "output": sides[1],
        "class_names": [c_string(class_name) for class_name in class_names],
        "constants": list(_constants(constants or {})),
        "methods": resolver_methods(graph),
        "array": array_text(content),
    }
    files = {f"{name}.h": "model.h.j2", f"{name}.cc": "model.cc.j2", f"{name}_ops.h": "ops.h.j2"}
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
    return environment.get_template(template).render(context)


def array_text(content: bytes, width: int = 12) -> str:
    """Bytes as rows of hexadecimal C literals."""
    rows = (content[start : start + width] for start in range(0, len(content), width))
    return "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)


def float_text(value: float) -> str:
    """A C float literal that reads back as the same float32."""
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
    for key in sorted(constants):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key):
            raise ValueError(f"constant {key!r} is not an identifier of C and C++")
        if key.upper() in TAKEN or key.upper().startswith(("INPUT_", "OUTPUT_")):
            raise ValueError(f"constant {key!r} would redefine a macro of the header; choose another name")
        value = constants[key]
        yield key.upper(), str(value) if isinstance(value, int) else float_text(value)
