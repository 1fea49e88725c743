"""What float32 keeps of a column: of a large offset with small changes on it little or nothing is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

# Fewer steps than this between the least and the largest value are too few.
FEWEST_STEPS = 256
# Values that differ by no more than this many last digits of float64 are the same.
LAST_DIGITS = 64


@dataclass(frozen=True)
class Precision:
    """The least and the largest finite value of a column as its file has them, in its own unit, and the furthest that float32
    moves one of them."""

    low: float
    high: float
    lost: float

    def joined(self, other: Precision) -> Precision:
        """Of both together."""
        return Precision(min(self.low, other.low), max(self.high, other.high), max(self.lost, other.lost))

    @property
    def changes(self) -> bool:
        """Whether the file's own values differ by more than the last digits of a computation."""
        return bool(self.high - self.low > LAST_DIGITS * np.finfo(np.float64).eps * max(abs(self.low), abs(self.high)))

    @property
    def lost_all(self) -> bool:
        """Whether the values change and are one in float32."""
        return self.changes and np.float32(self.low) == np.float32(self.high)

    @property
    def is_coarse(self) -> bool:
        """Whether the values change and float32 keeps too few steps of them."""
        return self.changes and 2 * self.lost * FEWEST_STEPS > self.high - self.low

    def __str__(self) -> str:
        steps = 0 if self.lost_all else int((self.high - self.low) / (2 * self.lost))
        kept = "none of that change" if not steps else f"{steps} step{'' if steps == 1 else 's'} of that"
        return (
            f"goes from {self.low:.12g} to {self.high:.12g}, and float32, in which features are computed, keeps {kept}; "
            f"subtract an offset such as {self.low:.6g} in the files, or do without the column"
        )


def note(found: dict[str, Precision], name: str, values: np.ndarray, narrow: np.ndarray) -> None:
    """Add a stretch of a column to what was found before; `values` as the file has them, (n,), `narrow` as float32."""
    finite = np.isfinite(values)
    if not finite.all():
        values, narrow = values[finite], narrow[finite]
    if len(values):
        lost = 0.0 if values.dtype == narrow.dtype else float(np.abs(values - narrow).max())
        one = Precision(float(values.min()), float(values.max()), lost)
        found[name] = found[name].joined(one) if name in found else one


def joined(each: Iterable[Mapping[str, Precision]]) -> dict[str, Precision]:
    """Of several files together, by channel."""
    found: dict[str, Precision] = {}
    for one in each:
        for name, precision in one.items():
            found[name] = found[name].joined(precision) if name in found else precision
    return found


def coarse_notes(precision: Mapping[str, Precision]) -> list[str]:
    """A sentence on each channel of which float32 keeps too few steps."""
    return [f"column {name!r} {one}." for name, one in precision.items() if one.is_coarse]
