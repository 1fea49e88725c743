"""Damaged .tflite files through read, measure, verify and aot; what is made of them through sanitizers, beside TFLite Micro.

    python -m tests.fuzz_tflite FIRST COUNT [FOLDER_OF_FURTHER_MODELS]

Prints what became of them as JSON. Each file is one seed: the same seed is the same file, whatever ran before.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import damage
from int8_graphs import random_graph
from support import IN_C, SANITIZERS, SPANS
from wired_graphs import wired_graph

import micro
from micro.aot.generate import static_files
from micro.tflite import interpreter as tflm
from micro.tflite.graph import read

KINDS = (*damage.KINDS, damage.edited, damage.edited, damage.edited, damage.edited)
SECONDS_FOR_ONE = 60
# Files whose C is compared together, and compilers side by side.
AT_ONCE, COMPILERS = 40, 2
SAMPLES = 2
# A model of more values is compiled and compared elsewhere: what damage does to it shows here as well.
MOST_VALUES = 1 << 20


def main(first: int, count: int, folder: str = "") -> None:
    """Print the tally; exit code 1 where anything was no plain refusal and no equal output."""
    tflm.SECONDS_ALLOWED = SECONDS_FOR_ONE
    bases = [path.read_bytes() for path in sorted(Path(folder).glob("**/*.tflite"))] if folder else []
    tally: Counter[str] = Counter()
    faults: list[str] = []
    survivors: list[tuple[int, bytes, list[np.ndarray], dict[str, np.ndarray] | None]] = []
    slowest = 0.0
    for seed in range(first, first + count):
        started = time.monotonic()
        made = tried(seed, damaged(seed, bases), tally, faults)
        slowest = max(slowest, time.monotonic() - started)
        if made is not None:
            survivors.append(made)
        if len(survivors) >= AT_ONCE:
            compare(survivors, tally, faults)
            survivors = []
    compare(survivors, tally, faults)
    print(json.dumps({"seeds": [first, first + count], **tally, "slowest_s": round(slowest, 1), "faults": faults}))
    sys.exit(1 if faults else 0)


def damaged(seed: int, bases: list[bytes]) -> bytes:
    """The file of a seed."""
    rng = np.random.default_rng([seed, 14])
    draw = int(rng.integers(10))
    base = random_graph(int(rng.integers(300))) if draw < 4 else wired_graph(int(rng.integers(300)))
    if bases and draw >= 8:
        base = bases[rng.integers(len(bases))]
    return KINDS[seed % len(KINDS)](base, rng)


def tried(seed: int, content: bytes, tally: Counter[str], faults: list[str]):
    """One file through every step; what is to be compiled, or None."""
    done = {}
    steps = {
        "read": lambda: read(content),
        "measure": lambda: micro.measure(content),
        "verify": lambda: micro.verify(content, count=SAMPLES),
        "aot": lambda: static_files(content, "net"),
    }
    for name, step in steps.items():
        try:
            done[name] = step()
            tally[f"{name}: done"] += 1
        except (micro.MicroError, ValueError) as error:
            tally[f"{name}: refused"] += 1
            # A ValueError is an argument's; no argument is wrong here.
            if not isinstance(error, micro.MicroError) or "\n" in str(error) or len(str(error)) > 900:
                faults.append(f"{seed} {name}: {type(error).__name__}: {str(error)[:200]}")
            if "gave no answer" in str(error):
                faults.append(f"{seed} {name}: {error}")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(f"{seed} {name}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})")
        if name == "read" and "read" not in done:
            return None
    if "aot" not in done:
        return None
    graph = done["read"]
    values = sum(graph.tensors[i].size for i in (*graph.inputs, *graph.outputs))
    if values > MOST_VALUES or graph.macs > 1 << 26:
        tally["aot: too large to run here"] += 1
        return None
    rng = np.random.default_rng(seed)
    inputs = [
        rng.integers(*SPANS[tensor.dtype], (SAMPLES, *tensor.shape)).astype(tensor.dtype)
        for tensor in (graph.tensors[i] for i in graph.inputs)
    ]
    theirs = None
    with contextlib.suppress(micro.InterpreterError):
        theirs = tflm.all_outputs(content, inputs)
    return seed, content, inputs, theirs


def built(folder: Path, seeds: list[int]) -> None:
    """Compile programs side by side under sanitizers."""
    jobs = [
        subprocess.Popen(
            ["gcc", "-w", "-std=c99", *SANITIZERS, f"n{seed}.c", f"main{seed}.c", "-o", f"p{seed}"], cwd=folder
        )
        for seed in seeds
    ]
    for job in jobs:
        job.wait()


def compare(survivors, tally: Counter[str], faults: list[str]) -> None:
    """Compile the C of files that have any, run it under sanitizers, hold its outputs against TFLite Micro's."""
    if not survivors:
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for seed, content, inputs, _ in survivors:
            program_of(folder, seed, content, inputs)
        for start in range(0, len(survivors), COMPILERS):
            built(folder, [seed for seed, *_ in survivors[start : start + COMPILERS]])
        for seed, content, inputs, theirs in survivors:
            if not (folder / f"p{seed}").is_file():
                faults.append(f"{seed} C: does not compile")
                continue
            samples_in = b"".join(array[sample].tobytes() for sample in range(SAMPLES) for array in inputs)
            try:
                done = subprocess.run(
                    [folder / f"p{seed}"], input=samples_in, capture_output=True, timeout=SECONDS_FOR_ONE
                )
            except subprocess.TimeoutExpired:
                faults.append(f"{seed} C: no end in {SECONDS_FOR_ONE} s")
                continue
            if done.returncode != 0:
                faults.append(f"{seed} C: {done.stderr.decode()[:300]}")
                continue
            if theirs is None:
                tally["C: sound, and TFLite Micro does not run the model"] += 1
                continue
            outputs = range(len(read(content).outputs))
            wanted = b"".join(theirs[f"output{n}"][sample].tobytes() for sample in range(SAMPLES) for n in outputs)
            tally["C: equal" if done.stdout == wanted else "C: differs"] += 1
            if done.stdout != wanted:
                faults.append(f"{seed} C: differs from TFLite Micro, {[op.name for op in read(content).ops]}")


def program_of(folder: Path, seed: int, content: bytes, inputs) -> None:
    """n{seed}.c, its header and a main around it."""
    for name, text in static_files(content, f"n{seed}").items():
        (folder / name).write_bytes(text)
    graph = read(content)
    sides = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    xs, ys = [f"x{n}" for n in range(len(inputs))], [f"y{n}" for n in range(len(graph.outputs))]
    held = [f"static {IN_C[tensor.dtype]} {name}[{tensor.size}];" for name, tensor in zip(xs + ys, sides)]
    reads = "".join(f"if (fread({x}, 1, sizeof {x}, stdin) != sizeof {x}) return 1;" for x in xs)
    writes = "".join(f"fwrite({y}, 1, sizeof {y}, stdout);" for y in ys)
    (folder / f"main{seed}.c").write_text(
        f'#include "n{seed}.h"\n#include <stdio.h>\n{" ".join(held)}\nint main(void) {{'
        f"for (int n = 0; n < {SAMPLES}; ++n) {{ {reads} n{seed}_invoke({', '.join(xs + ys)}); {writes} }} return 0; }}\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
