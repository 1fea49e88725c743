"""What reading a device's log costs as it grows: seconds and peak memory of `micro.monitor`, and their ratios to a reference.

Usage: python scripts/bench/monitor_log.py RUN [--rows 1000000] [--sessions] [--against SECONDS MIB]. The log repeats the run's
own scores of calibration in windows drawn at random; with `--sessions` it names a session each 100 windows, else it is cut up.
`--against` are the figures of another version on the same machine, which are divided by these.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

import micro
from micro.runs.baseline import calibration_sessions


def write_log(path: Path, run: Path, rows: int, named: bool) -> None:
    """Sessions of 100 windows, each drawn from one of calibration's."""
    rng = np.random.default_rng(0)
    sessions = calibration_sessions(run)
    with path.open("w") as file:
        file.write("session,score\n" if named else "score\n")
        for number in range(rows // 100):
            scores = rng.choice(sessions[rng.integers(len(sessions))], 100)
            file.writelines(f"{number},{score:.6g}\n" if named else f"{score:.6g}\n" for score in scores)


def peak() -> float:
    """Peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sessions", action="store_true")
    parser.add_argument("--against", type=float, nargs=2, metavar=("SECONDS", "MIB"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_log(path, arguments.run, arguments.rows, arguments.sessions)
        size, before = path.stat().st_size / 2**20, peak()
        wall, cpu = time.perf_counter(), time.process_time()
        found = micro.monitor(arguments.run, path)
        row = {
            "rows": arguments.rows,
            "log MiB": round(size, 1),
            "checks": len(found.checks),
            "seconds": round(time.perf_counter() - wall, 1),
            "CPU seconds": round(time.process_time() - cpu, 1),
            "peak MiB": round(peak()),
            "MiB above the start": round(peak() - before),
        }
        if arguments.against:
            seconds, memory = arguments.against
            row["CPU seconds, times fewer"] = round(seconds / float(row["CPU seconds"]), 1)
            row["peak MiB, times fewer"] = round(memory / float(row["peak MiB"]), 1)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
