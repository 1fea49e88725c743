"""Mixtures of training windows, for which a student learns what its teacher gives."""

from __future__ import annotations

import numpy as np

from micro.datasets.window_parts import Windows


def mixed_windows(train: Windows, alpha: float, unlabeled: float, seed: int) -> Windows:
    """As many mixtures of two training windows as there are training windows, each of which is part of two.

    A mixture is w * a + (1 - w) * b of the scaled features of two windows, what the teacher sees mixed alike; w is drawn from a
    Beta distribution with both parameters `alpha`: 1.0 draws every weight alike, small ones leave windows nearly as they are.

    Args:
        train: The windows.
        alpha: Above 0.
        unlabeled: The label of a window without one.
        seed: Of pairs and weights.

    Source: mixup, Zhang et al. 2018, https://arxiv.org/abs/1710.09412, equation 1; targets are the teacher's for the mixture
    itself, as in Beyer et al. 2022, https://arxiv.org/abs/2106.05237, section 3.
    """
    rng = np.random.default_rng((seed, 13))
    partners = np.roll(order := rng.permutation(len(train)), 1)
    other = np.empty(len(train), np.int64)
    other[order] = partners
    weights = rng.beta(alpha, alpha, len(train)).astype(np.float32)

    def mixed(x: np.ndarray) -> np.ndarray:
        own = weights.reshape(-1, *[1] * (x.ndim - 1))
        return np.asarray(own * x + (1 - own) * x[other], x.dtype)

    return Windows(
        mixed(train.x),
        np.full(len(train), unlabeled, train.labels.dtype),
        ("mixture",) * len(train),
        np.arange(len(train)),
        None if train.of_teacher is None else mixed(train.of_teacher),
    )


def joined(first: Windows | None, second: Windows) -> Windows:
    """The windows of both."""
    if first is None:
        return second
    theirs = (first.of_teacher, second.of_teacher)
    return Windows(
        np.concatenate([first.x, second.x]),
        np.concatenate([first.labels, second.labels]),
        (*first.origins, *second.origins),
        None if first.places is None or second.places is None else np.concatenate([first.places, second.places]),
        None if theirs[0] is None or theirs[1] is None else np.concatenate([theirs[0], theirs[1]]),
    )
