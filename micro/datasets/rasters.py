"""When the channels of a measurement file were sampled, and channels brought to the times of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import FilesData
from micro.datasets.clock import begun
from micro.datasets.contents import label_columns
from micro.errors import DataError
from micro.support.wording import counted

# Steps of a channel between two of its samples from which on there is a gap.
GAP_STEPS = 1.5
# Times that differ by less than this fraction of a step are the same.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Raster:
    """When the rows of a channel were sampled: their number, the time between two in seconds, and when the first was, a moment
    and seconds from it on, where the file says so."""

    count: int
    step: float | None
    begin: np.datetime64 | None = None
    offset: float | None = None

    def __str__(self) -> str:
        rate = "" if self.step is None else f" at {1 / self.step:g} Hz"
        begin = "" if self.begin is None else f" from {self.begin}"
        offset = f" + {self.offset:g} s" if self.offset else ""
        return f"{self.count:,} rows{rate}{begin}{offset}"

    @property
    def since_1970(self) -> float | None:
        """Seconds since 1970 of the first row, None where the file does not say it."""
        if self.begin is None:
            return None
        begin = float((self.begin - np.datetime64(0, "s")) / np.timedelta64(1, "s"))
        return begun(begin + (self.offset or 0.0))

    def agrees(self, other: Raster) -> bool:
        """Whether rows of both are of the same time, as far as the file says it."""
        step, begin = self.step or other.step or 0.0, self.begin or other.begin
        apart = (self.offset or 0.0) - (other.offset or 0.0)
        if self.begin is not None and other.begin is not None:
            apart += float((self.begin - other.begin) / np.timedelta64(1, "s"))
        elif begin is not None or self.offset is None or other.offset is None:
            apart = 0.0  # of one of them it is not known when it began
        same = self.count == other.count and abs(apart) <= 1e-9 + ROUNDING * step
        return same and (self.step is None or other.step is None or abs(self.step / other.step - 1) < 1e-6)

    def joined(self, other: Raster) -> Raster:
        """What is known of both together, where they agree."""
        begun = self if self.begin is not None or (other.begin is None and self.offset is not None) else other
        return Raster(self.count, other.step if self.step is None else self.step, begun.begin, begun.offset)


def raster_of(times: np.ndarray) -> Raster:
    """How many times there are, (n,), and the usual step between two."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Raster(len(times), step if step > 0 else None)


def same_times(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether times are the same but for rounding."""
    return len(one) == len(other) and bool(np.abs(one - other).max() <= 1e-9 + ROUNDING * (raster_of(one).step or 0.0))


def brought(
    path: Path, name: str, values: np.ndarray, own: np.ndarray, wanted: np.ndarray, config: FilesData
) -> np.ndarray:
    """A channel's values at other times than its own, (n,) as `wanted`; see `measurements.read_mdf`."""
    if same_times(own, wanted):
        return values
    if name == config.time_column:
        raise DataError(
            f"{path}: time_column {name!r} has other times than the channel with the most rows; leave time_column out, as an "
            "MDF file has times of its own"
        )
    if not (np.diff(own) >= 0).all():
        raise DataError(
            f"{path}: times of channel {name!r} go back or are missing; name the channels to use in columns"
        )
    close = _close(own, wanted)
    if values.dtype.kind == "f" and name not in (config.label_column, *label_columns(config)):
        within = (wanted >= own[0] - close) & (wanted <= own[-1] + close)
        return np.where(
            within & ~_in_gaps(own, wanted, close), np.interp(wanted, own, values.astype(np.float64)), np.nan
        )
    before = np.searchsorted(own, wanted + close, side="right") - 1
    held = values[np.maximum(before, 0)]
    unknown = before < 0
    if name in learned(config):
        unknown |= after_end(own, wanted)
    if not unknown.any():
        return held
    return np.where(unknown, np.nan if values.dtype.kind in "biuf" else values.dtype.type(), held)


def learned(config: FilesData) -> set[str | None]:
    """Channels that say what is to be learned: what a recorder no longer wrote of them is not known."""
    said = {config.label_column, *label_columns(config), *getattr(config, "targets", ())}
    return said - {None, getattr(config, "run_column", None)}


def after_end(own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which times come after the last of a channel's own, (n,) bool."""
    return np.asarray(wanted > own[-1] + _close(own, wanted))


def ended(rows: Mapping[str, int]) -> list[str]:
    """Sentences on rows after the last of a channel that says what is to be learned."""
    return [
        f"{counted(count, 'row')} after the last time of {name!r} {'has' if count == 1 else 'have'} none of its values"
        for name, count in rows.items()
    ]


def _close(own: np.ndarray, wanted: np.ndarray) -> float:
    """Seconds within which times are the same."""
    # Sums and products of one step differ in their last digits: 3 * 0.1 is later than 30 / 100.
    steps = [step for step in (raster_of(own).step, raster_of(wanted).step) if step is not None]
    return ROUNDING * min(steps, default=0.0)


def _in_gaps(own: np.ndarray, wanted: np.ndarray, close: float) -> np.ndarray:
    """Which times lie between two of a channel's own that are further apart than its samples are, (n,) bool."""
    step = raster_of(own).step
    if step is None or len(own) < 2:
        return np.zeros(len(wanted), bool)
    after = np.clip(np.searchsorted(own, wanted - close), 1, len(own) - 1)
    between = (wanted > own[after - 1] + close) & (wanted < own[after] - close)
    return np.asarray(between & (own[after] - own[after - 1] > GAP_STEPS * step))
