"""Features in units of their standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Standard deviations at which scaled features are clipped.
LIMIT = 8.0


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each feature, fitted on healthy or training windows.

    Attributes:
        centre: Means, in the features' units.
        spread: Standard deviations, in the features' units, above 0.

    Raises:
        ValueError: For `centre` and `spread` of different lengths, or numbers that float32 does not hold.

    Examples:
        >>> scaling = micro.Scaling(centre=(1.0, 0.0), spread=(2.0, 1.0))
        >>> scaling(np.array([[3.0, 0.5], [3.0, 100.0]])).tolist()
        [[1.0, 0.5], [1.0, 8.0]]
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            centre, spread = (np.array(side, np.float64).astype(np.float32) for side in (self.centre, self.spread))
        if centre.shape != spread.shape or centre.ndim != 1:
            raise ValueError(
                f"a scaling needs as many values in spread as in centre, got {spread.size} and {centre.size}"
            )
        if not np.isfinite(centre).all() or not (np.isfinite(spread) & (spread > 0)).all():
            raise ValueError("centre of a scaling must be finite and spread above 0, both in float32")

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features in standard deviations, float32, clipped to +-8, so that one outlier cannot widen the int8 range.

        Shapes: (..., features) -> the same.
        """
        scaled = (features - np.array(self.centre, np.float32)) / np.array(self.spread, np.float32)
        return np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)

    def to_config(self) -> dict[str, list[float]]:
        """Plain lists, for a report."""
        return {"centre": list(self.centre), "spread": list(self.spread)}


def fit_scaling(features: np.ndarray) -> Scaling:
    """The mean and standard deviation of each feature along the last axis; of a constant feature 1 is taken.

    Shapes: (n, ..., features).

    Raises:
        ValueError: For no windows, or features that are not finite.

    Examples:
        >>> micro.fit_scaling(np.array([[1.0, 5.0], [3.0, 5.0]]))
        Scaling(centre=(2.0, 5.0), spread=(1.0, 1.0))
    """
    if not len(features):
        raise ValueError("no windows to fit the scaling on")
    if not np.isfinite(features).all():
        places = np.flatnonzero(~np.isfinite(features.reshape(-1, features.shape[-1])).all(axis=0))
        raise ValueError(
            f"features to fit the scaling on are not finite: feature {places[0]} of {features.shape[-1]}, counted from 0; take "
            "out windows that are missing values, or scale samples that are too large for float32"
        )
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    spread = flat.std(axis=0)
    spread = np.where(spread > 1e-6 * np.maximum(1.0, np.abs(flat).max(axis=0)), spread, 1.0)
    return Scaling(tuple(flat.mean(axis=0).tolist()), tuple(spread.tolist()))
