"""How soon `keras-kd monitor` finds drift of the simulated rig, and how often it cries wolf: 100 simulated machines each.

A run of the rig as `keras-kd init rig` writes it; its threshold is calibrated on 30 recordings of 4 s. Each machine then sends
the scores of starts of 4 s each, healthy for the first eight; from then on its shaft runs 20 % faster or slower, or its sensor
has another gain, or nothing has changed. Looks every 4 starts over the last 8, false-alarm rate 1 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from importlib import resources
from pathlib import Path

import numpy as np

from micro.config import load_config
from micro.datasets import rig
from micro.datasets.recording import windows
from micro.drift import watch
from micro.evaluate import run_inputs
from micro.monitoring import calibration_sessions
from micro.pipeline import run_pipeline
from micro.simulation import Firmware, load_firmware

STEADY, AFTER, EVERY, SECONDS = 8, 24, 4, 4.0
Logs = dict[int, list[np.ndarray]]
DRIFTS = {
    "nothing": ({}, 1.0),
    "shaft 20 % faster": ({"speed": 1.2}, 1.0),
    "shaft 20 % slower": ({"speed": 0.8}, 1.0),
    "gain 25 % up": ({}, 1.25),
    "gain 25 % down": ({}, 0.75),
    "gain halved": ({}, 0.5),
    "gain doubled": ({}, 2.0),
}


def starts(firmware: Firmware, machine: rig.Rig, gain: float, numbers: list[int], first: int, count: int) -> Logs:
    """Scores of some starts of each of the machines, by the run's firmware."""
    frames = []
    for number in numbers:
        for n in range(first, first + count):
            recording = rig.record(machine, SECONDS, np.random.default_rng([number, n]))
            samples = (gain * recording.samples).astype(np.float32)
            frames.append(windows(samples, firmware.front_end.window, firmware.front_end.hop))
    features = firmware.inputs(np.concatenate(frames))
    scores = firmware.detector.score(features, run_inputs(firmware.tflite, features)) * firmware.detector.score.unit
    sessions = np.split(scores, np.cumsum([len(part) for part in frames])[:-1])
    return {number: sessions[place * count : (place + 1) * count] for place, number in enumerate(numbers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/monitoring"))
    arguments = parser.parse_args()
    run = arguments.out / "rig"
    if not run.exists():
        with resources.as_file(resources.files("micro") / "configs" / "rig.toml") as path:
            told = load_config(path)
        told = told.model_copy(update={"seeds": 1, "distill": told.distill.model_copy(update={"compare": False})})
        # The sensor's end is left out: a doubled gain would reach it, and be told as its fault at once.
        run_pipeline(told.model_copy(update={"detect": told.detect.model_copy(update={"saturation": None})}), run)
    firmware, reference = load_firmware(run), calibration_sessions(run)
    ordinary = rig.Rig()
    everyone = list(range(arguments.machines))
    steady = starts(firmware, ordinary, 1.0, everyone, 0, STEADY)
    before = {number: sum(map(len, sessions)) for number, sessions in steady.items()}
    for name, (factors, gain) in DRIFTS.items():
        changed = dataclasses.replace(ordinary, speed=ordinary.speed * factors.get("speed", 1.0))
        logs = {number: list(sessions) for number, sessions in steady.items()}
        last = {number: watch(reference, log, every=EVERY, seed=number)[-1] for number, log in logs.items()}
        early = sum(look.drifted for look in last.values())
        for first in range(STEADY, STEADY + AFTER, EVERY):
            unseen = [number for number in everyone if not last[number].drifted]
            if not unseen:
                break
            for number, sessions in starts(firmware, changed, gain, unseen, first, EVERY).items():
                logs[number] += sessions
                last[number] = watch(reference, logs[number], every=EVERY, seed=number)[-1]
        found = [number for number in everyone if last[number].drifted]
        until = [last[number].windows - before[number] for number in found if last[number].windows > before[number]]
        late, missed = len(until), arguments.machines - len(found)
        told = {
            "drift": name,
            "machines": arguments.machines,
            "found before it began": early,
            "found": late,
            "not found": missed,
            "windows until found, median": float(np.median(until)) if until else None,
            "windows until found, 95 %": float(np.quantile(until, 0.95)) if until else None,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
