"""Instructions of each operator, counted in QEMU: together those of an inference, row by row or not."""

import shutil

import numpy as np
import pytest
from support import data_folder

from micro.aot.generate import static_files
from micro.aot.lower import lowered_graph
from micro.aot.memory import memory_of
from micro.firmware.operator_counts import operator_counts
from micro.firmware.qemu import run_in_qemu
from micro.tflite.graph import read

MAIN = """
#include "console.h"
#include "net.h"
#include "ticks.h"
static int8_t input[NET_INPUT_COUNT], output[NET_OUTPUT_COUNT];
int main(void) {
  const uint32_t loops = ticks_start(), then = ticks_now();
  uint32_t took;
  net_invoke(input, output);
  took = ticks_instructions(ticks_since(then), loops);
  console_write(console_open("result.bin", 1), &took, sizeof took);
  return 0;
}
"""


def whole(model, folder, core):
    for name, content in static_files(model, "net").items():
        (folder / name).write_bytes(content)
    (folder / "main.c").write_text(MAIN)
    return int(np.frombuffer(run_in_qemu(folder, core, ["net.c", "main.c"]), "<u4")[0])


@pytest.mark.parametrize("core", ["m4f", pytest.param("m0", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["kws_ref_model", pytest.param("conv1d", marks=pytest.mark.slow)])
def test_operators_are_counted_one_by_one_and_add_up_to_an_inference(peer_models, tmp_path, name, core):
    if not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm"))):
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm")
    folder = data_folder("mlperf_tiny") if name == "kws_ref_model" else peer_models
    model = folder / f"{name}.tflite"
    graph = read(model)
    if name == "kws_ref_model":
        assert memory_of(*lowered_graph(graph, "auto")).runs  # some are computed row by row
    counts = operator_counts(model, np.zeros(1, "int8"), core)
    assert [each.op for each in counts] == [op.name for op in graph.ops]
    took = whole(model, tmp_path, core)
    assert abs(sum(each.instructions for each in counts) - took) < 0.01 * took + 200
    for each in counts:
        # A convolution's estimate is near its count; both are of the same kernel.
        if each.op == "CONV_2D":
            assert 0.4 < each.instructions / each.estimate < 2.5
    assert all(each.instructions < 100 for each in counts if each.op == "RESHAPE")


def test_marks_stand_after_each_operator_of_the_emulated_program_alone(peer_models):
    model = peer_models / "dscnn.tflite"
    plain, marked = (static_files(model, "net", marks=header)["net.c"].decode() for header in ("", "done.h"))
    assert "operator_done" not in plain
    assert all(f"operator_done({number});" in marked for number in range(len(read(model).ops)))
    without = [line for line in marked.splitlines() if "operator_done" not in line and '"done.h"' not in line]
    assert without == plain.splitlines()
