"""What reading windows costs: a file read, checked and cut into windows beside the usual library that only reads it.

Usage: python scripts/bench/reading.py [--rounds N] [--megabytes M] [--folder F]. Prints a table in Markdown. Each round reads
the same file with both, one after the other, in turn first and second, so that whatever else the machine does falls on both
alike; the time is of the best round, the ratio the median of the rounds' own. The files have just been written, so that
neither waits for the disk. Larger files than 256 MiB as float32 are read in parts by way of a temporary file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from micro.config import TableData
from micro.datasets import store, table
from micro.datasets.recording import cut
from micro.datasets.views import Views
from micro.signal import FrontEnd

CHANNELS, RATE, WINDOW, HOP = 3, 10_000, 1024, 1024
ROWS = 1 << 18


def written(path: Path, megabytes: int) -> Path:
    """A file of about this many MB as float32: noise with a tone in three channels; of CSV with six digits."""
    rng = np.random.default_rng(0)
    block = 0.3 * np.sin(np.arange(ROWS)[:, None] * np.array([0.05, 0.11, 0.3])) + 0.02 * rng.normal(
        size=(ROWS, CHANNELS)
    )
    samples = np.tile(block, (max(1, round(megabytes * 1e6 / 4 / block.size)), 1))
    if path.suffix == ".wav":
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        return path
    frame = pd.DataFrame(samples, columns=["x", "y", "z"])
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, float_format="%.6f")
    else:
        frame.to_parquet(path, index=False)
    return path


def alone(path: Path) -> int:
    """The file by the library alone, its values as float32; the number of rows."""
    if path.suffix == ".wav":
        return len(soundfile.read(path, dtype="float32", always_2d=True)[0])
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return len(frame.to_numpy(np.float32))


def read_windows(path: Path, features: FrontEnd | None) -> int:
    """The file's windows as a run has them, with their features where there is a front end; the number of rows."""
    rate = {} if path.suffix == ".wav" else {"sample_rate": float(RATE)}
    config = TableData(files=(str(path),), healthy_files=("*",), **rate)
    recordings, _, _ = table.load(config, WINDOW)
    framing = FrontEnd(("statistics",), window=WINDOW, hop=HOP, channels=CHANNELS) if features is None else features
    for recording in recordings:
        frames, _ = cut(recording, framing)
        if features is not None:
            Views(features)(frames)
    return sum(len(recording.samples) for recording in recordings)


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Seconds, and what the work returns."""
    begun = time.perf_counter()
    count = work()
    return time.perf_counter() - begun, count


def row(path: Path, rounds: int) -> str:
    """A row of the table: one file read by the library alone, to windows, and to features."""
    spectrum = FrontEnd(("spectrum",), window=WINDOW, hop=HOP, channels=CHANNELS, bands=16)
    works: list[Callable[[], int]] = [
        lambda: alone(path),
        lambda: read_windows(path, None),
        lambda: read_windows(path, spectrum),
    ]
    seconds: list[list[float]] = [[], [], []]
    for number in range(rounds):
        order = range(3) if number % 2 == 0 else range(2, -1, -1)
        counts = set()
        for place in order:
            taken, count = timed(works[place])
            seconds[place].append(taken)
            counts.add(count)
        assert len(counts) == 1, f"{path}: other numbers of rows were read: {counts}"
    ratios = [statistics.median(b / a for a, b in zip(seconds[0], each)) for each in seconds[1:]]
    size = 4 * CHANNELS * counts.pop() / 1e6
    name = "soundfile" if path.suffix == ".wav" else "pandas"
    how = "in parts" if size * 1e6 > store.LARGE else "whole"
    mine, windows, features = (f"{size / min(each):,.0f}" for each in seconds)
    kind = {".csv": "CSV", ".parquet": "Parquet", ".wav": "WAV, 16 bits"}[path.suffix]
    cells = (
        kind,
        f"{size:,.0f} MB, {how}",
        f"{name} {mine}",
        windows,
        f"{ratios[0]:.2f}",
        features,
        f"{ratios[1]:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[60, 600], help="sizes as float32")
    parser.add_argument("--folder", help="where the files are written")
    arguments = parser.parse_args()
    print(
        "| file | values | alone, MB/s | windows, MB/s | time, windows / alone | features, MB/s | time, features / alone |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for megabytes in arguments.megabytes:
        for suffix in (".csv", ".parquet", ".wav"):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                path = written(Path(folder) / f"a{suffix}", megabytes)
                read_windows(path, None)
                alone(path)
                print(row(path, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
