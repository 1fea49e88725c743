"""Spectral and raw features of windows, and their scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

# Added to band energies before the logarithm: far below any sensor's noise, and finite on silence.
SILENCE = 1e-12


@dataclass(frozen=True)
class Features:
    """How a window becomes a model's input.

    'spectrum': each channel's mean is removed, a Hann window applied, and the power spectrum summed in `bands` equal bands
    from 0 Hz to half the sample rate; the feature is log10 of the energy.
    'statistics': each channel's mean, standard deviation, minimum, maximum and mean absolute step, for slow process data whose
    level tells as much as its movement.
    'raw': the samples, each channel's mean removed.
    """

    kind: Literal["spectrum", "statistics", "raw"]
    window: int
    hop: int
    bands: int = 64

    def __post_init__(self) -> None:
        if self.window < 8 or self.hop < 1:
            raise ValueError(f"window must be at least 8 samples and hop at least 1, got {self.window} and {self.hop}")
        if self.kind == "spectrum" and not 1 <= self.bands <= self.window // 2:
            raise ValueError(f"a window of {self.window} samples has 1 to {self.window // 2} bands, got {self.bands}")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Shapes: (n, window, channels) -> (n, bands * channels), (n, 5 * channels) or (n, window, channels), float32."""
        if self.kind == "statistics":
            steps = np.abs(np.diff(frames, axis=1)).mean(axis=1)
            parts = [frames.mean(axis=1), frames.std(axis=1), frames.min(axis=1), frames.max(axis=1), steps]
            return np.concatenate(parts, axis=1).astype(np.float32)
        centred = frames - frames.mean(axis=1, keepdims=True, dtype=np.float64)
        if self.kind == "raw":
            return centred.astype(np.float32)
        taper = np.hanning(self.window + 1)[:-1, None]
        power = np.abs(np.fft.rfft(centred * taper, axis=1)[:, 1:]) ** 2 / self.window
        edges = np.round(np.linspace(0, power.shape[1], self.bands + 1)).astype(int)
        energy = np.add.reduceat(power, edges[:-1], axis=1)
        features = np.log10(energy + SILENCE).astype(np.float32)
        return np.swapaxes(features, 1, 2).reshape(len(frames), -1)


@dataclass(frozen=True)
class Scaling:
    """Centre and spread of each feature, fitted on healthy or training windows; spread is in the features' units."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features in units of their spread, float32, clipped to +-`LIMIT`: one wild value cannot widen the int8 range."""
        scaled = (features - np.array(self.centre, np.float32)) / np.array(self.spread, np.float32)
        return np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)

    def to_config(self) -> dict[str, Any]:
        """Plain lists, for a report."""
        return {"centre": list(self.centre), "spread": list(self.spread)}


LIMIT = 8.0


def fit_scaling(features: np.ndarray) -> Scaling:
    """Mean and standard deviation along the last axis; a constant feature keeps a spread of 1.

    Raises: ValueError for no windows, or features that are not finite.
    """
    if not len(features):
        raise ValueError("no windows to fit the scaling on")
    if not np.isfinite(features).all():
        raise ValueError("features to fit the scaling on are not finite")
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    spread = flat.std(axis=0)
    spread = np.where(spread > 1e-6 * np.maximum(1.0, np.abs(flat).max(axis=0)), spread, 1.0)
    return Scaling(tuple(flat.mean(axis=0).tolist()), tuple(spread.tolist()))
