"""What a machine of a fleet costs as fleets grow: seconds of work a machine, and the driver's memory, side by side in one run.

Usage: python scripts/bench/fleet.py [--sizes 10 50] [--workers 2] [--out FOLDER]. Machines are simulated rigs of other
    bearings and speeds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np

from micro.fleet import load_fleet, run_fleet

SHARED = """
job = "rig"
seed = 1
[data]
train_recordings = 12
validation_recordings = 2
calibration_recordings = 8
test_recordings = 4
fault_recordings = 1
seconds = 2.0
severities = [0.5, 1.0]
[features]
kind = ["spectrum", "envelope", "moments"]
[teacher]
sizes = [64, 8, 64]
epochs = 15
learning_rate = 0.003
[student]
sizes = [8]
epochs = 20
learning_rate = 0.003
[detect]
false_alarm_rate = 0.02
"""


def fleet_of(count: int, folder: Path) -> Path:
    """A fleet's files: machines of other geometry and speed, the same for the same number."""
    lines = ['config = "shared.toml"', "teacher_assets = 4"]
    for number in range(count):
        rng = np.random.default_rng(number)
        diameter = rng.uniform(5.0, 9.0)
        pitch = diameter * rng.uniform(4.6, 5.4)
        balls = int(rng.integers(7, 11))
        lines += [
            "[[asset]]",
            f'name = "machine-{number:02}"',
            "[asset.data]",
            f"speed = {rng.uniform(900, 3000):.1f}",
            f"bearing = {{balls = {balls}, ball_diameter = {diameter:.2f}, pitch_diameter = {pitch:.2f}}}",
        ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shared.toml").write_text(SHARED)
    (folder / "fleet.toml").write_text("\n".join(lines) + "\n")
    return folder / "fleet.toml"


def resident() -> float:
    """Memory of this process now, in MiB."""
    with open(f"/proc/{os.getpid()}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def measure(count: int, out: Path, workers: int) -> dict[str, float]:
    """One fleet from nothing; seconds from the first machine's start to the last's end, and those of work in all."""
    shutil.rmtree(out, ignore_errors=True)
    path = fleet_of(count, out.with_name(f"{out.name}-config"))
    memory: list[float] = []
    started = time.perf_counter()
    result = run_fleet(load_fleet(path), out, workers=workers, progress=lambda stage, share: memory.append(resident()))
    wall = time.perf_counter() - started
    assert not result.failed, result.failed
    begun: dict[str, float] = {}
    spent: list[float] = []
    for line in (out / "fleet.log.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "done":
            spent.append(event["time"] - begun[event["asset"]])
        else:
            begun[event["asset"]] = event["time"]
    return {
        "machines": count,
        "wall seconds": round(wall, 1),
        "work seconds a machine": round(float(np.mean(spent)), 2),
        "median": round(float(np.median(spent)), 2),
        "driver MiB after the first machine": round(memory[1], 1),
        "driver MiB at the end": round(memory[-1], 1),
        "AUC, mean": round(float(np.mean([row.metrics["auc"] for row in result.rows])), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/fleet"))
    arguments = parser.parse_args()
    for size in arguments.sizes:
        print(json.dumps(measure(size, arguments.out / str(size), arguments.workers)), flush=True)


if __name__ == "__main__":
    main()
