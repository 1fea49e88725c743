"""Files of the jobs that are first written as a run reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def process_files(data: Path, folder: Path) -> None:
    """Each array of the Tennessee Eastman archive as a table with every row's state: faults of tests begin at row 160."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(data / "tennessee_eastman" / "tep.npz") as archive:
        for name in archive.files:
            rows = archive[name]
            state = np.full(len(rows), "healthy" if name.startswith("d00") else "faulty", object)
            if name.endswith("_te"):
                state[:160] = "healthy"
            frame = pd.DataFrame(rows, columns=[f"x{column + 1}" for column in range(rows.shape[1])])
            frame.assign(state=state).to_parquet(folder / f"{name}.parquet")


def state_files(data: Path, folder: Path) -> None:
    """The runs of the Tennessee Eastman archive with the state of each row; of those to learn from the last quarter apart, of
    those to test the rows before a fault without a state."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(data / "tennessee_eastman" / "tep.npz") as archive:
        for name in archive.files:
            rows, number = archive[name], int(name[1:3])
            frame = pd.DataFrame(rows, columns=[f"x{column + 1}" for column in range(rows.shape[1])])
            state = np.full(len(rows), f"fault {number}" if number else "no fault", object)
            if not name.endswith("_te"):
                end = 3 * len(rows) // 4
                parts = {name: slice(0, end), f"{name}_end": slice(end, None)}
            else:
                state[: 160 if number else 0] = None
                parts = {name: slice(0, None)}
            for part, chosen in parts.items():
                frame[chosen].assign(state=state[chosen]).to_parquet(folder / f"{part}.parquet")


def sign_files(data: Path, folder: Path) -> None:
    """Each picture of a hand as PNG in the folder of its digit, below 'test' a quarter of them, drawn as SOURCE.md says."""
    with np.load(data / "sign_digits" / "sign64_grey.npz") as archive:
        pictures, digits = archive["x"], archive["y"]
    order = np.random.default_rng(0).permutation(len(pictures))
    for place, number in enumerate(order.tolist()):
        part = "test" if place < len(order) // 4 else "train"
        path = folder / part / str(digits[number]) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[number]).save(path)


def gesture_files(data: Path, folder: Path) -> None:
    """Each series of the watch as a table in the folder of its exercise, named by person, side and number."""
    with np.load(data / "shoulder_watch" / "watch.npz") as archive:
        series = np.split(archive["x"] * archive["scale"], np.cumsum(archive["length"])[:-1])
        names, exercises = archive["x_names"].tolist(), archive["y_names"].tolist()
        labels = zip(archive["y"].tolist(), archive["subject"].tolist(), archive["side"].tolist())
    for number, (samples, (exercise, person, side)) in enumerate(zip(series, labels)):
        path = folder / exercises[exercise] / f"p{person:02d}_{'right' if side else 'left'}_{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(samples, columns=names).to_parquet(path)


# Jobs whose files are first written as a run reads them.
WRITTEN = {
    "process": process_files,
    "process_predicted": process_files,
    "process_states": state_files,
    "signs": sign_files,
    "gestures": gesture_files,
    "shoulder": gesture_files,
    "shoulder_few": gesture_files,
}
