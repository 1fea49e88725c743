"""Signals of recordings as a page draws them: over time, by frequency, both at once, and as sound."""

from __future__ import annotations

import functools
import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from micro.datasets import clock
from micro.datasets.formats import read_contents
from micro.errors import DataError, MicroError
from micro.look.survey import reading

# Points of a curve, and cells of a spectrogram along time and along frequency, at most.
POINTS, TIMES, BANDS = 800, 240, 128
# The largest file that is drawn: all of it is read.
MOST_BYTES = 512 * 1024 * 1024
# Samples of the windows that a spectrum is the mean of, at most.
WINDOW = 1024
# The range of a spectrogram below its loudest cell, in dB.
RANGE = 50.0
# What can be heard: slower signals are played faster, up to this rate in Hz; seconds of sound at most.
HEARD, LOWEST_HEARD, MOST_SECONDS = 16_000, 4_000, 60.0


@dataclass(frozen=True)
class Signals:
    """A file's channels, float32 (n, channels), their rate in Hz or None, and the rows at which a gap in time ends."""

    channels: tuple[str, ...]
    samples: np.ndarray
    rate: float | None
    gaps: tuple[int, ...]

    def of(self, channel: str) -> np.ndarray:
        """One channel, (n,) float32; ValueError if there is none of that name."""
        if channel not in self.channels:
            raise ValueError(f"there is no channel {channel[:80]!r}")
        return self.samples[:, self.channels.index(channel)]

    @property
    def hertz(self) -> float:
        """The rate, 1 where it is not known: times are rows then."""
        return self.rate or 1.0


def read_signals(path: Path, survey: Mapping[str, Any]) -> Signals:
    """The signals of one file, read as `keras-kd look` found out.

    Args:
        path: The file.
        survey: What `keras-kd look --json` printed on it and others.

    Raises:
        DataError: If it is too large to be drawn, or cannot be read.
    """
    status = path.stat()
    if status.st_size > MOST_BYTES:
        raise DataError(f"{path.name} has {status.st_size / 2**20:,.0f} MiB, and files of up to 512 are drawn here")
    settings = tuple(sorted((key, _frozen(value)) for key, value in survey.get("settings", {}).items()))
    flags = tuple(survey.get("label_columns", ()))
    return _read(path, status.st_mtime_ns, settings, survey.get("label_column"), flags, survey.get("run_column"))


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@functools.lru_cache(maxsize=4)
def _read(
    path: Path,
    changed: int,
    settings: tuple[tuple[str, Any], ...],
    label: str | None,
    flags: Sequence[str],
    run: str | None,
) -> Signals:
    config = reading(dict(settings), run or label, flags)
    read = read_contents(path, config)
    rate = read.rate
    gaps: list[int] = []
    if read.moments is not None:
        named = clock.called(read.moments, config)
        try:
            rate, gaps = clock.rate_and_breaks(clock.seconds(read.moments, named, path), named, path, read.rows.where)
        except MicroError:
            rate = None  # a clock that starts again, as where runs follow each other
    elif "sample_rate" in dict(settings):
        rate = float(dict(settings)["sample_rate"])
    return Signals(read.channels, read.samples, rate, tuple(gaps))


def over_time(signals: Signals, channel: str, start: float, end: float | None) -> dict[str, Any]:
    """Least and most of a channel in each of up to 800 stretches between two times in seconds: `at`, `low`, `high`, `gaps`."""
    first, stop = _rows(signals, start, end)
    column = signals.of(channel)[first:stop]
    edges = np.unique(np.linspace(0, len(column), min(len(column), POINTS) + 1).astype(int))
    low, high = [], []
    for begin, past in pairwise(edges.tolist()):
        part = column[begin:past]
        part = part[np.isfinite(part)]
        low.append(float(part.min()) if len(part) else None)
        high.append(float(part.max()) if len(part) else None)
    at = ((edges[:-1] + first) / signals.hertz).tolist()
    gaps = [row / signals.hertz for row in signals.gaps if first <= row < stop]
    return {"at": at, "low": low, "high": high, "gaps": gaps, **_span(signals, first, stop)}


def by_frequency(signals: Signals, channel: str, start: float, end: float | None) -> dict[str, Any]:
    """The mean power spectrum between two times, as the level of each frequency in dB: `at`, `level`.

    Source: Welch 1967, with Hann windows of up to 1,024 samples that overlap by half.
    """
    from scipy.signal import welch

    first, stop = _rows(signals, start, end)
    column = _whole(signals.of(channel)[first:stop])
    at, power = welch(column, signals.hertz, nperseg=min(WINDOW, len(column)))
    level = 10 * np.log10(np.maximum(power, 1e-20))
    return {"at": at.tolist(), "level": np.round(level, 3).tolist(), **_span(signals, first, stop)}


def time_and_frequency(signals: Signals, channel: str, start: float, end: float | None) -> dict[str, Any]:
    """Levels by time and frequency between two times: `cells`, 0 to 255 in rows of one frequency, low ones first, over the
    50 dB below the loudest one."""
    from scipy.signal import stft

    first, stop = _rows(signals, start, end)
    column = _whole(signals.of(channel)[first:stop])
    window = int(min(2 * BANDS, max(16, len(column) // 8)))
    step = max(1, (len(column) - window) // TIMES) if len(column) > window else 1
    keep = max(1, int(np.ceil(step / window)))
    overlap = max(0, window - max(1, step // keep))
    at, _, spectrum = stft(column, signals.hertz, nperseg=window, noverlap=overlap, boundary=None, padded=False)
    power = np.abs(spectrum) ** 2
    power = power[:, : power.shape[1] // keep * keep].reshape(len(at), -1, keep).mean(axis=2)
    level = 10 * np.log10(np.maximum(power, 1e-20))
    top = float(level.max())
    cells = np.clip((level - top + RANGE) / RANGE * 255, 0, 255).astype(np.uint8)
    return {"cells": cells.tolist(), "highest": float(at[-1]), "top": top, **_span(signals, first, stop)}


def as_sound(signals: Signals, channel: str, start: float, end: float | None) -> bytes:
    """A channel between two times as a WAV file of 16 bits, at most a minute; slow signals faster, to be heard."""
    first, stop = _rows(signals, start, end)
    rate = signals.hertz
    played = round(rate if rate >= LOWEST_HEARD else HEARD)
    column = _whole(signals.of(channel)[first : min(stop, first + int(MOST_SECONDS * played))])
    column = column - column.mean()
    peak = float(np.abs(column).max()) or 1.0
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(played)
        file.writeframes((column / peak * 30_000).astype("<i2").tobytes())
    return out.getvalue()


def as_csv(drawn: Mapping[str, Any]) -> str:
    """What a page draws as a table."""
    if "cells" in drawn:
        cells = drawn["cells"]
        head = ",".join(["Hz", *(f"time {place}" for place in range(len(cells[0])))])
        lines = [
            ",".join([f"{drawn['highest'] * row / max(1, len(cells) - 1):.6g}", *map(str, values)])
            for row, values in enumerate(cells)
        ]
        return "\n".join([head, *lines]) + "\n"
    names = [name for name in ("at", "low", "high", "level") if name in drawn]
    rows = zip(*(drawn[name] for name in names))
    lines = [",".join("" if cell is None else f"{cell:.9g}" for cell in row) for row in rows]
    return "\n".join([",".join(names), *lines]) + "\n"


def _rows(signals: Signals, start: float, end: float | None) -> tuple[int, int]:
    """The rows between two times in seconds; ValueError where there are none."""
    rows = len(signals.samples)
    first = max(0, round(start * signals.hertz))
    stop = rows if end is None else min(rows, round(end * signals.hertz))
    if stop - first < 2:
        raise ValueError(f"from {start:g} to {rows / signals.hertz if end is None else end:g} there are no two rows")
    return first, stop


def _span(signals: Signals, first: int, stop: int) -> dict[str, Any]:
    return {
        "start": first / signals.hertz,
        "end": stop / signals.hertz,
        "length": len(signals.samples) / signals.hertz,
        "unit": "s" if signals.rate else "rows",
        "rate": signals.rate,
    }


def _whole(column: np.ndarray) -> np.ndarray:
    """A channel without holes: missing values are drawn as a straight line, as float64."""
    column = column.astype(np.float64)
    present = np.flatnonzero(np.isfinite(column))
    if not len(present):
        raise ValueError("there is no number in this stretch")
    return np.interp(np.arange(len(column)), present, column[present])
