"""A GRU of 16 units on six inputs beside an LSTM: error of int8, flash and RAM of static C, instructions on a Cortex-M4F.

    python scripts/bench/gru_loop.py [--steps 16 49 100]

Random weights and inputs, Dense 7 behind it. Flash is text and constants at -Os, by arm-none-eabi-gcc; instructions are counted
in QEMU at -O2.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile

import keras
import numpy as np
from keras import layers

import micro
from micro.aot import generate, static_size
from micro.firmware.operator_counts import operator_counts

COMPILE = (
    "arm-none-eabi-gcc",
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfloat-abi=hard",
    "-mfpu=fpv4-sp-d16",
    "-Os",
    "-I.",
    "-c",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[16, 49, 100])
    print("| net | steps | error | .tflite | flash | RAM | instructions |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind in (layers.GRU, layers.LSTM):
        for steps in parser.parse_args().steps:
            _row(kind, steps)


def _row(kind: type[keras.Layer], steps: int) -> None:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((steps, 6)), kind(16), layers.Dense(7)])
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    x = np.random.default_rng(0).normal(size=(200, steps, 6)).astype("float32")
    converted, exact = micro.convert(model, x), model.predict(x, verbose=0)
    error = np.sqrt(np.mean((converted.predict(x) - exact) ** 2)) / exact.std()
    with tempfile.TemporaryDirectory() as folder:
        generate(converted, folder, "net")
        subprocess.run([*COMPILE, "net.c", "-o", "net.o"], cwd=folder, check=True)
        sizes = subprocess.run(["arm-none-eabi-size", "net.o"], cwd=folder, check=True, capture_output=True, text=True)
    flash = int(sizes.stdout.splitlines()[1].split()[0])
    counted = sum(each.instructions for each in operator_counts(converted, np.arange(50, dtype=np.int8), "m4f"))
    ram = static_size(converted).arena
    print(
        f"| {kind.__name__} 16 | {steps} | {error:.1%} | {len(converted.content):,} | {flash:,} | {ram:,} | {counted:,} |"
    )


if __name__ == "__main__":
    main()
