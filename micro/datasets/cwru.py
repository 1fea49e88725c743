"""Bearing recordings of the Case Western Reserve University Bearing Data Center, from a folder of its .mat files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from micro.datasets.matlab import read_variables
from micro.datasets.recording import Recording
from micro.errors import DataError

SAMPLE_RATE = 12_000.0
# Drive end, 12 kHz: fault and diameter in mils -> the Data Center's file numbers at 0, 1 and 2 hp.
FAULT_FILES: dict[str, tuple[int, int, int]] = {
    "ball_007": (118, 119, 120),
    "ball_014": (185, 186, 187),
    "ball_021": (222, 223, 224),
    "inner_007": (105, 106, 107),
    "inner_014": (169, 170, 171),
    "inner_021": (209, 210, 211),
    "outer_007": (130, 131, 132),
    "outer_014": (197, 198, 199),
    "outer_021": (234, 235, 236),
}
NORMAL_FILE = 97
CLASSES = ("normal", *FAULT_FILES)
WHERE = "the Bearing Data Center's page at engineering.case.edu/bearingdatacenter (12k drive end, and normal baseline)"


def load(folder: str | Path, loads: Sequence[int], *, baseline_rate: float = 48_000.0) -> list[Recording]:
    """Drive-end recordings at the given motor loads, and the healthy baseline at 0 hp; all at 12 kHz.

    Args:
        folder: Holds NNN.mat files as the Data Center names them.
        loads: Motor loads in hp, of 0, 1 and 2.
        baseline_rate: Rate at which file 97 was sampled. The Data Center lists it among the 48 kHz recordings; a rate above
            12 kHz is decimated to it (Smith and Randall 2015 discuss the data's pitfalls).

    Raises:
        DataError: Names a file that is missing or damaged.
        ValueError: For other loads or rates.
    """
    folder = Path(folder)
    unknown = [load for load in loads if load not in (0, 1, 2)]
    if unknown or not loads:
        raise ValueError(f"loads must be of 0, 1 and 2 hp, got {list(loads)}")
    ratio = baseline_rate / SAMPLE_RATE
    if ratio < 1 or ratio != round(ratio):
        raise ValueError(f"baseline_rate must be a multiple of {SAMPLE_RATE:g} Hz, got {baseline_rate:g}")
    baseline = read_mat(folder, NORMAL_FILE)
    if ratio > 1:
        from scipy import signal

        baseline = signal.decimate(baseline, int(ratio), ftype="fir")
    recordings = [Recording.whole(f"{NORMAL_FILE}.mat", baseline, SAMPLE_RATE, "normal", True)]
    for label, numbers in FAULT_FILES.items():
        for motor_load in loads:
            number = numbers[motor_load]
            samples = read_mat(folder, number)
            recordings.append(Recording.whole(f"{number}.mat", samples, SAMPLE_RATE, label, False))
    return recordings


def read_mat(folder: Path, number: int) -> np.ndarray:
    """The drive-end channel of one file, (n,) float32."""
    key = f"X{number:03d}_DE_time"
    path, samples = _variable(folder, number, key)
    if len(samples) < SAMPLE_RATE or not np.isfinite(samples).all():
        raise DataError(f"{path} is damaged: {key} holds {len(samples)} samples, some may not be finite")
    return samples


def read_speed(folder: Path, number: int) -> float:
    """The shaft's speed in one file, in RPM."""
    path, speed = _variable(folder, number, f"X{number:03d}RPM")
    if len(speed) != 1 or not 0 < speed[0] < 10_000:
        raise DataError(f"{path} is damaged: its speed is {speed.tolist()}")
    return float(speed[0])


def _variable(folder: Path, number: int, key: str) -> tuple[Path, np.ndarray]:
    """One file's path, and a variable of it as (n,) float32."""
    path = folder / f"{number}.mat"
    if not path.is_file():
        raise DataError(f"{path} is missing; download it from {WHERE}")
    try:
        content = read_variables(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is damaged: {error}; download it again from {WHERE}") from None
    if key not in content:
        raise DataError(f"{path} is damaged: it has no {key}; download it again from {WHERE}")
    return path, np.asarray(content[key], np.float32).reshape(-1)
