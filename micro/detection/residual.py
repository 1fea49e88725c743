"""Features that are predicted from the others: what a model takes of a window, and what its outputs are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def taken(features: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """What a model takes: the features that are not at `places` along the last axis; all of them where there are none.

    Shapes: (..., row) -> (..., row - places).

    Examples:
        >>> taken(np.array([[1, 2, 3, 4]]), (1, 3)).tolist()
        [[1, 3]]
    """
    return np.delete(features, list(places), axis=-1) if len(places) else features


def measured(features: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """What a model's outputs are compared with: the features at `places` along the last axis; all of them where there are none.

    Shapes: (..., row) -> (..., places).

    Examples:
        >>> measured(np.array([[1, 2, 3, 4]]), (1, 3)).tolist()
        [[2, 4]]
    """
    return features[..., list(places)] if len(places) else features
