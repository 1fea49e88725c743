"""How long commands take that need no TensorFlow: the least of some tries, each in a new process, wall and CPU seconds.

Modules are compiled once, in a try that does not count, as in an installation: not on each start.

Usage: python scripts/bench/start_times.py RUN [--tries 3] [--root CHECKOUT] [--beside FORMER] [--only COMMAND ...]
RUN is a finished run of a detector; CHECKOUT is another one of this repository to measure, such as one before a change. With
FORMER each try is followed by one of that checkout, and what is printed last is CPU seconds over its CPU seconds: on a machine
that does other work as well, only this can be compared.
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
    "search, an error in the config": "search {tmp}/wrong.toml --out {tmp}/a --flash 64KiB",
    "fleet, an error in the file": "fleet {tmp}/wrong.toml --out {tmp}/a",
    "score, no such run": "score {tmp}/none {tmp}/none.csv",
    "update, no such run": "update {run} --from {tmp}/none.bin --out {tmp}/p.bin",
    "look, no such file": "look {tmp}/none.csv --out {tmp}/c.toml",
    "monitor": "monitor {run} {run}/calibration.csv",
    "new-firmware": "new-firmware {run} --board bare-cortex-m --out {tmp}/fw-{try}",
    "check": "check {run} --board nrf52840",
    "inspect": "inspect {run}/student_int8.tflite",
    "boards": "boards {run}",
    "boards of a model": "boards {run}/student_int8.tflite --runtime static",
    "emit": "emit {run}/student_int8.tflite --out {tmp}/e --name net",
    "aot": "aot {run}/student_int8.tflite --out {tmp}/c --name net",
}
# What the names of commands that end with an error say.
WRONG = ("error in", "no such", "no recordings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="COMMAND")
    given = parser.parse_args()
    roots = [root.resolve() for root in (given.root, given.beside) if root is not None]
    jobs = ROOT / "micro/config/jobs"
    heads = ["command", "wall, s", "CPU, s", *(["CPU of the former, s", "ratio"] if given.beside else [])]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    with tempfile.TemporaryDirectory() as tmp:
        rig = (jobs / "rig.toml").read_text()
        (Path(tmp) / "rig.toml").write_text(rig)
        (Path(tmp) / "table.toml").write_text((jobs / "table.toml").read_text())
        (Path(tmp) / "wrong.toml").write_text(rig.replace("epochs", "epoch"))
        for name, typed in ((name, COMMANDS[name]) for name in given.only):
            tries: list[list[tuple[int, float, float]]] = [[] for _ in roots]
            for number in range(given.tries + 1):
                for place, root in enumerate(roots):
                    own = {"tmp": tmp, "run": given.run.resolve(), "try": f"{number}-{place}"}
                    tries[place].append(timed(shlex.split(typed.format_map(own)), root, tmp))
            counted = [each[1:] for each in tries]
            if any(code in (2, 70) for code, *_ in counted[0]) and not any(each in name for each in WRONG):
                print(f"| {name} | there is none |{' |' * (len(heads) - 2)}")
                continue
            cpu = [min(cpu for *_, cpu in each) for each in counted]
            figures = [min(wall for _, wall, _ in counted[0]), *cpu, *([cpu[0] / cpu[1]] if given.beside else [])]
            print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |", flush=True)


def timed(words: list[str], root: Path, tmp: str) -> tuple[int, float, float]:
    """Exit code, wall and CPU seconds of a command of a checkout, whose compiled modules are kept in a folder."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": f"{tmp}/compiled"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    typed = [sys.executable, "-m", "micro.cli", *words]
    done = subprocess.run(typed, capture_output=True, cwd=root, env=environment, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.returncode, wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
