"""What a summary costs and what it shows: bytes, flash and RAM on a Cortex-M0, and drift found with and without every score.

Usage: python scripts/bench/summaries.py [RUN] [--trials 400]; the sizes on a chip are those of RUN. Needs arm-none-eabi-gcc.
Drift: calibration of 16 sessions of 60 windows and logs of 16, whose sessions differ in gain by 15 % and whose windows differ
by 35 %, as logarithms. A log of every window is compared, and summaries of the same windows are; also those of longer periods.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from micro.detection.drift import watch, watch_histograms
from micro.detection.record import MadeFor
from micro.detection.score_bins import counts_of
from micro.detection.summary import feature_part, summarized
from micro.detection.summary_format import largest_summary
from micro.emission.detector import detector_files
from micro.emission.summary import summary_files
from micro.runs.firmware import Firmware
from micro.support.files import sha256
from micro.tflite.graph import read

THRESHOLD, WINDOWS, SESSIONS = 100_000, 60, 16
OF = MadeFor(b"model..1", b"front..1", b"score..1")
M0 = ("arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-std=c99", "-Os", "-ffp-contract=off", "-c", "d_summary.c")


def session(rng: np.random.Generator, windows: int = WINDOWS, gain: float = 1.0) -> np.ndarray:
    """Scores of a start of the machine."""
    scores = THRESHOLD * 0.35 * gain * np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.35, windows))
    return scores.astype(np.int64)


def sizes() -> None:
    """Bytes of summaries, and of the module on a Cortex-M0."""
    rng = np.random.default_rng(0)
    for windows in (60, 1000, 86_400):
        made = summarized(session(rng, windows), np.ones(windows, int), THRESHOLD, OF, sequence=100)
        features = rng.integers(-60, 60, (windows, 28)).astype(np.int8)
        part = feature_part(features, OF, 100).to_bytes()
        print(f"{windows} windows: {len(made.to_bytes())} bytes, a part of 28 features {len(part)}")
    for vibration, learns in ((False, False), (True, False), (True, True)):
        print(
            f"longest, vibration {vibration}, learns {learns}: {largest_summary(3, vibration=vibration, learns=learns)}"
        )


def module(firmware: Firmware) -> None:
    """Flash and RAM of the module for a detector's firmware."""
    digest = sha256(firmware.tflite)
    files = detector_files(firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), digest, "d")
    files |= summary_files(firmware.front_end, firmware.decider, digest, "d")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        (Path(folder) / "state.c").write_text(
            '#include "d_summary.h"\nd_summary state;\nd_summary_features features;\n'
        )
        subprocess.run(M0, cwd=folder, check=True)
        subprocess.run([*M0[:-1], "state.c"], cwd=folder, check=True)
        said = subprocess.run(
            ["arm-none-eabi-size", "d_summary.o", "state.o"], cwd=folder, capture_output=True, text=True
        )
        symbols = subprocess.run(["arm-none-eabi-nm", "-S", "state.o"], cwd=folder, capture_output=True, text=True)
    print(said.stdout, symbols.stdout, f"of {firmware.front_end.shape} features", sep="")


def drift(trials: int) -> None:
    """How often drift is reported."""
    rng = np.random.default_rng(0)

    def counted(sessions: list[np.ndarray]) -> np.ndarray:
        return np.stack([counts_of(scores, THRESHOLD) for scores in sessions])

    for gain, length, rate in (
        (1.0, 1, 0.05),
        (1.0, 10, 0.05),
        (1.0, 100, 0.05),
        (1.2, 1, 0.01),
        (1.3, 1, 0.01),
        (1.5, 1, 0.01),
    ):
        found = np.zeros(2)
        for seed in range(trials):
            reference = [session(rng) for _ in range(SESSIONS)]
            log = [session(rng, WINDOWS * length, gain) for _ in range(SESSIONS)]
            options = {"false_alarm_rate": rate, "seed": seed}
            found += (
                watch(reference, log, **options)[-1].drifted,
                watch_histograms(counted(reference), counted(log), **options)[-1].drifted,
            )
        every, summaries = found / trials
        print(
            f"gain {gain}, periods {length} times as long, rate {rate}: every window {every:.3f}, summaries {summaries:.3f}"
        )


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("run", nargs="?", help="a run whose features the module's sizes are of")
    arguments = parser.parse_args()
    sizes()
    if arguments.run:
        from micro.runs.firmware import load_firmware

        module(load_firmware(arguments.run))
    drift(arguments.trials)


if __name__ == "__main__":
    main()
