"""Healthy windows with synthetic anomalies: what detectors are judged by before any test.

Where no fault was ever recorded, a choice between detectors needs stand-ins. They are added to samples, so that the front end
is judged along with the student, and drawn from families that machines show: impacts that ring, tones, noise in a band, a gain.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# The longest window that is one frame; those of many frames may hold millions of samples.
ONE_FRAME = 4096
# Strengths of what is added, as a fraction of the window's own RMS: from hidden in it to obvious.
STRENGTHS = (0.15, 0.3, 0.6)


def with_anomalies(frames: np.ndarray, seed: int) -> np.ndarray:
    """Each window once with each kind of anomaly, at a strength drawn from `STRENGTHS`.

    Shapes: (n, window, channels) -> (4 n, window, channels) float32.
    """
    rng = np.random.default_rng([seed, 11])
    made = [_mixed(frame, kind(frame.shape[0], rng), rng) for kind in KINDS for frame in frames]
    gains = [_gained(frame, rng) for frame in frames]
    return np.stack([*made, *gains]).astype(np.float32)


def _impacts(length: int, rng: np.random.Generator) -> np.ndarray:
    """Impulses at an even spacing with some slip, each ringing down at one frequency."""
    spacing = rng.uniform(length / 24, length / 3)
    places = np.cumsum(spacing * (1 + 0.02 * rng.standard_normal(40)))
    places = places[places < length].astype(int)
    frequency, decay = rng.uniform(0.05, 0.42), rng.uniform(0.01, 0.08)
    t = np.arange(length)
    ring = np.exp(-decay * t) * np.sin(2 * np.pi * frequency * t)
    hits = np.zeros(length)
    hits[places] = rng.uniform(0.6, 1.0, len(places))
    if length <= ONE_FRAME:
        return np.convolve(hits, ring)[:length]
    from scipy.signal import fftconvolve

    return np.asarray(fftconvolve(hits, ring))[:length]


def _tone(length: int, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * (rng.uniform(0.01, 0.45) * np.arange(length) + rng.uniform()))


def _band(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise in a band an eighth of the spectrum wide."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    bins = np.arange(len(spectrum)) / len(spectrum)
    low = rng.uniform(0.02, 0.85)
    return np.fft.irfft(np.where((bins >= low) & (bins < low + 0.125), spectrum, 0), length)


KINDS: tuple[Callable[[int, np.random.Generator], np.ndarray], ...] = (_impacts, _tone, _band)


def _mixed(frame: np.ndarray, added: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The frame with a signal added on every channel, as strong as a strength says."""
    level = np.sqrt(np.mean(np.square(frame - frame.mean(axis=0)), axis=0))
    unit = added / max(float(np.sqrt(np.mean(np.square(added)))), 1e-12)
    return frame + rng.choice(STRENGTHS) * level * unit[:, None]


def _gained(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    middle = frame.mean(axis=0)
    factor = 1 + rng.choice(STRENGTHS)
    return middle + (frame - middle) * (factor if rng.random() < 0.5 else 1 / factor)
