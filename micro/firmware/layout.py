"""How the parts of a firmware project are put together, whatever its last stage is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from micro.aot.block import Weights
from micro.aot.generate import static_files
from micro.emission.c_array import model_files
from micro.emission.c_text import render
from micro.emission.resolver import resolver_methods
from micro.errors import ConversionError
from micro.firmware.boards import BOARDS, MACHINES, Board
from micro.tflite.graph import TfliteLike, read

Runtime = Literal["static", "tflm"]
# The file that runs the model for the last stage, and its template.
INTERPRETER = {"static": ("infer_static.c", "infer_static.c.j2"), "tflm": ("infer_tflm{cpp}", "infer_tflm.cc.j2")}
FOLDER = "firmware/templates"


def assembled(
    stage: dict[str, bytes],
    tflite: bytes,
    context: Mapping[str, Any],
    common: Mapping[str, str],
    board: str,
    runtime: Runtime,
    *,
    class_names: Sequence[str] = (),
    replaced: Mapping[str, str] | None = None,
    layout: Board | None = None,
    weights: Weights = "constant",
) -> dict[str, bytes]:
    """Contents of a project's files by path.

    Args:
        stage: The files of the last stage and what is before it.
        tflite: The model.
        context: What templates are given; `name` is the prefix of files.
        common: Templates of files that all boards have, by path.
        class_names: Of the model's outputs, for TFLite Micro.
        replaced: Templates in place of a board's own, by these.
        weights: Of static C, whether the model's numbers may be exchanged, together with those of its detector.
        layout: The folders and templates of a project that is for none of BOARDS; `board` is then its name in messages.

    Raises:
        ValueError: Where two files would have one path.
        ConversionError: Names an operator that the board's TFLite Micro lacks.
    """
    layout, name = layout or BOARDS[board], context["name"]
    made = [stage]
    if runtime == "static":
        _require_int8(tflite)
        made.append(static_files(tflite, name, weights=weights, with_detector=weights == "exchangeable"))
    else:
        layout.package.require(resolver_methods(read(tflite)), board)
        made.append(model_files(tflite, name, class_names=class_names, suffix=layout.cpp))
    file, template = INTERPRETER[runtime]
    common = {**common, f"{{name}}_{file.format(cpp=layout.cpp)}": f"common/{template}"}
    made.append({path.format(name=name): render(source, context, FOLDER).encode() for path, source in common.items()})
    emitted = _apart(made)
    whole = {**context, "sources": sorted(path for path in emitted if path.endswith((".c", layout.cpp)))}
    folder = layout.sources.format(name=name)
    around = {}
    for path, template in layout.files(runtime).items():
        # All linker scripts have one template.
        machine = next((each for each in MACHINES if path == f"board/link_{each.core}.ld"), None)
        own = {"machine": machine, "inside": _inside(folder, path)}
        source = (replaced or {}).get(template, template)
        around[path.format(name=name)] = render(source, {**whole, **own}, FOLDER).encode()
    for file in (*context.get("examples", ()), *context.get("tachometers", ())):
        around[f"examples/{file}"] = render(f"examples/{file}.j2", whole, FOLDER).encode()
    return _apart([{f"{folder}/{path}": content for path, content in emitted.items()}, around])


def _inside(sources: str, path: str) -> str:
    """Path from a file's folder to the sources: 'src/' from main/CMakeLists.txt to main/src, '' within one folder."""
    here, folder = PurePosixPath(path).parent, PurePosixPath(sources)
    return f"{folder.relative_to(here)}/" if folder.is_relative_to(here) and folder != here else ""


def _apart(parts: Sequence[dict[str, bytes]]) -> dict[str, bytes]:
    """The files of several parts together; ValueError where two paths are equal, in upper or lower case."""
    files: dict[str, bytes] = {}
    for part in parts:
        there = {path.lower(): path for path in files}
        twice = next((path for path in part if path.lower() in there), None)
        if twice is not None:
            raise ValueError(f"{twice} would be written twice; choose another firmware.name")
        files |= part
    return files


def _require_int8(tflite: TfliteLike) -> None:
    """Refuse a model whose inputs and outputs are not those that the application hands over."""
    graph = read(tflite)
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensors[index].dtype != "int8":
            raise ConversionError(
                f"{graph.tensors[index].quoted} is {graph.tensors[index].dtype}; a project takes int8 in and out"
            )
