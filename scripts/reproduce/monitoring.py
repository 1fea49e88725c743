"""How soon `keras-kd monitor` finds drift of the simulated rig, and how often it is wrong: 100 simulated machines each.

A run of the rig as `keras-kd init rig` writes it; its threshold is calibrated on 30 recordings of 4 s. Each machine then sends
the scores of starts of 4 s each, healthy for the first eight; from then on its shaft runs 20 % faster or slower, or its sensor
has another gain, or nothing has changed. Given for logs of scores alone and for logs with the model's input features.
Checks every 4 starts over the last 8, false-alarm rate 1 %.
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
from micro.detection.drift import DriftCheck, watch
from micro.runs.baseline import calibration_features, calibration_sessions
from micro.runs.firmware import Firmware, load_firmware
from micro.runs.start import run_pipeline
from micro.tflite.interpreter import run_inputs

STEADY, AFTER, EVERY, SECONDS = 8, 24, 4, 4.0
DRIFTS = {
    "nothing": ({}, 1.0),
    "shaft 20 % faster": ({"speed": 1.2}, 1.0),
    "shaft 20 % slower": ({"speed": 0.8}, 1.0),
    "gain 25 % up": ({}, 1.25),
    "gain 25 % down": ({}, 0.75),
    "gain halved": ({}, 0.5),
    "gain doubled": ({}, 2.0),
}


@dataclasses.dataclass
class Machine:
    """What one machine has sent home: scores of each start, and means of its model's input features."""

    scores: list[np.ndarray] = dataclasses.field(default_factory=list)
    features: list[np.ndarray] = dataclasses.field(default_factory=list)

    def copy(self) -> Machine:
        return Machine(list(self.scores), list(self.features))

    def check(self, reference: Reference, with_features: bool, seed: int) -> DriftCheck:
        """The last check of what it has sent so far."""
        features = (reference.features, np.stack(self.features)) if with_features else None
        return watch(reference.scores, self.scores, features=features, every=EVERY, seed=seed)[-1]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the run's calibration was like: scores of each start, and means of the model's input features."""

    scores: list[np.ndarray]
    features: np.ndarray


def send(machines: dict[int, Machine], firmware: Firmware, made: rig.Rig, gain: float, first: int, count: int) -> None:
    """Add some starts of each of the machines, scored by the run's firmware, to what they have sent."""
    for number, machine in machines.items():
        frames = []
        for n in range(first, first + count):
            samples = gain * rig.simulate_rig(made, SECONDS, np.random.default_rng([number, n])).samples
            frames.append(windows(samples.astype(np.float32), firmware.front_end.window, firmware.front_end.hop))
        features = firmware.features(np.concatenate(frames))
        scores = firmware.decider.score(features, run_inputs(firmware.tflite, features)) * firmware.decider.score.unit
        ends = np.cumsum([len(part) for part in frames])[:-1]
        machine.scores += np.split(scores, ends)
        machine.features += [part.mean(axis=0) for part in np.split(features, ends)]


def found_after(
    steady: dict[int, Machine], firmware: Firmware, reference: Reference, factors: dict[str, float], gain: float
) -> dict[bool, dict[int, int]]:
    """With scores alone and with features: machines found, and windows since the drift began (0 or less: before it did)."""
    ordinary = rig.Rig()
    changed = dataclasses.replace(ordinary, speed=ordinary.speed * factors.get("speed", 1.0))
    before = {number: sum(map(len, machine.scores)) for number, machine in steady.items()}
    logs = {number: machine.copy() for number, machine in steady.items()}
    found: dict[bool, dict[int, int]] = {False: {}, True: {}}
    for first in range(STEADY, STEADY + AFTER + 1, EVERY):
        for with_features, ended in found.items():
            for number in set(logs) - set(ended):
                check = logs[number].check(reference, with_features, number)
                if check.drifted:
                    ended[number] = check.windows - before[number]
        waiting = {n: machine for n, machine in logs.items() if any(n not in ended for ended in found.values())}
        if waiting and first < STEADY + AFTER:
            send(waiting, firmware, changed, gain, first, EVERY)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/monitoring"))
    arguments = parser.parse_args()
    run = arguments.out / "rig"
    if not run.exists():
        with resources.as_file(resources.files("micro.config") / "jobs" / "rig.toml") as path:
            single = load_config(path)
        single = single.model_copy(update={"seeds": 1, "distill": single.distill.model_copy(update={"compare": False})})
        # The sensor's end is left out: a doubled gain would reach it, and be reported as its fault at once.
        run_pipeline(single.model_copy(update={"detect": single.detect.model_copy(update={"saturation": None})}), run)
    firmware, reference = load_firmware(run), Reference(calibration_sessions(run), calibration_features(run))
    steady = {number: Machine() for number in range(arguments.machines)}
    send(steady, firmware, rig.Rig(), 1.0, 0, STEADY)
    for name, (factors, gain) in DRIFTS.items():
        for with_features, ended in found_after(steady, firmware, reference, factors, gain).items():
            until = [windows for windows in ended.values() if windows > 0]
            told_row = {
                "drift": name,
                "log": "scores and features" if with_features else "scores",
                "machines": arguments.machines,
                "found before it began": len(ended) - len(until),
                "found": len(until),
                "not found": arguments.machines - len(ended),
                "windows until found, median": float(np.median(until)) if until else None,
                "windows until found, 95 %": float(np.quantile(until, 0.95)) if until else None,
            }
            print(json.dumps(told_row), flush=True)


if __name__ == "__main__":
    main()
