"""Bands in orders, which are multiples of a shaft's speed: where it stands in a spectrum, and which bins are of a band then.

All in integers, from where the arithmetics have the speed or the spectrum's levels on, so that the emitted C finds the same.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from micro.signal.spec import Arithmetic, Kind, Orders, Spec

# Fraction bits of a speed in bins, and of an order.
FRACTION = 16
# Fraction bits of a level.
LEVEL_FRACTION = 8
# dB of one multiple that count, as levels in log10 and in log2: a tone that is no multiple must not outweigh the others.
MOST_DB = 20
# Multiples of a speed that are compared, and the fewest that tell it from others.
MOST_MULTIPLES, FEWEST_MULTIPLES = 8, 3
# A speed that is estimated has a range of less than this factor: with a wider one its multiples are taken for it.
WIDEST_RANGE = 3.0


class Shaft(Spec, Protocol):
    """The part of `micro.signal.FrontEnd` that is read here."""

    @property
    def rate(self) -> float | None: ...
    @property
    def bands(self) -> int: ...
    @property
    def envelope_bands(self) -> int: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float | None: ...
    @property
    def envelope_high(self) -> float | None: ...
    @property
    def arithmetic(self) -> Arithmetic: ...
    @property
    def orders(self) -> Orders | None: ...
    @property
    def slowest(self) -> float | None: ...
    @property
    def fastest(self) -> float | None: ...
    @property
    def speed_full_scale(self) -> float | None: ...
    @property
    def decimate(self) -> int: ...
    @property
    def filter(self) -> object | None: ...


def require_orders(spec: Shaft) -> None:
    """ValueError for settings of orders that do not fit together, and for settings of speeds without orders."""
    given = {name: getattr(spec, name) for name in ("slowest", "fastest", "speed_full_scale")}
    if spec.orders is None:
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise ValueError(
                f"{unused[0]} is for bands in orders; set orders = 'channel' or 'spectrum', or leave it out"
            )
        return
    if spec.orders not in ("channel", "spectrum"):
        raise ValueError(f"orders must be 'channel' or 'spectrum', where the speed comes from, got {spec.orders!r}")
    if not {"spectrum", "envelope"} & set(spec.kinds) or {"mel", "raw"} & set(spec.kinds):
        raise ValueError(
            f"orders are of kinds 'spectrum' and 'envelope', without 'mel' and 'raw', got {', '.join(spec.kinds)}"
        )
    if spec.decimate > 1 or spec.filter is not None:
        raise ValueError("orders are for samples as they are: leave out decimate and filter, or orders")
    if (
        spec.rate is None
        or spec.slowest is None
        or spec.fastest is None
        or not 0 < spec.slowest < spec.fastest < np.inf
    ):
        raise ValueError(
            f"orders need sample_rate and a range of speeds, slowest and fastest in RPM, got {spec.rate}, {spec.slowest} and "
            f"{spec.fastest}"
        )
    if spec.orders == "channel" and spec.channels < 2:
        raise ValueError("orders = 'channel' takes the speed from the last of two channels at least")
    if (
        spec.orders == "channel"
        and spec.arithmetic == "fixed"
        and not spec.fastest <= (spec.speed_full_scale or 0) < 1e9
    ):
        raise ValueError(
            f"arithmetic 'fixed' needs speed_full_scale, the RPM of 32768 counts, at least fastest = {spec.fastest:g}, "
            f"got {spec.speed_full_scale}"
        )
    if spec.orders == "spectrum":
        _require_multiples(spec)
    for kind in ("spectrum", "envelope"):
        if kind in spec.kinds:
            _require_bands(spec, kind)


def _require_multiples(spec: Shaft) -> None:
    slow, fast = bin_of(spec, spec.slowest or 0.0), bin_of(spec, spec.fastest or 0.0)
    if fast >= WIDEST_RANGE * slow:
        raise ValueError(
            f"a speed is estimated in a range below a factor of {WIDEST_RANGE:g}, got {spec.slowest:g} to {spec.fastest:g} RPM"
        )
    if multiples(spec) < FEWEST_MULTIPLES:
        raise ValueError(
            f"a speed is estimated from {FEWEST_MULTIPLES} multiples, and {spec.fastest:g} RPM has fewer below half the rate"
        )

    if slow < 4:
        raise ValueError(
            f"a speed is estimated where multiples are 4 bins apart: {spec.length} samples hold {slow:.3g} turns at "
            f"{spec.slowest:g} RPM; take a longer window or a lower sample_rate"
        )


def _require_bands(spec: Shaft, kind: Kind) -> None:
    low, high, bands = bounds(spec, kind)
    fast, slow = bin_of(spec, spec.fastest or 0.0), bin_of(spec, spec.slowest or 0.0)
    most = spec.length / 2 / fast
    if not 0 <= low < high <= most * (1 + 1e-9):
        raise ValueError(
            f"{kind}: low and high must rise from 0 to {most:.4g} orders, which half the rate is at {spec.fastest:g} RPM, got "
            f"{low:g} and {high:g}"
        )
    if (high - low) / bands * slow < 1:
        raise ValueError(
            f"{kind}: {bands} bands from {low:g} to {high:g} orders are narrower than a bin at {spec.slowest:g} RPM; take "
            f"{max(1, int((high - low) * slow))} at most, or a longer window"
        )


def bin_of(spec: Shaft, rpm: float) -> float:
    """Where a speed stands in the spectrum of `length` samples, in bins."""
    return rpm / 60 * spec.length / (spec.rate or 1.0)


def bounds(spec: Shaft, kind: Kind) -> tuple[float, float, int]:
    """Lowest and highest order of a kind, and its bands."""
    most = spec.length / 2 / bin_of(spec, spec.fastest or 1.0)
    if kind == "envelope":
        return 0.0, most / 8 if spec.envelope_high is None else spec.envelope_high, spec.envelope_bands
    return spec.low, most if spec.high is None else spec.high, spec.bands


def order_edges(spec: Shaft, kind: Kind) -> np.ndarray:
    """Bounds of the bands of 'spectrum' or 'envelope' in orders, with fraction bits: (bands + 1,) int64."""
    low, high, bands = bounds(spec, kind)
    return np.round(np.linspace(low, high, bands + 1) * (1 << FRACTION)).astype(np.int64)


def edges_at(spec: Shaft, kind: Kind, positions: np.ndarray) -> np.ndarray:
    """First bins of the bands of windows at these positions of the speed, and one past the last: (n,) -> (n, bands + 1) int."""
    product = order_edges(spec, kind)[None, :] * positions[:, None]
    bins = (product + (1 << (2 * FRACTION - 1))) >> (2 * FRACTION)
    return np.clip(bins, 1, spec.length // 2 + 1)


def ends(spec: Shaft) -> tuple[int, int]:
    """Positions of the slowest and of the fastest speed."""
    found = [round(bin_of(spec, rpm or 0.0) * (1 << FRACTION)) for rpm in (spec.slowest, spec.fastest)]
    return found[0], found[1]


def multiples(spec: Shaft) -> int:
    """Multiples of the speed that are compared: those of the fastest below half the rate, `MOST_MULTIPLES` at most."""
    return min(MOST_MULTIPLES, int(spec.length / 2 / bin_of(spec, spec.fastest or 1.0)))


def step(spec: Shaft) -> int:
    """From one speed that is tried to the next: its highest multiple goes to the next bin."""
    return (1 << FRACTION) // multiples(spec)


def around(spec: Shaft) -> int:
    """Bins on either side of one whose mean it is compared with: half an order at the slowest."""
    return max(2, int(bin_of(spec, spec.slowest or 0.0)) // 2)


def positions_by_levels(spec: Shaft, levels: np.ndarray, most: int) -> np.ndarray:
    """The speed whose multiples stand out most from what is around them: (n, window / 2) -> (n,) int64.

    `levels` are logarithms of the power of bins 1 on, `most` is how much of one counts.
    """
    whole, wide = levels.shape[1], around(spec)
    sums = np.concatenate([np.zeros((len(levels), 1), np.int64), np.cumsum(levels, axis=1, dtype=np.int64)], axis=1)
    places = np.arange(whole)
    first, past = np.maximum(places - wide, 0), np.minimum(places + wide + 1, whole)
    count = past - first
    above = np.maximum(levels * count - (sums[:, past] - sums[:, first]), 0) // count
    standing = np.minimum(above, most)
    slow, fast = ends(spec)
    tried = np.arange(slow, fast + 1, step(spec))
    combs = np.zeros((len(levels), len(tried)), np.int64)
    for multiple in range(1, multiples(spec) + 1):
        bins = (multiple * tried + (1 << (FRACTION - 1))) >> FRACTION
        # The lower a multiple the more it counts: else half the speed, of which all these are multiples too, would be as good.
        combs += (multiples(spec) + 1 - multiple) * standing[:, np.minimum(bins, whole) - 1]
    return np.asarray(tried[np.argmax(combs, axis=1)])
