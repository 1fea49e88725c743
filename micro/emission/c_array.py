"""The model as a C array, its header, and the resolver with exactly its operators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micro.emission.c_text import array_text, c_string, comment_text, float_text, render
from micro.emission.resolver import resolver_methods
from micro.errors import ConversionError, ModelError
from micro.support.c_names import CNames, macro_names, words
from micro.support.files import sha256, write_together
from micro.tflite.footprint import Footprint, measure
from micro.tflite.graph import Graph, Tensor, TfliteLike, content_of, read

# Macros that the headers of model, front end and detector define after the model's name.
TAKEN = words(
    """
    STATIC_ARENA_SIZE SCRATCH_SIZE SHARED_SIZE SHARED_ARENA NO_STATIC_ARENA ARENA_ATTRIBUTE
    MAX_AGE JOINED_COUNT FAULT_SOURCE
    MODEL_ID MODEL_LEN ARENA_SIZE VARIABLES CLASS_COUNT ALIGNED WINDOW HOP FRAME FRAME_HOP FRAMES CHANNELS FEATURE_COUNT TRACE
    SCALED SCORE_UNIT DETECTOR_THRESHOLD CLEAR_THRESHOLD MIN_HITS HISTORY CLEAR_AFTER
    RECORD_SIZE SLOT_SIZE RECORD_OK RECORD_TOO_SHORT RECORD_NOT_A_RECORD RECORD_UNKNOWN_FORMAT RECORD_DAMAGED
    RECORD_OTHER_MODEL RECORD_OTHER_FRONT_END RECORD_OTHER_SCORE RECORD_NOT_SENSIBLE RECORD_OLDER RECORD_NOT_SIGNED
    RECORD_NOT_READ RECORD_NOT_STORED
    WAITING HEALTHY ALARM FAULT_NOT_FINITE FAULT_SATURATED FAULT_MODEL
    TOKENS WIDTH SYMBOLS BEST LONGEST PREDICTED FAULT_LONG
    CLASSES NO_CLASS SUPPRESSION UNKNOWN RECOGNIZED SCORE_OFFSET HALF_WIDTH ESTIMATED NUMBERS NUMBER_LOWEST NUMBER_HIGHEST
    LABELS NONE LABELED
    LEARN_WINDOWS CALIBRATE_WINDOWS KEPT_SCORES MOVED LEARNING CALIBRATING REFUSED
    PHASE_LEARNING PHASE_CALIBRATING PHASE_WATCHING PHASE_FAULT
    REFUSAL_NONE REFUSAL_SENSOR REFUSAL_RANGE REFUSAL_DEAD REFUSAL_STOPPED REFUSAL_CHANGED REFUSAL_UNLIKE REFUSAL_MODEL
    """
)
# Bytes that TFLM needs temporarily, for each tensor of an operator, while it prepares the operator on a 64-bit host. The
# measured arena does not include them; on a 32-bit MCU the smaller pointers make room for them.
TEMPORARY = 128
# TFLite Micro takes some 120 bytes of RAM and 150 of flash for each operator, which many chips have no room for beyond these.
MOST_OPERATORS = 640
# C would silently truncate larger constants.
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

    The array is const, aligned to 16 bytes and equal to the .tflite byte for byte. The header defines scale, zero point and
    shape of input and output, the size of the tensor arena, and the class names. Where there are several inputs or outputs,
    their macros begin with NAME_INPUT0, NAME_INPUT1 and so on, in the order of the model. The same model gives the same bytes.

    Args:
        tflite: An int8 or int16 model: bytes, a path, or what `convert` returns.
        directory: Created if it does not exist.
        name: Prefix of files, symbols and macros, usually in lower case; see `micro.support.c_names.identifier`.
        class_names: Names of the output's values, in order, for a model of one output.
        constants: Further numbers for the header, e.g. {"threshold": 0.7} as NAME_THRESHOLD.
        arena_margin: Fraction added to the measured arena for the scratch buffers of optimized kernels, at least 0. The arena
            is at least `Footprint.ram_bytes`, the estimate for CMSIS-NN.

    Returns:
        The paths written, all inside `directory`. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For a name that cannot be a prefix, class names that do not match the output, constants that are not
            finite or give the same macro twice, or a file in `directory` whose name differs only in case.
        ModelError: For a model whose input or output is not int8 or int16.
        InterpreterError: If TFLM does not run it.
        ConversionError: For a model of more than 640 operators, such as a GRU over many steps.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> sorted(path.name for path in micro.emit(tflite, "out", "bearing", constants={"threshold": 0.7}))
        ['bearing.cc', 'bearing.h', 'bearing_ops.h']
    """
    files = model_files(tflite, name, class_names=class_names, constants=constants, arena_margin=arena_margin)
    return write_sources(directory, files)


def write_sources(directory: str | Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write emitted files as `write_together` does.

    Raises:
        ValueError: Where the directory holds a file whose name differs only in case, which some file systems ignore.
    """
    folder = Path(directory)
    there = {path.name.lower(): path.name for path in folder.iterdir()} if folder.is_dir() else {}
    for name in files:
        other = there.get(name.lower(), name)
        if other != name:
            raise ValueError(
                f"{folder} holds {other}, which some file systems treat as {name}; choose another name or folder"
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
    """Contents of the three files by name; arguments and errors as for `emit`. `suffix` ends the names of C++ files."""
    names = CNames(name)
    if not 0 <= arena_margin < math.inf:
        raise ValueError(f"arena_margin must be at least 0, got {arena_margin}")
    content = content_of(tflite)
    graph = read(content)
    _require_few_operators(graph)
    inputs, outputs = _sides(graph, graph.inputs, "input"), _sides(graph, graph.outputs, "output")
    if class_names and len(outputs) > 1:
        raise ValueError(f"class_names are for a model of one output, this has {len(outputs)}")
    if class_names and len(class_names) != outputs[0]["shape"][-1]:
        raise ValueError(f"{len(class_names)} class names for {outputs[0]['shape'][-1]} outputs")
    context = {
        **names.context(),
        "ops_guard": names.guard("ops"),
        "source": f"{name}{suffix}",
        "digest": sha256(content),
        "model_bytes": len(content),
        "arena": _arena(measure(content), graph, arena_margin),
        "inputs": inputs,
        "outputs": outputs,
        "class_names": [c_string(class_name) for class_name in class_names],
        "constants": list(_constants(constants or {})),
        "methods": resolver_methods(graph),
        "variables": graph.op_counts.get("VAR_HANDLE", 0),
        "array": array_text(content),
    }
    files = {f"{name}.h": "model.h.j2", f"{name}{suffix}": "model.cc.j2", f"{name}_ops.h": "ops.h.j2"}
    return {file: render(template, context).encode() for file, template in files.items()}


def _arena(footprint: Footprint, graph: Graph, margin: float) -> dict[str, Any]:
    """Sizes of the tensor arena, and what the header says about them."""
    size = max(footprint.arena_bytes * (1 + margin), footprint.ram_bytes)
    return {
        "measured": footprint.arena_bytes,
        "margin_percent": f"{100 * margin:g}",
        "estimated": footprint.ram_bytes,
        "size": math.ceil(size / 16) * 16,
        "temporary": TEMPORARY * max((len(op.inputs) + len(op.outputs) for op in graph.ops), default=0),
    }


def _sides(graph: Graph, indices: Sequence[int], what: str) -> list[dict[str, Any]]:
    """What the header says about each input or output."""
    several = len(indices) > 1
    return [
        _side(graph.tensors[index], f"{what}{number}" if several else what, several)
        for number, index in enumerate(indices)
    ]


def _side(tensor: Tensor, what: str, several: bool) -> dict[str, Any]:
    if tensor.dtype not in ("int8", "int16") or tensor.quantization is None:
        raise ModelError(
            f"{what} {tensor.quoted} is {tensor.dtype}, not quantized int8 or int16; convert the model first"
        )
    return {
        "key": what.upper(),
        "title": what.capitalize() + (f", {comment_text(tensor.name)}" if several else ""),
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
                raise ValueError(f"constant {key!r} must be within ±{LARGEST_INTEGER}, got {value}")
            yield macro, f"INT64_C({value})" if abs(value) >= 2**31 else f"({value})" if value < 0 else str(int(value))
        else:
            literal = float_text(value)
            yield macro, f"({literal})" if value < 0 else literal


def _require_few_operators(graph: Graph) -> None:
    """Refuse a model of which TFLite Micro's bookkeeping alone fills a chip, as each step of a GRU is operators of its own."""
    if len(graph.ops) > MOST_OPERATORS:
        raise ConversionError(
            f"the model has {len(graph.ops):,} operators, as a GRU over many steps does; TFLite Micro keeps flash and RAM for "
            f"each, so that {MOST_OPERATORS} are the most: take static C, which computes steps in a loop (runtime 'static'), "
            "or an LSTM"
        )
