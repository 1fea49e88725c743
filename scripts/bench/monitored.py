"""Whether summaries show a changed speed or gain of a machine whose scores hold, and how often they are wrong.

Simulated rigs, as `keras-kd init rig` describes them. Each fleet has a calibration of 60 recordings of 4 s; each of its
machines is healthy for 8 starts of 4 s, and then changed for at most 24 more, a summary a start; it is compared with the first
30 recordings of the calibration and with all 60. Scores are drawn from the same
distribution before and after, as those of a student that the change does not touch: what is found is found by levels and
crossings of the samples. Checks every 4 starts, over the last 8 and over the last 16.

Usage: python scripts/bench/monitored.py [--fleets 5] [--machines 20] [--seed 0] [--changes none 'gain x 1.2']
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

import micro
from micro.datasets import rig
from micro.datasets.recording import windows
from micro.detection.drift import watch_histograms
from micro.detection.record import MadeFor
from micro.detection.summary import Summary, summarized
from micro.signal.octaves import octaves_of

SECONDS, CALIBRATION, STEADY, AFTER, EVERY, THRESHOLD = 4.0, 60, 8, 24, 4, 100_000
FRONT_END = micro.FrontEnd(("spectrum", "envelope", "moments"), 1024, 512, sample_rate=12_800.0)
OCTAVES = octaves_of(FRONT_END)
OF = MadeFor(b"model..1", b"front..1", b"score..1")
CHANGES = {
    "none": (1.0, 1.0),
    "speed x 0.8": (0.8, 1.0),
    "speed x 1.2": (1.2, 1.0),
    "gain x 0.8": (1.0, 0.8),
    "gain x 1.2": (1.0, 1.2),
}
# Recordings of calibration, starts that a check compares, and the rate that is asked for.
WAYS = [(30, 8, 0.05), (30, 16, 0.05), (60, 8, 0.05), (60, 16, 0.05), (60, 16, 0.01)]


def start(seed: list[int], speed: float = 1.0, gain: float = 1.0) -> Summary:
    """What a device sends of a start."""
    rng = np.random.default_rng(seed)
    made = dataclasses.replace(rig.Rig(), speed=speed * rig.Rig().speed)
    samples = gain * rig.simulate_rig(made, SECONDS, rng).samples
    frames = windows(samples.astype(np.float32), FRONT_END.window, FRONT_END.hop)
    scores = (THRESHOLD * 0.35 * np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.35, len(frames)))).astype(np.int64)
    sent = summarized(scores, np.ones(len(scores), int), THRESHOLD, OF, octaves=(OCTAVES, OCTAVES(frames)))
    return Summary.from_bytes(sent.to_bytes())


def columns(sent: list[Summary]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of scores, and levels and crossings."""
    return np.array([each.bins for each in sent]), np.array([each.octaves.values for each in sent])


def found(
    reference: list[Summary], log: list[Summary], calibration: int, recent: int, rate: float, seed: int
) -> int | None:
    """The start at which drift is found, if it is."""
    (counts, levels), (more_counts, more_levels) = columns(reference[:calibration]), columns(log)
    checks = watch_histograms(
        counts,
        more_counts,
        features=(levels, more_levels),
        common=range(OCTAVES.count),
        false_alarm_rate=rate,
        recent=recent,
        seed=seed,
    )
    return EVERY * len(checks) if checks[-1].drifted else None


def main() -> None:
    """Print how many were found, and when."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--fleets", 5), ("--machines", 20), ("--seed", 0)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    given = parser.parse_args()
    starts: dict[tuple[str, int, int, float], list[int | None]] = {}
    for fleet in range(given.fleets):
        of = [given.seed, fleet]
        reference = [start([*of, 0, n]) for n in range(CALIBRATION)]
        for machine in range(given.machines):
            steady = [start([*of, 1, machine, n]) for n in range(STEADY)]
            for change in given.changes:
                speed, gain = CHANGES[change]
                log, when = list(steady), dict.fromkeys(WAYS)
                while len(log) < STEADY + AFTER and None in when.values():
                    log += [start([*of, 1, machine, len(log) + n], speed, gain) for n in range(EVERY)]
                    for way in WAYS:
                        when[way] = when[way] or found(reference, log, *way, machine)
                for way, place in when.items():
                    starts.setdefault((change, *way), []).append(place)
        print(
            f"fleet {fleet + 1} of {given.fleets}: { ({k: sum(v is not None for v in s) for k, s in starts.items()}) }",
            flush=True,
        )
    for (change, calibration, recent, rate), places in starts.items():
        later = [place - STEADY for place in places if place is not None and place > STEADY]
        early = sum(place is not None and place <= STEADY for place in places)
        after = (
            f", after {np.median(later):.0f} starts (median), {np.quantile(later, 0.95):.0f} (95 %)" if later else ""
        )
        print(
            f"{change}, calibration {calibration}, last {recent}, rate {rate}: {len(later)} of {len(places)} found{after}; "
            f"{early} before any change"
        )


if __name__ == "__main__":
    main()
