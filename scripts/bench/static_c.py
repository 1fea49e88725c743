"""Static C on an emulated core, on a Cortex-M beside TFLite Micro with CMSIS-NN: instructions an inference, code, weights, RAM.

    python scripts/bench/static_c.py [MODEL.tflite ...] [--core m4f] [--optimize=-O2,-Os] [--compiler gcc] [--sparse]
        [--exchangeable]

Without models: the four of MLPerf Tiny and the three in the shared data's peer_models. Instructions are those of a whole
inference without the closing softmax; code and RAM are those of the whole model. RAM: with input and output in buffers of their
own, with all in one arena, and what no placement goes below. Figures of TFLite Micro are of GCC, the same core and emulator.
Cores: m0, m4f and m33 (Cortex-M), rv32imc (RISC-V), lx106 (Xtensa LX106). With --sparse each model also with
80 % of every Dense and Conv2D kernel at zero, stored as it is and without its zeros. With --exchangeable each also with its
numbers in a block that can be exchanged; code is then without those that are held once an output (biases, multipliers).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

from micro.aot import generate, static_size
from micro.aot.block import Weights
from micro.aot.weight_layout import Storage, stored
from micro.emission.c_text import c_array
from micro.errors import RunError
from micro.firmware.qemu import EMULATED, Compiler, run_in_qemu
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, Op, packed, read, schema_module
from micro.tflite.interpreter import all_outputs
from micro.tflite.sigmoids import sigmoid_table

MAIN = """
#include <stdint.h>
#include "app.h"
#include "console.h"
#include "net.h"
#include "ticks.h"
static const int8_t x[] = {{ {x} }};
static int8_t y[{outputs}];
int main(void) {{
  const int out = console_open("result.bin", 1);
  const uint32_t loops = ticks_start(), then = ticks_now();
  uint32_t instructions;
  net_invoke(x, y);
  instructions = ticks_instructions(ticks_since(then), loops);
  console_write(out, &instructions, sizeof instructions);
  console_write(out, y, sizeof y);
  return 0;
}}
"""


# Instructions of an inference with CMSIS-NN on a Cortex-M4F, at -O2 and -Os, where they were measured: of MLPerf Tiny's models
# those of its functions alone, without an interpreter; of the other three of the whole TFLite Micro.
CMSIS_NN: dict[str, dict[str, int]] = {
    "ad01_int8": {"-O2": 580_240, "-Os": 840_600},
    "kws_ref_model": {"-O2": 7_691_440, "-Os": 9_219_280},
    "person_detect": {"-O2": 22_918_400, "-Os": 27_094_720},
    "pretrainedResnet_quant": {"-O2": 29_855_800, "-Os": 41_065_360},
    "vww_96_int8": {"-O2": 24_091_840, "-Os": 28_546_560},
    "str_ww_ref_model": {"-O2": 2_222_800, "-Os": 2_552_720},
    "ae": {"-O2": 596_800, "-Os": 890_440},
    "conv1d": {"-O2": 549_960, "-Os": 688_920},
    "dscnn": {"-O2": 2_918_040, "-Os": 3_270_280},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--core", default="m4f", choices=list(EMULATED))
    parser.add_argument("--optimize", default="-O2,-Os", help="levels of optimization, with commas between them")
    parser.add_argument("--compiler", default="gcc", choices=get_args(Compiler))
    parser.add_argument("--sparse", action="store_true", help="also with 80 %% of the weights at zero")
    parser.add_argument("--exchangeable", action="store_true", help="also with numbers that can be exchanged")
    arguments = parser.parse_args()
    levels = arguments.optimize.split(",")
    data = Path(os.environ.get("KERAS_KD_DATA", Path(__file__).parents[3] / "shared" / "data"))
    named = [path for folder in ("mlperf_tiny", "peer_models") for path in sorted((data / folder).glob("*.tflite"))]
    columns = [f"{level} | per MAC | CMSIS-NN | code" for level in levels]
    print(f"| model | MACs | {' | '.join(columns)} | weights | RAM | shared arena | bound |")
    print("| --- " * (6 + 4 * len(levels)) + "|")
    for path in arguments.models or named:
        content = path.read_bytes()
        options = (arguments.core, levels, arguments.compiler)
        print(row(path.stem, content, "dense", *options), flush=True)
        if arguments.exchangeable:
            print(row(f"{path.stem}, exchangeable", content, "dense", *options, "exchangeable"), flush=True)
        if arguments.sparse:
            sparse = pruned(content, 0.8)
            print(row(f"{path.stem}, 80 % zeros, dense", sparse, "dense", *options), flush=True)
            print(row(f"{path.stem}, 80 % zeros, sparse", sparse, "small", *options), flush=True)


def row(
    name: str,
    model: bytes,
    storage: Storage,
    core: str,
    levels: list[str],
    compiler: Compiler,
    weights: Weights = "constant",
) -> str:
    """A row of the table; of a model that cannot be run there, why."""
    macs = measure(model).macs
    cells = [name, f"{macs:,}"]
    for level in levels:
        try:
            counted = figures(without_softmax(model), storage, core, level, compiler, weights)
            whole = figures(model, storage, core, level, compiler, weights)
        except RunError as error:
            reason = "does not fit" if "overflowed" in str(error) else str(error)
            return f"| {name} | {macs:,} | {reason} |"
        instructions = counted["instructions"]
        theirs = CMSIS_NN.get(name, {}).get(level) if core == "m4f" else None
        cells += [
            f"{instructions:,}",
            f"{instructions / macs:.2f}",
            f"{theirs:,}" if theirs else "",
            f"{whole['code']:,}",
        ]
    sizes = [f"{whole[name]:,}" for name in ("weights", "buffers", "shared", "bound")]
    return f"| {' | '.join([*cells, *sizes])} |"


def without_softmax(content: bytes) -> bytes:
    """The model whose output is the input of its closing softmax; the model itself if it ends otherwise."""
    schema = schema_module()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    if read(content).ops[-1].name != "SOFTMAX":
        return content
    graph.outputs = [int(graph.operators.pop().inputs[0])]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = graph.outputs[0]
    return packed(model)


def pruned(content: bytes, share: float) -> bytes:
    """The model with that many of each Dense and Conv2D kernel's weights, the smallest, at zero."""
    schema = schema_module()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = read(content)
    for op in graph.ops:
        if op.name in ("FULLY_CONNECTED", "CONV_2D"):
            buffer = model.buffers[model.subgraphs[0].tensors[op.inputs[1]].buffer]
            values = np.frombuffer(bytes(buffer.data), np.int8).copy()
            order = np.argsort(np.abs(values.astype(np.int32)), kind="stable")
            values[order[: round(share * values.size)]] = 0
            buffer.data = values.view(np.uint8)
    return packed(model)


def figures(
    model: bytes,
    storage: Storage,
    core: str,
    optimize: str,
    compiler: Compiler = "gcc",
    weights: Weights = "constant",
) -> dict[str, int]:
    """Instructions of one inference, and bytes of code and RAM of the static C; its output is held against TFLite Micro's."""
    graph, size = read(model), static_size(model, storage)
    shape = graph.tensors[graph.inputs[0]].shape
    x = np.random.default_rng(0).integers(-128, 128, (1, *shape)).astype(np.int8)
    expected = all_outputs(model, [x])["output0"].reshape(-1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(model, folder, "net", storage=storage, weights=weights)
        numbers = ", ".join(c_array("int8_t", "x", x).rows)
        (folder / "main.c").write_text(MAIN.format(x=numbers, outputs=expected.size))
        raw = run_in_qemu(folder, core, ["net.c", "main.c"], optimize, compiler)
        found = np.frombuffer(raw[4:], np.int8)
        if not np.array_equal(found, expected):
            raise SystemExit(
                f"{core} {optimize}: {np.count_nonzero(found != expected)} outputs differ from TFLite Micro's"
            )
        printed = subprocess.run(
            [f"{EMULATED[core].architecture.prefix}size", "net.o"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        sizes = printed.splitlines()[1].split()
        text, data, bss = (int(each) for each in sizes[:3])
        kernels = kernel_bytes(graph, storage)
        # Biases, multipliers and powers are the model's too; tables of lookups count as code.
        model_data = kernels + sum(_channel_bytes(graph, op) for op in graph.ops)
    return {
        "instructions": int(np.frombuffer(raw[:4], "<u4")[0]),
        "code": text + data - model_data,
        "weights": kernels,
        "ram": data + bss,
        "buffers": data + bss + x.size + expected.size,
        "shared": size.shared,
        "bound": size.bound,
    }


def kernel_bytes(graph: Graph, storage: Storage) -> int:
    """Bytes of kernels as static C stores them."""
    total = 0
    for op in graph.ops:
        if op.name == "DEPTHWISE_CONV_2D":
            total += graph.tensors[op.inputs[1]].size
        elif op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            total += sum(graph.tensors[i].size for i in op.inputs[1:9])
        elif op.name in ("FULLY_CONNECTED", "CONV_2D"):
            tensor = graph.tensors[op.inputs[1]]
            shape = tensor.shape
            length = shape[1] if len(shape) == 2 else shape[2] * shape[3]
            filters = np.frombuffer(tensor.data or b"", np.int8).reshape(shape[0], -1, length)
            total += sum(array.nbytes for array in stored(filters, storage)[1])
    return total


def _channel_bytes(graph: Graph, op: Op) -> int:
    """Bytes of an operator's biases, multipliers and powers, and of an LSTM's curve."""
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return sum(graph.tensors[i].size * 4 for i in op.inputs[12:16]) + 11 * 5 + 2 * len(sigmoid_table())
    if op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    bias = graph.tensors[op.inputs[2]].size * 4 if len(op.inputs) > 2 and op.inputs[2] >= 0 else 0
    quantization = graph.tensors[op.inputs[1]].quantization
    return bias + 5 * len(quantization.scale if quantization else ())


if __name__ == "__main__":
    main()
