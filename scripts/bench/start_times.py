"""How long commands take that need no TensorFlow: the least of some tries, each in a new process, wall and CPU seconds.

Usage: python scripts/bench/start_times.py RUN [--tries 3] [--root CHECKOUT]
RUN is a finished run of a detector; CHECKOUT is another one of this repository to measure, such as one before a change.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "--help": "--help",
    "run --help": "run --help",
    "doctor": "doctor",
    "an error in a config": "run {tmp}/wrong.toml --out {tmp}/a",
    "no recordings": "run {tmp}/table.toml --out {tmp}/a",
    "run --dry-run": "run {tmp}/rig.toml --out {tmp}/a --dry-run",
    "monitor": "monitor {run} {run}/calibration.csv",
    "new-firmware": "new-firmware {run} --board bare-cortex-m --out {tmp}/fw-{try}",
    "check": "check {run} --board nrf52840",
    "inspect": "inspect {run}/student_int8.tflite",
    "boards": "boards {run}",
    "aot": "aot {run}/student_int8.tflite --out {tmp}/c --name net",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--root", type=Path, default=ROOT)
    given = parser.parse_args()
    jobs = ROOT / "micro/config/jobs"
    print("| command | wall, s | CPU, s |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as tmp:
        rig = (jobs / "rig.toml").read_text()
        (Path(tmp) / "rig.toml").write_text(rig)
        (Path(tmp) / "table.toml").write_text((jobs / "table.toml").read_text())
        (Path(tmp) / "wrong.toml").write_text(rig.replace("epochs", "epoch"))
        for name, typed in COMMANDS.items():
            words = [
                shlex.split(typed.format_map({"tmp": tmp, "run": given.run.resolve(), "try": number}))
                for number in range(given.tries)
            ]
            tries = [timed(each, given.root.resolve()) for each in words]
            if any(code in (2, 70) for code, *_ in tries) and name not in ("an error in a config", "no recordings"):
                print(f"| {name} | there is none | |")
                continue
            print(
                f"| {name} | {min(wall for _, wall, _ in tries):.2f} | {min(cpu for *_, cpu in tries):.2f} |",
                flush=True,
            )


def timed(words: list[str], root: Path) -> tuple[int, float, float]:
    """Exit code, wall and CPU seconds of a command of a checkout."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    typed = [sys.executable, "-m", "micro.cli", *words]
    done = subprocess.run(typed, capture_output=True, cwd=root, env={**os.environ, "PYTHONPATH": paths}, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.returncode, wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
