"""Which settings of a front end fit together."""

from __future__ import annotations

from typing import Protocol, get_args

import numpy as np

from micro.signal.conditioning import Conditioning
from micro.signal.shaft_orders import Shaft, require_orders
from micro.signal.spec import Arithmetic, Detrend, Kind, Taper

# Samples that are transformed at a time.
LONGEST_FRAME = 4096
# Of frames that are stacked.
LONGEST_WINDOW = 2**22
MOST_FRAMES = 4096


class Settings(Shaft, Protocol):
    """Those of `micro.signal.FrontEnd`."""

    @property
    def window(self) -> int: ...
    @property
    def hop(self) -> int: ...
    @property
    def sample_rate(self) -> float | None: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float | None: ...
    @property
    def envelope_high(self) -> float | None: ...
    @property
    def arithmetic(self) -> Arithmetic: ...
    @property
    def full_scale(self) -> float | None: ...
    @property
    def frame(self) -> int | None: ...
    @property
    def frame_hop(self) -> int | None: ...
    @property
    def frames(self) -> int: ...
    @property
    def spectral(self) -> bool: ...
    @property
    def conditioning(self) -> Conditioning: ...


def require_settings(spec: Settings) -> None:
    """ValueError for settings that do not fit together."""
    choices = {"detrend": Detrend, "taper": Taper, "arithmetic": Arithmetic}
    for name, allowed in choices.items():
        if getattr(spec, name) not in get_args(allowed):
            raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, got {getattr(spec, name)!r}")
    if not spec.kinds or len(set(spec.kinds)) < len(spec.kinds) or not set(spec.kinds) <= set(get_args(Kind)):
        raise ValueError(f"kinds must be different ones of {', '.join(get_args(Kind))}, got {', '.join(spec.kinds)}")
    if "raw" in spec.kinds and len(spec.kinds) > 1:
        raise ValueError("kind 'raw' cannot be combined with others: it has another shape")
    if spec.frame is None:
        _require_window(spec)
    else:
        _require_frames(spec)
    if spec.channels < 1:
        raise ValueError(f"channels must be at least 1, got {spec.channels}")
    if spec.spectral and spec.length & (spec.length - 1):
        near = 2 ** round(np.log2(spec.length))
        what = "window" if spec.frame is None else "frame"
        raise ValueError(f"a {what} of spectra must be a power of two; nearest to {spec.length}: {near}")
    if spec.sample_rate is None and (spec.low or spec.high or spec.envelope_high or "mel" in spec.kinds):
        raise ValueError("sample_rate is needed for 'mel' and for bounds in Hz")
    if spec.sample_rate is not None and not 0 < spec.sample_rate < np.inf:
        raise ValueError(f"sample_rate must be above 0 Hz, got {spec.sample_rate}")
    if spec.full_scale is not None and not 0 < spec.full_scale < np.inf:
        raise ValueError(f"full_scale must be above 0, got {spec.full_scale}")
    _ = spec.conditioning  # refuses what does not fit
    require_orders(spec)
    if spec.orders is not None:
        return
    for kind in spec.kinds:
        if kind in ("spectrum", "envelope"):
            spec.edges(kind)
        elif kind == "mel":
            spec.mel()


def _require_window(spec: Settings) -> None:
    if spec.frame_hop is not None:
        raise ValueError(f"frame_hop {spec.frame_hop} is for frames that are stacked; give frame as well")
    if not 8 <= spec.window <= LONGEST_FRAME or spec.hop < 1:
        longer = f"; for longer ones stack frames, such as frame = {LONGEST_FRAME // 8}"
        raise ValueError(
            f"window must be 8 to {LONGEST_FRAME} samples and hop at least 1, got {spec.window} and {spec.hop}"
            f"{longer if spec.window > LONGEST_FRAME else ''}"
        )


def _require_frames(spec: Settings) -> None:
    frame, frame_hop = spec.length, spec.frame_hop or 0
    shortest = 1 if spec.kinds == ("raw",) else 8
    if not shortest <= frame <= LONGEST_FRAME:
        raise ValueError(f"frame must be {shortest} to {LONGEST_FRAME} samples, got {frame}")
    if frame == 1 and spec.detrend != "none":
        raise ValueError(f"frames of one sample have no trend: detrend must be 'none', got {spec.detrend!r}")
    if not 1 <= frame_hop <= frame:
        raise ValueError(f"frame_hop must be 1 to {frame}, so that no sample is skipped, got {frame_hop}")
    if not frame <= spec.window <= LONGEST_WINDOW or spec.frames > MOST_FRAMES:
        raise ValueError(
            f"a window of frames must be {frame} to {LONGEST_WINDOW:,} samples and {MOST_FRAMES:,} frames at most, got "
            f"{spec.window:,} samples in {spec.frames:,} frames"
        )
    if (spec.window - frame) % frame_hop:
        whole = frame + (spec.frames - 1) * frame_hop
        raise ValueError(
            f"window must be frame and a multiple of frame_hop: {whole} holds {spec.frames} frames, {whole + frame_hop} one "
            f"more; got {spec.window}"
        )
    if spec.hop < 1 or spec.hop % frame_hop:
        near = max(1, round(spec.hop / frame_hop)) * frame_hop
        raise ValueError(f"hop must be a multiple of frame_hop, {frame_hop}; nearest to {spec.hop}: {near}")
