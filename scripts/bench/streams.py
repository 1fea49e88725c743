"""Long random and extreme streams through the emitted C of detectors, under the sanitizers of addresses and undefined behavior.

Modes, orders, filters, learning, velocity, diagnosis and summaries; how many samples a minute each takes. Needs gcc.

Usage: python scripts/bench/streams.py [--samples 10000000] [--seed 0] [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from streamed_c import LONG, cases, compiled, written


def main() -> None:
    """Print windows, those with a score, and samples a minute; exit code 1 where a sanitizer finds something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the firmware; by default all")
    given = parser.parse_args()
    known, failed = cases(), False
    for name in given.names or known:
        with tempfile.TemporaryDirectory() as folder:
            program = compiled(written(known[name], Path(folder), LONG), Path(folder))
            start = time.perf_counter()
            done = subprocess.run([program, str(given.samples), str(given.seed)], capture_output=True, text=True)
            minutes = (time.perf_counter() - start) / 60
        failed |= done.returncode != 0
        windows, scored, summaries = done.stdout.split() if done.returncode == 0 else ("?", "?", "?")
        print(
            f"{name}: {given.samples:,} samples, {windows} windows, {scored} with a score, {summaries} summaries; "
            f"{given.samples / minutes / 1e6:.1f} million samples a minute; exit code {done.returncode} {done.stderr[:500]}",
            flush=True,
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
