"""A model of a whole window beside the one that takes a hop, as static C on an emulated Cortex-M.

    python scripts/bench/streaming.py MODEL.tflite [...] --hop 1 [--core m4f] [--optimize=-O2]

Instructions are those of one inference: of a window, and of a hop. RAM: arena, input and output, and of a hop what is kept.
Both see the same random samples, and from the end of the warm-up on every output of a hop is held against the window's, in
TFLite Micro and on the emulated core.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from micro.aot import generate
from micro.emission.c_text import c_array
from micro.firmware.boards import MACHINES
from micro.firmware.qemu import run_in_qemu
from micro.streaming.step_model import stream
from micro.tflite.cost import bytes_of
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

MAIN = """
#include <stdint.h>
#include "app.h"
#include "console.h"
#include "net.h"
#include "ticks.h"
static const int8_t x[{count}][{inputs}] = {{
{rows}
}};
static int8_t y[{outputs}];
int main(void) {{
  const int out = console_open("result.bin", 1);
  const uint32_t loops = ticks_start();
  uint32_t instructions = 0;
  for (int32_t i = 0; i < {count}; ++i) {{
    const uint32_t then = ticks_now();
    net_invoke(x[i], y);
    instructions = ticks_instructions(ticks_since(then), loops);
    console_write(out, y, sizeof y);
  }}
  console_write(out, &instructions, sizeof instructions);
  return 0;
}}
"""
# Windows that are compared after the warm-up.
COMPARED = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--hop", required=True, type=int, help="new samples at a time")
    parser.add_argument("--core", default="m4f", choices=[machine.core for machine in MACHINES])
    parser.add_argument("--optimize", default="-O2", help="level of optimization")
    arguments = parser.parse_args()
    print("| model | MACs | instructions | flash | RAM | of it kept | right from hop |\n" + "| --- " * 7 + "|")
    for path in arguments.models:
        content = path.read_bytes()
        streamed = stream(content, arguments.hop)
        windows, pushes = samples_of(content, streamed.hop, streamed.warm_up)
        right = all_outputs(content, [windows])["output0"]
        rows = []
        for name, model, x in (("window", content, windows), (f"hop of {streamed.hop}", streamed.content, pushes)):
            outputs, instructions, flash, ram = emulated(model, x, arguments.core, arguments.optimize)
            if not np.array_equal(outputs, all_outputs(model, [x])["output0"].reshape(len(x), -1)):
                raise SystemExit(f"{path}, {name}: static C and TFLite Micro differ")
            rows.append((name, instructions, flash, ram, outputs))
        after = right.reshape(len(windows), -1)
        if not np.array_equal(rows[1][4][streamed.warm_up - 1 :], after):
            raise SystemExit(f"{path}: outputs of hops and of windows differ")
        figures = ((streamed.whole_macs, "", ""), (streamed.macs, f"{streamed.state_bytes:,}", f"{streamed.warm_up:,}"))
        for (name, instructions, flash, ram, _), (macs, kept, first) in zip(rows, figures):
            print(f"| {path.stem}, {name} | {macs:,} | {instructions:,} | {flash:,} | {ram:,} | {kept} | {first} |")
        for stop in streamed.stops:
            print(f"computed as a whole: {stop}")


def samples_of(content: bytes, hop: int, warm_up: int) -> tuple[np.ndarray, np.ndarray]:
    """Random samples as `COMPARED` windows, one a hop, and as the hops that lead to them."""
    graph = read(content)
    shape = graph.tensors[graph.inputs[0]].shape
    count, window = warm_up - 1 + COMPARED, shape[1]
    samples = np.random.default_rng(0).integers(-128, 128, (1, window + count * hop, *shape[2:])).astype(np.int8)
    ends = window + hop * np.arange(1, count + 1)
    pushes = np.stack([samples[:, end - hop : end] for end in ends])
    return np.stack([samples[:, end - window : end] for end in ends[warm_up - 1 :]]), pushes


def emulated(model: bytes, x: np.ndarray, core: str, optimize: str) -> tuple[np.ndarray, int, int, int]:
    """Outputs of all samples, (n, values), instructions of the last, and bytes of flash and RAM of the static C."""
    graph = read(model)
    given = sum(bytes_of(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs))
    values = graph.tensors[graph.outputs[0]].size
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(model, folder, "net")
        rows = "\n".join(f"{{ {', '.join(c_array('int8_t', 'x', each).rows)} }}," for each in x)
        text = MAIN.format(count=len(x), inputs=x[0].size, outputs=values, rows=rows)
        (folder / "main.c").write_text(text)
        raw = run_in_qemu(folder, core, ["net.c", "main.c"], optimize)
        printed = subprocess.run(
            ["arm-none-eabi-size", "net.o"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
    code, data, bss = (int(each) for each in printed.splitlines()[1].split()[:3])
    outputs = np.frombuffer(raw[:-4], np.int8).reshape(len(x), values)
    return outputs, int(np.frombuffer(raw[-4:], "<u4")[0]), code + data, data + bss + given


if __name__ == "__main__":
    main()
