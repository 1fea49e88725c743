"""Public .tflite files as static C on this machine: every output byte beside TFLite Micro's, or why it is refused.

    python scripts/bench/public_models.py FOLDER [--samples 4]

FOLDER holds .tflite files at any depth, such as checkouts of tensorflow/tflite-micro and mlcommons/tiny. Inputs are drawn
evenly over their types; samples follow each other, so that what a model keeps from one inference to the next counts. Prints
a row for the files of a folder that have the same operators and outcome. Models of float32 are counted and left out.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import micro
from micro.aot import generate
from micro.aot.memory import C_TYPES, argument
from micro.tflite.graph import Graph, read
from micro.tflite.interpreter import all_outputs

FLAGS = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=4)
    arguments = parser.parse_args()
    rows: dict[tuple[str, str, str], list[str]] = {}
    left_out = []
    for path in sorted(arguments.folder.rglob("*.tflite")):
        graph = read(path)
        sides = [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)]
        if not set(sides) & {"int8", "int16", "int32"}:
            left_out.append(path.stem)
            continue
        counts = ", ".join(f"{count} {name}" if count > 1 else name for name, count in graph.op_counts.items())
        where = str(path.parent.relative_to(arguments.folder))
        rows.setdefault((where, counts, outcome(path, graph, arguments.samples)), []).append(path.stem)
    print("| model | operators | static C |")
    print("| --- | --- | --- |")
    for (_, counts, found), names in rows.items():
        several = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
        print(f"| {several} | {counts} | {found} |")
    print(
        f"\n{sum(map(len, rows.values()))} models of integers; {len(left_out)} of float32 left out: {', '.join(left_out)}"
    )


def outcome(path: Path, graph: Graph, samples: int) -> str:
    """'equal', how many values differ, or why the model is refused."""
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(*span(graph.tensors[i].dtype), (samples, *graph.tensors[i].shape)).astype(graph.tensors[i].dtype)
        for i in graph.inputs
    ]
    try:
        with tempfile.TemporaryDirectory() as folder:
            ours = in_c(path, graph, inputs, Path(folder))
        theirs = all_outputs(path, inputs)
    except micro.MicroError as error:
        return f"refused: {error}".replace("|", "\\|")
    wrong = [np.count_nonzero(mine != theirs[f"output{n}"].reshape(samples, -1)) for n, mine in enumerate(ours)]
    return f"{sum(wrong):,} values differ" if any(wrong) else "equal"


def span(dtype: str) -> tuple[int, int]:
    """The values of an input, the last one not included."""
    if dtype == "bool":
        return 0, 2
    info = np.iinfo(dtype)
    return info.min, int(info.max) + 1


def in_c(path: Path, graph: Graph, inputs: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    """Outputs of the static C for all samples, (samples, size) each, compiled with sanitizers."""
    generate(path, folder, "net")
    sides = {"input": graph.inputs, "output": graph.outputs}
    names = {side: [argument(which, side, n) for n in range(len(which))] for side, which in sides.items()}
    tensors = [graph.tensors[i] for which in sides.values() for i in which]
    held = [
        f"static {C_TYPES[tensor.dtype]} {name}[{tensor.size}];"
        for name, tensor in zip(names["input"] + names["output"], tensors)
    ]
    reads = "".join(f" if (fread({x}, 1, sizeof {x}, stdin) != sizeof {x}) return 1;" for x in names["input"])
    writes = "".join(f" fwrite({y}, 1, sizeof {y}, stdout);" for y in names["output"])
    call = f"net_invoke({', '.join(names['input'] + names['output'])});"
    (folder / "main.c").write_text(
        f'#include "net.h"\n#include <stdio.h>\n{" ".join(held)}\nint main(void) {{\n'
        f"  for (int n = 0; n < {len(inputs[0])}; ++n) {{{reads} {call}{writes} }}\n  return 0;\n}}\n"
    )
    subprocess.run(["gcc", *FLAGS, "net.c", "main.c", "-o", "net"], cwd=folder, check=True)
    samples = b"".join(array[n].tobytes() for n in range(len(inputs[0])) for array in inputs)
    printed = subprocess.run([folder / "net"], input=samples, capture_output=True, check=True).stdout
    made = [graph.tensors[i] for i in graph.outputs]
    widths = [tensor.size * np.dtype(tensor.dtype).itemsize for tensor in made]
    whole = np.frombuffer(printed, np.uint8).reshape(len(inputs[0]), sum(widths))
    parts = np.split(whole, np.cumsum(widths)[:-1], axis=1)
    return [np.ascontiguousarray(part).view(tensor.dtype) for part, tensor in zip(parts, made)]


if __name__ == "__main__":
    main()
