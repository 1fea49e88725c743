"""Static C on an emulated Cortex-M4 beside TFLite Micro's figures: code, RAM, instructions an inference.

    python scripts/bench/static_c.py [MODEL.tflite ...] [--core m4f] [--optimise=-O2]

Without models: the three in the shared data's peer_models, whose README has TFLite Micro's figures on the same machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from micro.aot import generate
from micro.emission.c_array import c_array, render
from micro.firmware.boards import MACHINES
from micro.graph import read
from micro.tflm import all_outputs, measure

FOLDER = "firmware/templates"
MAIN = """
#include <stdint.h>
#include "app.h"
#include "console.h"
#include "m.h"
static const int8_t x[] = {{ {x} }};
static int8_t y[{outputs}];
int main(void) {{
  volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010u;
  uint32_t then, told[2], left = 100000u;
  int out = console_open("result.bin", 1);
  systick[1] = 0xffffffu;
  systick[2] = 0;
  systick[0] = 5;
  then = systick[2];
  __asm volatile(".syntax unified\\n1: subs %0, %0, #1\\n bne 1b" : "+l"(left) : : "cc");
  told[1] = (then - systick[2]) & 0xffffffu;
  then = systick[2];
  m_invoke(x, y);
  told[0] = (then - systick[2]) & 0xffffffu;
  console_write(out, told, sizeof told);
  console_write(out, y, sizeof y);
  return 0;
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--core", default="m4f", choices=[machine.core for machine in MACHINES])
    parser.add_argument("--optimise", default="-O2")
    told = parser.parse_args()
    peers = Path(os.environ.get("KERAS_KD_DATA", Path(__file__).parents[3] / "shared" / "data")) / "peer_models"
    print("| model | MACs | instructions an inference | per MAC | code beside weights | RAM |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model in told.models or sorted(peers.glob("*.tflite")):
        row = figures(model, told.core, told.optimise)
        macs = measure(model).macs
        print(
            f"| {model.stem} | {macs:,} | {row['instructions']:,} | {row['instructions'] / macs:.2f} | {row['code']:,} "
            f"| {row['ram']:,} |",
            flush=True,
        )


def figures(model: Path, core: str, optimise: str) -> dict[str, int]:
    """Instructions of one inference, and bytes of code and RAM of the static C; its output is held against TFLite Micro's."""
    machine = next(each for each in MACHINES if each.core == core)
    graph = read(model)
    shape = graph.tensors[graph.inputs[0]].shape
    x = np.random.default_rng(0).integers(-128, 128, (1, *shape)).astype(np.int8)
    expected = all_outputs(model, [x])["output0"].reshape(-1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(model, folder, "m")
        for name in ("startup.c", "console.c", "console.h"):
            (folder / name).write_text(render(f"bare-cortex-m/{name}.j2", {}, FOLDER))
        (folder / "app.h").write_text(render("common/app.h.j2", {"name": "m"}, FOLDER))
        (folder / "link.ld").write_text(render("bare-cortex-m/link.ld.j2", {"machine": machine}, FOLDER))
        numbers = ", ".join(c_array("int8_t", "x", x)["rows"])
        (folder / "main.c").write_text(MAIN.format(x=numbers, outputs=expected.size))
        flags = [*machine.flags.split(), "-std=c99", optimise, "-ffunction-sections", "-fdata-sections"]
        compile_ = ["arm-none-eabi-gcc", *flags, "-Wall", "-Wextra", "-Werror", "-Wconversion"]
        run(folder, *compile_, "-c", "m.c")
        run(folder, *compile_, "-T", "link.ld", "-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs",
            "m.o", "startup.c", "console.c", "main.c", "-o", "m.elf")  # fmt: skip
        run(folder, "qemu-system-arm", "-M", machine.qemu, "-nographic", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", "m.elf")  # fmt: skip
        raw = (folder / "result.bin").read_bytes()
        ticks, loops = np.frombuffer(raw[:8], "<u4")
        found = np.frombuffer(raw[8:], np.int8)
        if not np.array_equal(found, expected):
            raise SystemExit(f"{model}: {np.count_nonzero(found != expected)} outputs differ from TFLite Micro's")
        sizes = run(folder, "arm-none-eabi-size", "m.o").splitlines()[1].split()
        text, data, bss = (int(each) for each in sizes[:3])
    weights = sum(
        len(tensor.data or b"")
        for op in graph.ops
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for tensor in (graph.tensors[i] for i in op.inputs[1:3] if i >= 0)
    )
    # A multiplier of 32 bits and a power of 8 for each scale; TFLite Micro's code does not count them either.
    weights += sum(
        5 * len(quantization.scale)
        for op in graph.ops
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        if (quantization := graph.tensors[op.inputs[1]].quantization) is not None
    )
    return {"instructions": int(ticks) * 200_000 // int(loops), "code": text + data - weights, "ram": data + bss}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
