"""Bands in Hz and in orders, where a machine runs at 0.6 to 1.4 of its nominal speed: AUC and false alarms, five seeds.

A simulated shaft of 1500 RPM with five multiples, behind a resonance at 180 Hz, in noise; faulty with a line at 3.58 orders and
its double. A linear autoencoder of six units, which has a closed form, learns from healthy windows at all speeds, or at 0.95 to
1.05 of the nominal one alone.

Usage: python scripts/bench/speeds.py
"""

import dataclasses

import numpy as np
from scipy import signal

import micro

RATE, NOMINAL, WINDOW, LOWEST, HIGHEST = 1024.0, 1500.0, 1024, 0.6, 1.4
TRAINING, CALIBRATION, TEST, ALARMS = 600, 400, 1000, 0.01
UNITS = 6
IN_HZ = micro.FrontEnd(("spectrum", "moments"), WINDOW, WINDOW, sample_rate=RATE, bands=24, low=4.0, high=430.0)
SHAFT = {"slowest": LOWEST * NOMINAL, "fastest": HIGHEST * NOMINAL, "low": 0.25, "high": 12.25}
FRONT_ENDS = {
    "Hz": IN_HZ,
    "orders, known speed": dataclasses.replace(IN_HZ, channels=2, orders="channel", **SHAFT),
    "orders, estimated": dataclasses.replace(IN_HZ, orders="spectrum", **SHAFT),
}
RESONANCE = signal.iirpeak(180.0, 4.0, RATE)


def windows(rng: np.random.Generator, count: int, low: float, high: float, faulty: bool) -> np.ndarray:
    """Samples and speed at each: (count, window, 2) float32. The speed drifts by up to 1 % during a window."""
    speeds = NOMINAL * rng.uniform(low, high, count)
    made = []
    for speed in speeds:
        each = speed * np.linspace(1.0, rng.uniform(0.99, 1.01), 2 * WINDOW)
        turns = np.cumsum(each) / 60 / RATE
        lines = dict(zip(range(1, 6), np.array([1.0, 0.5, 0.4, 0.2, 0.2]) * rng.uniform(0.8, 1.2, 5)))
        if faulty:
            lines |= {3.58: 0.25, 7.16: 0.12}
        tones = [level * np.cos(2 * np.pi * (order * turns + rng.random())) for order, level in lines.items()]
        raw = np.sum(tones, axis=0) + 0.3 * rng.normal(size=2 * WINDOW)
        made.append(np.stack([raw + 2.0 * signal.lfilter(*RESONANCE, raw), each], axis=1)[WINDOW:])
    return np.array(made, np.float32)


def figures(front_end: micro.FrontEnd, seed: int, low: float, high: float) -> tuple[float, float]:
    """AUC, and the fraction of healthy windows at all speeds that are above the threshold."""
    rng = np.random.default_rng(seed)
    healthy = [windows(rng, count, low, high, False) for count in (TRAINING, CALIBRATION)]
    test = [windows(rng, TEST, LOWEST, HIGHEST, faulty) for faulty in (False, True)]
    learned, held_out, good, bad = (front_end(each[:, :, : front_end.channels]) for each in (*healthy, *test))
    scaling = micro.fit_scaling(learned)
    axes = np.linalg.svd(scaling(learned), full_matrices=False)[2][:UNITS]
    scores = [micro.reconstruction_error(x, x @ axes.T @ axes) for x in map(scaling, (held_out, good, bad))]
    threshold = micro.calibrate(scores[0], ALARMS).value
    pairs = np.searchsorted(np.sort(scores[1]), scores[2])
    return float(pairs.mean() / TEST), float((scores[1] > threshold).mean())


if __name__ == "__main__":
    for low, high in ((LOWEST, HIGHEST), (0.95, 1.05)):
        print(f"learned at {low:g} to {high:g} of the nominal speed, tested at {LOWEST:g} to {HIGHEST:g}")
        for name, front_end in FRONT_ENDS.items():
            found = np.array([figures(front_end, seed, low, high) for seed in range(5)])
            auc, alarms = found.T
            print(
                f"  {name:20} AUC {auc.mean():.3f} ({auc.min():.3f} to {auc.max():.3f}), false alarms "
                f"{100 * alarms.mean():.2f} % ({100 * alarms.min():.2f} to {100 * alarms.max():.2f}), {ALARMS:.0%} asked for"
            )
