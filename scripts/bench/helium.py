"""Instructions of single layers on an emulated Cortex-M55, with their kernels for the vector extension MVE and without.

    python scripts/bench/helium.py [--optimize -O2]

Each layer's C is compiled twice, as it is and without the parts for MVE. Outputs are held against TFLite Micro's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from micro.aot import generate
from micro.aot.variants import IF_MVE
from micro.emission.c_text import c_array
from micro.firmware.qemu import Compiler, run_in_qemu
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

sys.path[:0] = [str(Path(__file__).parents[2] / "tests"), str(Path(__file__).parent)]
from static_c import MAIN  # noqa: E402
from test_helium import one_lstm, one_mean, one_softmax  # noqa: E402

LAYERS = {
    "LSTM, 20 steps of 16 inputs, 32 units": one_lstm(0, 20, 16, 32),
    "LSTM, 50 steps of 3 inputs, 8 units": one_lstm(0, 50, 3, 8),
    "LSTM, 25 steps of 40 inputs, 64 units": one_lstm(0, 25, 40, 64),
    "MEAN of 25 places, 64 channels": one_mean(0, (1, 5, 5, 64), (1, 2)),
    "MEAN of 300 places, 3 channels": one_mean(0, (1, 300, 3), (1,)),
    "MEAN of each of 16 rows of 32": one_mean(0, (1, 16, 32), (2,)),
    "SOFTMAX of 12": one_softmax(1, 12, 0.1),
    "SOFTMAX of each of 16 rows of 16": one_softmax(16, 16, 0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimize", default="-O2", help="level of optimization")
    optimize = parser.parse_args().optimize
    print("| layer | gcc, without MVE | gcc | fewer | clang, without MVE | clang | fewer |")
    print("| --- " * 7 + "|")
    for name, model in LAYERS.items():
        cells = []
        for compiler in ("gcc", "clang"):
            plain, vector = (instructions(model, compiler, optimize, mve) for mve in (False, True))
            cells += [f"{plain:,}", f"{vector:,}", f"{plain / vector:.1f} times"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def instructions(model: bytes, compiler: Compiler, optimize: str, mve: bool) -> int:
    """Of one inference; raises RuntimeError where an output is not TFLite Micro's."""
    graph = read(model)
    x = np.random.default_rng(0).integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
    expected = all_outputs(model, [x[None]])["output0"].reshape(-1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(model, folder, "net", storage="dense")
        if not mve:
            source = folder / "net.c"
            source.write_text(source.read_text().replace(IF_MVE, "#if 0"))
        numbers = ", ".join(c_array("int8_t", "x", x.reshape(-1)).rows)
        (folder / "main.c").write_text(MAIN.format(x=numbers, outputs=expected.size))
        found = run_in_qemu(folder, "m55", ["net.c", "main.c"], optimize, compiler)
    if found[4:] != expected.tobytes():
        raise RuntimeError("an output differs from TFLite Micro's")
    return int(np.frombuffer(found[:4], "<u4")[0])


if __name__ == "__main__":
    main()
