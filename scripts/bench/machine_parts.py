"""What three parts add to a detector's firmware on emulated cores: a machine that is off, a tachometer, a device's own sensor.

Usage: python scripts/bench/machine_parts.py RUN, with a run of one channel without modes, such as one of the rig. Flash, RAM
and instructions are those of a program that pushes samples and calls what belongs to each part, and that stores no records;
the tachometer is beside a detector with operating modes.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from micro.aot.generate import static_files
from micro.detection.detector import Detector
from micro.detection.modes import Modes, Ranges
from micro.emission.detector import detector_files
from micro.emission.tachometer import tachometer_files
from micro.firmware.qemu import compiler_command, run_in_qemu
from micro.runs.firmware import Firmware, load_firmware
from micro.signal import FrontEnd
from micro.signal.tachometer import Tachometer
from micro.support.files import sha256
from micro.tflite.graph import read

WINDOWS, PULSES, SENSOR_CHANNELS = 8, 1000, 3
SIZES = {"WINDOWS": WINDOWS, "PULSES": PULSES, "MOST": SENSOR_CHANNELS, "ROWS": 61}
PROGRAM = r"""
#include <string.h>
#include "app.h"
#include "console.h"
#include "ticks.h"
#include "d.h"
#include "d_detector.h"
#ifdef SENSOR
#include "d_sensor.h"
#else
#define D_SENSOR_CHANNELS D_CHANNELS
#endif
static d_detector detector;
#ifdef SHAFT
#include "d_tachometer.h"
static d_tachometer shaft;
#endif
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
static d_sample drawn[ROWS][MOST];
int main(void) {
  const int out = console_open("result.bin", 1);
  const uint32_t loops = ticks_start();
  uint32_t seed = 1, n, c, then, judged = 0, windows = 0, counts[3] = {0, 0, 0};
  for (n = 0; n < ROWS; ++n) {
    for (c = 0; c < D_SENSOR_CHANNELS; ++c) {
      seed = seed * 1664525u + 1013904223u;
      drawn[n][c] = (d_sample)((int32_t)(seed >> 19) - 4096) * UNIT;
    }
  }
  d_detector_reset(&detector);
#ifdef SHAFT
  d_tachometer_reset(&shaft);
  then = ticks_now();
  for (n = 0; n < PULSES; ++n) d_tachometer_pulse(&shaft, n * 60000u);
  counts[2] = ticks_since(then);
#endif
  then = ticks_now();
  for (n = 0; windows < WINDOWS; ++n) {
    d_sample sample[D_CHANNELS];
    d_status status;
#ifdef SENSOR
    d_sensor_apply(&detector.parameters->sensor, drawn[n % ROWS], sample);
#else
    (void)memcpy(sample, drawn[n % ROWS], sizeof sample);
#endif
#ifdef MODES
    {
      MODES speed = 1000;
#ifdef SHAFT
      (void)d_tachometer_speed(&shaft, PULSES * 60000u - 30000u, &speed);
#endif
      d_detector_set_speed(&detector, speed);
    }
#endif
    status = d_detector_push(&detector, sample);
    windows += status == D_WAITING ? 0u : 1u;
    judged += status == D_HEALTHY || status == D_ALARM ? 1u : 0u;
  }
  counts[0] = ticks_instructions(ticks_since(then), loops);
  counts[1] = judged;
  counts[2] = ticks_instructions(counts[2], loops);
  console_write(out, counts, sizeof counts);
  return 0;
}
"""


def variants(firmware: Firmware) -> dict[str, Firmware]:
    """By name: the firmware, and with each part."""
    decider, front_end = firmware.decider, firmware.front_end
    assert isinstance(decider, Detector)
    assert isinstance(front_end, FrontEnd)
    counts = 32768 / (front_end.full_scale or 1.0) if front_end.arithmetic == "fixed" else 1.0
    off = replace(decider, off_rms=(1e-3 * counts,))
    ranges = Ranges("rpm", (500.0, 900.0, 3000.0), 50.0, 1.0 if front_end.arithmetic == "fixed" else None)
    modes = replace(decider, modes=Modes(ranges, ((decider.threshold, decider.clear_threshold),) * 2))
    shaft = Tachometer(1, 500.0, 3000.0)
    return {
        "without": firmware,
        "off_rms": replace(firmware, decider=off),
        f"sensor_channels = {SENSOR_CHANNELS}": replace(firmware, sensor_channels=SENSOR_CHANNELS),
        "modes": replace(firmware, decider=modes),
        "modes and tachometer": replace(firmware, decider=modes, tachometer=shaft),
    }


def measured(firmware: Firmware, core: str) -> tuple[int, int, float, float]:
    """Bytes of flash and RAM; instructions of a window's samples with what the last of them does, and of a pulse."""
    decider, front_end = firmware.decider, firmware.front_end
    assert isinstance(decider, Detector)
    assert isinstance(front_end, FrontEnd)
    graph, digest = read(firmware.tflite), sha256(firmware.tflite)
    around = (front_end, firmware.scaling, decider, graph, digest, "d", None, firmware.sensor_channels)
    files = {**detector_files(*around), **static_files(firmware.tflite, "d")}
    fixed = front_end.arithmetic == "fixed"
    defined = "".join(f"#define {key} {value}u\n" for key, value in SIZES.items())
    defined += f"#define UNIT {'1' if fixed else '1e-3f'}\n"
    defined += "#define SENSOR 1\n" if firmware.sensor_channels else ""
    if decider.modes is not None:
        defined += f"#define MODES {'int32_t' if fixed else 'float'}\n"
    if firmware.tachometer is not None:
        defined += "#define SHAFT 1\n"
        files |= tachometer_files(firmware.tachometer, front_end, decider.modes.ranges if decider.modes else None, "d")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, content in (files | {"main.c": (defined + PROGRAM).encode()}).items():
            (folder / name).write_bytes(content)
        sources = ["main.c", *sorted(name for name in files if name.endswith(".c"))]
        spent, judged, pulses = np.frombuffer(run_in_qemu(folder, core, sources, "-Os"), "<u4").tolist()
        assert judged == WINDOWS
        tool = compiler_command(core)[0].replace("gcc", "size")
        said = subprocess.run([tool, "program.elf"], cwd=folder, capture_output=True, text=True, check=True)
    text, data, bss = map(int, said.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss, spent / WINDOWS, pulses / PULSES


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    firmware = load_firmware(parser.parse_args().run)
    fixed = replace(firmware, front_end=replace(firmware.front_end, arithmetic="fixed", full_scale=16.0))
    print("| front end | core | firmware | flash | RAM | instructions, a window with its samples | a pulse |")
    print("| --- " * 7 + "|")
    for arithmetic, of in (("float32", firmware), ("fixed", fixed)):
        limit = None if of.decider.saturation is None else 32766.5
        of = of if arithmetic == "float32" else replace(of, decider=replace(of.decider, saturation=limit))
        for core in ("m0", "m4f"):
            for name, each in variants(of).items():
                cells = " | ".join(f"{value:,.0f}" for value in measured(each, core))
                print(f"| {arithmetic} | {core} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
