"""How often healthy windows may be above a threshold that a device has learned."""

from __future__ import annotations

from micro.detection.commissioning import Commissioning


def learned_rate(commissioning: Commissioning, level: float) -> float:
    """The rate of healthy windows above a learned threshold that is exceeded with a probability of `level` at most.

    Of n windows of calibration the threshold is the k-th largest score: the rate of windows above it is a draw of a beta
    distribution with k and n + 1 - k.

    Examples:
        >>> from micro.detection.commissioning import Commissioning, Prior
        >>> prior = Prior((0,), (1,), (1,), (0,), (0,), 0, 6, 1.0)
        >>> round(learned_rate(Commissioning(200, 500, 496, prior), 0.05), 4)
        0.0182
    """
    from scipy.stats import beta

    kept = commissioning.kept
    return float(beta.ppf(1 - level, kept, commissioning.calibrate_windows + 1 - kept))
