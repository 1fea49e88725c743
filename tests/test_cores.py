"""Static C on emulated cores of several instruction sets, by GCC and by Clang; how their instructions are counted."""

import numpy as np
import pytest
from int8_graphs import random_graph
from recurrent_graphs import random_lstm
from test_aot_kernels import LAYERS
from test_aot_operators_on_chips import COMPILED, program

from micro.firmware.qemu import EMULATED, missing_for, run_in_qemu
from micro.tflite.graph import read

# Loops of two instructions.
LOOP = {
    "arm-none-eabi-": ".syntax unified\\n1: subs %0, %0, #1\\n bne 1b",
    "riscv64-unknown-elf-": "1: addi %0, %0, -1\\n bnez %0, 1b",
    "xtensa-lx106-elf-": "1: addi %0, %0, -1\\n bnez %0, 1b",
}
COUNTED = r"""
#include "app.h"
#include "console.h"
#include "ticks.h"
int main(void) {
  const int out = console_open("result.bin", 1);
  const uint32_t loops = ticks_start();
  uint32_t left = 1000000u, count;
  const uint32_t then = ticks_now();
  __asm volatile("LOOP" : "+r"(left) : : "cc");
  count = ticks_instructions(ticks_since(then), loops);
  console_write(out, &count, sizeof count);
  return 0;
}
"""
# Graphs that have the operators below between them.
SEEDS = (5000, 5002, 5004, 5005, 5007, 5008)
HAVE = {"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "MUL", "SOFTMAX", "SUB"}


def require(core, compiler="gcc"):
    missing = missing_for(core, compiler)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.mark.parametrize("core", EMULATED)
def test_instructions_of_a_loop_of_known_length_are_counted(tmp_path, core):
    require(core)
    architecture = EMULATED[core].architecture
    (tmp_path / "main.c").write_text(COUNTED.replace("LOOP", LOOP[architecture.prefix]))
    counts = [int(np.frombuffer(run_in_qemu(tmp_path, core, ["main.c"]), "<u4")[0]) for _ in range(2)]
    assert abs(counts[0] - counts[1]) <= (1 if core == "lx106" else 0)  # CCOUNT begins within a tick
    # SysTick ticks every 40 instructions; the others count each, and a few around the loop.
    assert abs(counts[0] - 2_000_000) <= (80 if architecture.prefix == "arm-none-eabi-" else 8)


@pytest.mark.parametrize(
    ("core", "compiler"), [("rv32imc", "gcc"), ("rv32imc", "clang"), ("lx106", "gcc"), ("m4f", "clang")]
)
def test_cores_of_each_instruction_set_agree_to_the_byte(tmp_path, core, compiler):
    require(core, compiler)
    nets = [*map(random_graph, SEEDS), random_lstm(2000)]
    assert {op.name for net in nets for op in read(net).ops} >= HAVE
    sources, wanted = program(nets, tmp_path, "qemu")
    assert run_in_qemu(tmp_path, core, sources, compiler=compiler) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-O2", "-Os"])
@pytest.mark.parametrize(("core", "compiler"), COMPILED)
def test_graphs_layers_around_the_sizes_of_loops_and_lstms_agree_to_the_byte(tmp_path, core, compiler, optimize):
    require(core, compiler)
    layers = [model for drawn in LAYERS.values() for model in drawn()]
    nets = [*(random_graph(6000 + n) for n in range(12)), *(random_lstm(2100 + n) for n in range(2)), *layers[::5]]
    nets = nets[::4] if core == "m0" else nets  # its flash has 256 KiB
    sources, wanted = program(nets, tmp_path, "qemu")
    assert run_in_qemu(tmp_path, core, sources, optimize, compiler) == wanted


def test_clang_has_no_xtensa(tmp_path):
    with pytest.raises(ValueError, match="clang does not compile for Xtensa"):
        run_in_qemu(tmp_path, "lx106", [], compiler="clang")
