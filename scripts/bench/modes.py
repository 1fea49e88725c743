"""False alarms by operating mode, with one threshold for all and with one for each: simulated machines, five seeds.

Usage: python scripts/bench/modes.py
"""

import numpy as np

import micro

RATE, MACHINES, CALIBRATION, TEST = 0.01, 200, 500, 2000
# Level of healthy scores by speed, slow to fast.
LEVELS = (1.0, 1.6, 3.0)


def rates(seed: int) -> np.ndarray:
    """Fractions of healthy windows above the threshold, means over machines: (one or by mode, speed)."""
    rng = np.random.default_rng(seed)
    found = np.zeros((2, MACHINES, len(LEVELS)))
    for machine in range(MACHINES):
        known, fresh = (rng.gamma(4, np.array(LEVELS)[:, None], (len(LEVELS), n)) for n in (CALIBRATION, TEST))
        one = micro.calibrate(known.ravel(), RATE).value
        each = np.array([micro.calibrate(own, RATE).value for own in known])
        for place, limits in enumerate((np.full(len(LEVELS), one), each)):
            found[place, machine] = (fresh > limits[:, None]).mean(axis=1)
    return found.mean(axis=1)


if __name__ == "__main__":
    seeds = np.array([rates(seed) for seed in range(5)])
    print(
        f"false alarms in %, {RATE:.0%} asked for, {MACHINES} machines a seed: slow, middle, fast; lowest to highest seed"
    )
    for place, name in enumerate(("one threshold", "one a mode")):
        cells = (f"{100 * own.min():.2f} to {100 * own.max():.2f}" for own in seeds[:, place].T)
        print(f"{name:14}", "   ".join(cells))
