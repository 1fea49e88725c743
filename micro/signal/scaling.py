"""Features in units of their spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LIMIT = 8.0


@dataclass(frozen=True)
class Scaling:
    """Centre and spread of each feature, fitted on healthy or training windows; spread is in the features' units.

    Raises:
        ValueError: For another number of spreads than of centres, or numbers that float32 does not hold.
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            centre, spread = (np.array(side, np.float64).astype(np.float32) for side in (self.centre, self.spread))
        if centre.shape != spread.shape or centre.ndim != 1:
            raise ValueError(f"a scaling needs a spread for each centre, got {spread.size} and {centre.size}")
        if not np.isfinite(centre).all() or not (np.isfinite(spread) & (spread > 0)).all():
            raise ValueError("centres of a scaling must be finite and its spreads above 0, both in float32")

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features in units of their spread, float32, clipped to +-`LIMIT`: one wild value cannot widen the int8 range."""
        scaled = (features - np.array(self.centre, np.float32)) / np.array(self.spread, np.float32)
        return np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)

    def to_config(self) -> dict[str, Any]:
        """Plain lists, for a report."""
        return {"centre": list(self.centre), "spread": list(self.spread)}


def fit_scaling(features: np.ndarray) -> Scaling:
    """Mean and standard deviation along the last axis; a constant feature keeps a spread of 1.

    Raises:
        ValueError: For no windows, or features that are not finite.
    """
    if not len(features):
        raise ValueError("no windows to fit the scaling on")
    if not np.isfinite(features).all():
        raise ValueError("features to fit the scaling on are not finite")
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    spread = flat.std(axis=0)
    spread = np.where(spread > 1e-6 * np.maximum(1.0, np.abs(flat).max(axis=0)), spread, 1.0)
    return Scaling(tuple(flat.mean(axis=0).tolist()), tuple(spread.tolist()))
