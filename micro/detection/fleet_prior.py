"""What training machines say of a new one: how far its means may be from theirs, and how quiet it may be."""

from __future__ import annotations

import math

import numpy as np

from micro.detection.commissioning import Prior
from micro.detection.threshold import conformal_rank
from micro.signal.learned import DEVIATION_FRACTION, Learned

# Machines that a standard deviation across all but one of them can be taken of.
FEWEST_MACHINES = 4
# A machine's mean is never known better than to this part of the deviation within a machine.
LEAST_ACROSS = 0.1


def fleet_prior(
    machines: list[Learned],
    powers: np.ndarray,
    units: np.ndarray,
    *,
    unlike_rate: float,
    stopped_limit: float,
    exponent: int,
) -> Prior:
    """The prior of a fleet of healthy machines.

    A machine is as far from the others as its furthest feature: the difference of its mean from theirs, in standard deviations
    of theirs. Each training machine is compared with the others in turn; the limit is the ceil((n + 1)(1 - unlike_rate))-th
    smallest of these distances, or the largest where n machines are too few for that rate.

    Args:
        machines: What was learned of each, in integers; deviations may be 0.
        powers: Mean power of the samples of each, (machines, channels).
        units: 2^fraction bits of each feature, (features,).
        unlike_rate: The fraction of healthy machines that may be refused for being unlike the training machines.
        stopped_limit: How much quieter than the quietest training machine a machine may be, in dB.
        exponent: As in `Prior`.

    Raises:
        ValueError: For fewer than `FEWEST_MACHINES`.
    """
    if len(machines) < FEWEST_MACHINES:
        raise ValueError(f"a prior needs {FEWEST_MACHINES} machines or more, got {len(machines)}")
    means = np.array([machine.mean for machine in machines], np.float64)
    deviations = np.array([machine.deviation for machine in machines], np.float64)
    idle = (deviations == 0).any(axis=0)
    # As `fit_scaling`: 1 in place of the deviation of a constant feature.
    within = np.where(deviations == 0, units << DEVIATION_FRACTION, deviations).mean(axis=0)
    least = LEAST_ACROSS * within / (1 << DEVIATION_FRACTION)
    distances = [_distance(means[place], np.delete(means, place, axis=0), least) for place in range(len(machines))]
    rank = min(conformal_rank(len(machines), unlike_rate), len(machines))
    limit = float(np.sort(distances)[max(rank, 1) - 1])
    across = np.maximum(means.std(axis=0, ddof=1), least)
    quietest = np.asarray(powers, np.float64).min(axis=0) * 10 ** (-stopped_limit / 10)
    return Prior(
        mean=tuple(round(each) for each in means.mean(axis=0).tolist()),
        tolerance=tuple(min(2**31 - 1, math.floor(limit * each)) for each in across.tolist()),
        deviation=tuple(max(1, round(each)) for each in within.tolist()),
        idle=tuple(int(each) for each in idle),
        quietest=tuple(math.floor(each) for each in quietest.tolist()),
        exponent=exponent,
        machines=len(machines),
        limit=limit,
    )


def _distance(mean: np.ndarray, others: np.ndarray, least: np.ndarray) -> float:
    """How far a machine's furthest feature is from those of others, in their standard deviations."""
    across = np.maximum(others.std(axis=0, ddof=1), least)
    return float((np.abs(mean - others.mean(axis=0)) / across).max())
