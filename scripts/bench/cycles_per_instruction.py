"""Cycles that an instruction takes on real boards: published times of CMSIS-NN over its instructions, counted in the emulator.

    python scripts/bench/cycles_per_instruction.py CMSIS_NN_FOLDER [m4f m33]

CMSIS_NN_FOLDER is a checkout of github ARM-software/CMSIS-NN. Its convolutions and Dense layers run in QEMU in the sizes that
the four nets of the shared data's mlperf_tiny have; board_times.toml has the times. What these say of other compiled C is in
micro/targets/cores.toml: the range of `cycles`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from board_times import HERE, MODELS

from micro.emission.c_text import render
from micro.firmware.boards import BARE, MACHINES, PLAIN_STAGE
from micro.tflite.graph import Graph, Op, read

CALLS = {
    "CONV_2D": "arm_convolve_wrapper_s8(&context, &convolution, &channels, {shapes});",
    "DEPTHWISE_CONV_2D": "arm_depthwise_conv_wrapper_s8(&context, &depthwise, &channels, {shapes});",
    "FULLY_CONNECTED": "arm_fully_connected_s8(&context, &dense, &tensor, {shapes});",
}
MAIN = """
#include <stdint.h>
#include "arm_nnfunctions.h"
#include "app.h"
#include "console.h"
#include "ticks.h"
static int8_t x[65536], y[65536], weights[131072];
static int32_t buffer[16384], multiplier[1024], shift[1024], bias[1024];
int main(void) {{
  const int out = console_open("result.bin", 1);
  uint32_t loops, then, instructions;
  cmsis_nn_context context = {{buffer, sizeof buffer}};
  cmsis_nn_per_channel_quant_params channels = {{multiplier, shift}};
  cmsis_nn_per_tensor_quant_params tensor = {{1 << 30, -7}};
  cmsis_nn_fc_params dense = {{3, 0, 4, {{-128, 127}}}};
  for (int i = 0; i < 1024; i++) {{ multiplier[i] = 1 << 30; shift[i] = -7; }}
  loops = ticks_start();
  then = ticks_now();
{calls}
  instructions = ticks_instructions(ticks_since(then), loops);
  console_write(out, &instructions, sizeof instructions);
  return 0;
}}
"""


def dims(shape: tuple[int, ...]) -> str:
    return "&(cmsis_nn_dims){" + ", ".join(map(str, shape)) + "}"


def call(op: Op, graph: Graph) -> str:
    """One operator as C."""
    x, w, y = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    if op.name == "FULLY_CONNECTED":
        shapes = [(1, 1, 1, w.shape[1]), (w.shape[1], 1, 1, w.shape[0]), (1, 1, 1, w.shape[0]), (1, 1, 1, w.shape[0])]
        setup = ""
    else:
        shapes = [x.shape, w.shape, (1, 1, 1, y.shape[3]), y.shape]
        stride = op.options.get("strideW", 1), op.options.get("strideH", 1)
        pads = [
            max((o - 1) * s + k - n, 0) // 2
            for o, s, k, n in zip(y.shape[2:0:-1], stride, w.shape[2:0:-1], x.shape[2:0:-1])
        ]
        common = f"{{{stride[0]}, {stride[1]}}}, {{{pads[0]}, {pads[1]}}}, {{1, 1}}, {{-128, 127}}}};"
        setup = f"cmsis_nn_conv_params convolution = {{3, 4, {common} (void)convolution; "
        setup += f"cmsis_nn_dw_conv_params depthwise = {{3, 4, 1, {common} (void)depthwise; "
    names = ("x", "weights", "bias", "y")
    text = ", ".join(f"{dims(shape)}, {name}" for shape, name in zip(shapes, names))
    return f"  {{ {setup}{CALLS[op.name].format(shapes=text)} }}"


def instructions(graph: Graph, core: str, sources: Path) -> int:
    """Instructions of a net's convolutions and Dense layers."""
    machine = next(each for each in MACHINES if each.core == core)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, template in {**BARE, "app.h": "common/app.h.j2", "link.ld": "bare-cortex-m/link.ld.j2"}.items():
            values = {"name": "program", "machine": machine, "runtime": "static", **PLAIN_STAGE}
            (folder / name).write_text(render(template, values, "firmware/templates"))
        calls = "\n".join(call(op, graph) for op in graph.ops if op.name in CALLS)
        (folder / "main.c").write_text(MAIN.format(calls=calls))
        parts = ("Convolution", "FullyConnected", "NNSupport")
        found = [path for part in parts for path in (sources / "Source" / f"{part}Functions").glob("*.c")]
        kernels = [str(path) for path in found if not path.stem.endswith(("f16", "f32", "flt"))]
        every = [*kernels, "main.c", *(name for name in BARE if name.endswith(".c"))]
        command = ["arm-none-eabi-gcc", *machine.flags.split(), "-O2", "-w", f"-I{sources / 'Include'}", "-I.", *every]
        command += ["-ffunction-sections", "-Wl,--gc-sections", "-T", "link.ld", "-nostartfiles"]
        subprocess.run([*command, "--specs=nano.specs", "--specs=nosys.specs", "-o", "p.elf"], cwd=folder, check=True)
        emulator = ["qemu-system-arm", "-M", machine.qemu, "-nographic", "-monitor", "none", "-serial", "none"]
        emulator += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", "p.elf"]
        subprocess.run(emulator, cwd=folder, check=True, timeout=300)
        return int(np.frombuffer((folder / "result.bin").read_bytes(), "<u4")[0])


def main() -> None:
    sources = Path(sys.argv[1]).resolve()
    published = tomllib.loads((HERE / "board_times.toml").read_text())
    nets = {
        name: read(HERE.parents[2] / "shared" / "data" / "mlperf_tiny" / f"{f}.tflite") for name, f in MODELS.items()
    }
    for core in sys.argv[2:] or ("m4f", "m33"):
        counted = {name: instructions(graph, core, sources) for name, graph in nets.items()}
        for entry in (*published["layers"], *published["whole"]):
            if entry["core"] not in {"m4f": ("m4f", "m7"), "m33": ("m33",)}[core]:
                continue
            for name in (each for each in MODELS if each in entry):
                known = entry[name]
                us = sum(known.get(op, 0) for op in CALLS) if isinstance(known, dict) else 1e3 * known
                print(
                    f"{entry['board']}: {name} {us * entry['mhz'] / counted[name]:.2f} cycles an instruction",
                    flush=True,
                )


if __name__ == "__main__":
    main()
