"""The part of a front end's settings that the arithmetics use, so that they need not import it."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

Kind = Literal["spectrum", "mel", "envelope", "moments", "shape", "statistics", "raw"]
Detrend = Literal["mean", "linear", "none"]
Taper = Literal["hann", "hamming", "none"]
Arithmetic = Literal["float32", "fixed"]
# Of acceleration.
Unit = Literal["g", "m/s2", "mm/s2"]
# Where the speed of a shaft comes from: the last channel, in RPM, or the spectrum of the first.
Orders = Literal["channel", "spectrum"]
# Samples beyond this are taken for a sensor fault: fourth powers of those within fit float32.
LARGEST_SAMPLE = 1e8


class Spec(Protocol):
    """The part of `micro.signal.FrontEnd` that `fixed_point` and `float32` use."""

    @property
    def kinds(self) -> tuple[Kind, ...]: ...
    @property
    def length(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def measured(self) -> int: ...
    @property
    def detrend(self) -> Detrend: ...
    @property
    def taper(self) -> Taper: ...

    def size_of(self, kind: Kind) -> int:
        """Features of a kind, for one channel."""

    def edges(self, kind: Kind) -> np.ndarray:
        """First bins of the bands of 'spectrum' or 'envelope', and one past the last: (bands + 1,) int."""

    def mel(self) -> np.ndarray:
        """Corners of the triangles in bins: (bands + 2,) float64."""
