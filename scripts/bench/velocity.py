"""Accuracy of velocity RMS against closed forms, what it costs on emulated cores, and mm/s of the CWRU recordings.

    python scripts/bench/velocity.py [folder of the CWRU recordings]

Accuracy: the largest error of sines of 1 m/s2 at 200 random frequencies and phases, 2 bins or more inside 10 to 1,000 Hz, and
of pairs of such tones 4 bins apart or more. Costs: instructions of a sample and of the one that completes a block, at 12.8 kHz.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from micro.datasets import cwru
from micro.emission.vibration import vibration_files
from micro.firmware.qemu import compiler_command, run_in_qemu
from micro.signal.severity import borders_of
from micro.signal.velocity import Vibration, velocity_rms

HEADER = "#include <stdint.h>\n#define V_CHANNELS 1\ntypedef {} v_sample;\n"
PROGRAM = """
#include "app.h"
#include "console.h"
#include "ticks.h"
#include "v_vibration.h"
static v_vibration state;
int main(void) {
  const int out = console_open("result.bin", 1);
  const uint32_t loops = ticks_start();
  uint32_t seed = 1, n, counts[2] = {0, 0};
  v_vibration_reset(&state);
  for (n = 0; n < V_VIBRATION_SPAN; ++n) {
    v_sample sample;
    uint32_t then;
    seed = seed * 1664525u + 1013904223u;
    sample = (v_sample)((int32_t)(seed >> 17) - 16384);
    then = ticks_now();
    (void)v_vibration_push(&state, &sample);
    counts[n + 1 == V_VIBRATION_SPAN ? 1 : 0] += ticks_since(then);
  }
  counts[0] = ticks_instructions(counts[0], loops);
  counts[1] = ticks_instructions(counts[1], loops);
  console_write(out, counts, sizeof counts);
  return 0;
}
"""


def accuracy() -> None:
    print("| sample rate, Hz | window | block, s | sines, float32 | pairs, float32 | sines above 1 mm/s, fixed |")
    print("| --- " * 6 + "|")
    rng = np.random.default_rng(0)
    for rate in (2560.0, 4096.0, 12000.0, 12800.0, 25600.0, 48000.0):
        plain = Vibration(rate, "m/s2")
        fixed = Vibration(rate, "m/s2", arithmetic="fixed", full_scale=20.0)
        low, high = 10 + 2 * plain.width, 1000 - 2 * plain.width
        time = np.arange(plain.span) / rate
        errors: list[list[float]] = [[], [], []]
        for _ in range(200):
            first, second = np.exp(rng.uniform(np.log(low), np.log(high), 2))
            one, other = (
                np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6)) / (2 * np.pi * frequency) * 1e3
                for frequency in (first, second)
            )
            scale = 2 * np.pi * first / 1e3
            wanted = 1e3 / (2 * np.pi * first) / np.sqrt(2)
            errors[0].append(abs(plain.block_velocities(np.float32(one * scale)[None])[0] / wanted - 1))
            if abs(first - second) > 4 * plain.width:
                both = (2 * np.pi / 1e3) * (first * one + second * other)
                pair = np.hypot(wanted, 1e3 / (2 * np.pi * second) / np.sqrt(2))
                errors[1].append(abs(plain.block_velocities(np.float32(both)[None])[0] / pair - 1))
            peak = max(1.0, 1.0 / wanted)
            if peak < 15:
                counts = fixed.taken(one * scale * peak)
                errors[2].append(abs(fixed.block_velocities(counts[None])[0] / 1000 / (wanted * peak) - 1))
        cells = [f"{100 * max(each):.4f} %" for each in errors]
        print(f"| {rate:g} | {plain.window} | {plain.span / rate:.2f} | {' | '.join(cells)} |")


def costs() -> None:
    print("| arithmetic | core | instructions, a sample | instructions, the last of a block | .text | RAM |")
    print("| --- " * 6 + "|")
    for arithmetic in ("float32", "fixed"):
        scale = {"full_scale": 20.0} if arithmetic == "fixed" else {}
        vibration = Vibration(
            12800.0, "m/s2", window=2048, arithmetic=arithmetic, borders=borders_of(2, "rigid"), **scale
        )
        for core in ("m0", "m4f", "m33"):
            with tempfile.TemporaryDirectory() as made:
                folder = Path(made)
                for name, content in vibration_files(vibration, "0" * 64, "v").items():
                    (folder / name).write_bytes(content)
                kind = "int16_t" if arithmetic == "fixed" else "float"
                (folder / "v_front_end.h").write_text(HEADER.format(kind))
                (folder / "main.c").write_text(PROGRAM)
                each, last = np.frombuffer(run_in_qemu(folder, core, ["v_vibration.c", "main.c"]), "<u4")
                tool = compiler_command(core)[0].replace("gcc", "size")
                sizes = subprocess.run([tool, "v_vibration.o"], cwd=folder, capture_output=True, text=True, check=True)
                text = int(sizes.stdout.splitlines()[1].split()[0])
                print(
                    f"| {arithmetic} | {core} | {each / (vibration.span - 1):.0f} | {last:,} | {text:,} | {ram(vibration):,} |"
                )


def ram(vibration: Vibration) -> int:
    """Bytes of a monitor but for padding."""
    word = 8 if vibration.arithmetic == "fixed" else 4
    return 4 * vibration.window + 40 + word * vibration.average + 4 * 4 + 11


def recordings(folder: Path) -> None:
    print("| recording | mm/s, 10 to 1,000 Hz |")
    print("| --- | --- |")
    for recording in cwru.load(folder, (0, 2)):
        found = velocity_rms(recording.samples[:, 0], cwru.SAMPLE_RATE, unit="g")
        print(f"| {recording.name} | {float(found):.2f} |")


if __name__ == "__main__":
    accuracy()
    costs()
    if sys.argv[1:]:
        recordings(Path(sys.argv[1]))
