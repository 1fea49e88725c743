"""What headroom in the int8 input range is worth to a detector: F1 in float32, calibrated on healthy windows alone, and with
`micro.calibration_data`.

Usage: python scripts/bench/headroom.py DATA [--seeds N], DATA holding tennessee_eastman and cwru. The threshold comes from
held-out healthy windows at 1 % false alarms; faults are counted window by window.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import micro
from micro.datasets import cwru
from micro.datasets.recording import windows
from micro.detection.threshold import reconstruction_error

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # train, threshold, healthy test, faulty test


def process(folder: Path) -> Parts:
    """Mean and deviation of 52 signals over 20 rows of the Tennessee Eastman process."""
    data = np.load(folder / "tep.npz")

    def features(rows: np.ndarray, hop: int = 5) -> np.ndarray:
        cut = windows(rows.astype("float32"), 20, hop)
        return np.concatenate([cut.mean(axis=1), cut.std(axis=1)], axis=-1)

    train = features(data["d00"], 1)
    scaling = micro.fit_scaling(train)
    faulty = np.concatenate([features(data[f"d{number:02}_te"][160:]) for number in range(1, 22)])
    healthy = features(data["d00_te"], 1)
    half = len(healthy) // 2
    return scaling(train), scaling(healthy[:half]), scaling(healthy[half:]), scaling(faulty)


def bearings(folder: Path) -> Parts:
    """Log energy in 64 bands of CWRU's recordings, faults at three loads."""
    front_end = micro.FrontEnd("spectrum", window=1024, hop=512, bands=64)
    found: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for recording in cwru.load(folder, (0, 1, 2)):
        hop = 128 if recording.label == "normal" else 512  # one healthy recording must make a threshold too
        cut = front_end(windows(recording.samples, 1024, hop))
        if recording.label != "normal" or not found[True]:  # the one healthy recording is loaded with each load
            found[recording.label == "normal"].append(cut)
    healthy, faulty = found[True][0], np.concatenate(found[False])
    a, b = int(0.4 * len(healthy)), int(0.7 * len(healthy))
    scaling = micro.fit_scaling(healthy[:a])
    return scaling(healthy[:a]), scaling(healthy[a:b]), scaling(healthy[b:]), scaling(faulty[::4])


def autoencoder(width: int) -> keras.Model:
    inputs = hidden = keras.Input((width,))
    for units in (24, 8, 24):
        hidden = layers.Dense(units, activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(width)(hidden))


def f1(predict: object, parts: Parts) -> float:
    """F1 of faulty windows against as many healthy ones, weighted."""
    _, threshold_x, healthy, faulty = parts
    errors = [reconstruction_error(x, predict(x)) for x in (threshold_x, healthy, faulty)]  # type: ignore[operator]
    threshold = micro.calibrate(errors[0], false_alarm_rate=0.01).value
    recall, false = float(np.mean(errors[2] > threshold)), float(np.mean(errors[1] > threshold))
    return 2 * recall / (1 + recall + false)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, parts in (
        ("tennessee_eastman", process(chosen.data / "tennessee_eastman")),
        ("cwru", bearings(chosen.data / "cwru")),
    ):
        rows = []
        for seed in range(chosen.seeds):
            keras.utils.set_random_seed(seed)
            train = parts[0]
            model = autoencoder(train.shape[1])
            model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
            model.fit(train, train, epochs=30, batch_size=32, verbose=0)
            healthy_only = micro.convert(model, train[:512], anomaly_detector=False)
            roomy = micro.convert(model, micro.calibration_data(train, seed=seed))
            ways = (lambda x, m=model: m.predict(x, verbose=0), healthy_only.predict, roomy.predict)
            rows.append([f1(way, parts) for way in ways])
            keras.backend.clear_session()
        means = np.mean(rows, axis=0)
        print(
            f"{name}: F1 float32 {means[0]:.3f}, healthy alone {means[1]:.3f}, calibration_data {means[2]:.3f}",
            flush=True,
        )
        print(
            f"  by seed, healthy alone and calibration_data: {np.round(np.array(rows)[:, 1:], 3).tolist()}", flush=True
        )


if __name__ == "__main__":
    main()
