"""What exchangeable weights cost in the firmware of a run: instructions, flash and RAM in QEMU, beside constant weights.

Usage: python scripts/bench/exchanged.py RUN [--core m4f]. The program is that of `keras-kd emulate`, whose results are compared
with Python's; it calls no function that loads or installs a record, and the linker leaves those out.
"""

from __future__ import annotations

import argparse
from typing import get_args

from micro.aot.block import Weights
from micro.firmware.emulate import emulate_firmware
from micro.runs.firmware import load_firmware
from micro.runs.kept_windows import load_windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--core", default="m4f")
    given = parser.parse_args()
    firmware = load_firmware(given.run)
    kept = load_windows(given.run, firmware)
    for weights in get_args(Weights):
        (found,) = emulate_firmware(firmware, kept, "bench", [given.core], weights)
        print(
            f"{weights}: {found.windows} windows, equal: {found.equal}; {found.front_end_instructions:,} instructions of "
            f"features, {found.inference_instructions:,} of the model; {found.flash:,} bytes of flash, {found.ram:,} of RAM, "
            f"{found.stack:,} of stack"
        )


if __name__ == "__main__":
    main()
