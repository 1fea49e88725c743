"""How a window of samples becomes features, described once for training and for the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from micro.signal import fixed_point, float32
from micro.signal.bands import band_edges, mel_bands, mel_bins
from micro.signal.conditioning import Conditioning, Filter
from micro.signal.joined_frames import FilteredFrames, Frames
from micro.signal.requirements import LONGEST_FRAME as LONGEST_FRAME
from micro.signal.requirements import require_settings
from micro.signal.scaling import Scaling
from micro.signal.spec import Arithmetic, Detrend, Kind, Taper

# Kinds whose features are not bands.
PARTS: dict[Kind, tuple[str, ...]] = {
    "moments": ("RMS", "crest factor", "kurtosis"),
    "shape": ("RMS", "crest factor", "skewness", "kurtosis"),
    "statistics": ("mean", "standard deviation", "minimum", "maximum", "mean step"),
}
# Frames processed at once, so that long recordings do not fill the memory.
CHUNK = 2048


@dataclass(frozen=True)
class FrontEnd:
    """How samples become a model's input; the emitted C does the same operations in the same order.

    With `frame`, a window is cut into frames of that many samples, one every `frame_hop`, and has a row of features for
    each: the target computes a row once, when its last sample comes, and keeps it as int8. Else the window is one frame.

    The features of each channel, one kind after the other, follow those of the channel before it:

    'spectrum': log10 of the energy in `bands` bands of equal width from `low` to `high`.
    'mel': log10 of the energy in `bands` overlapping triangles, evenly spaced on the mel scale from `low` to `high`.
    'envelope': log10 of the energy in `envelope_bands` equal bands of the envelope's spectrum, up to `envelope_high`. The
        envelope is the absolute first difference, in which impacts that ring at high frequencies stand out.
    'moments': log10 of RMS, of the crest factor and of kurtosis.
    'shape': those of 'moments', and between the last two skewness as it is, 0 for silence and for what is symmetric.
    'statistics': mean, standard deviation, minimum, maximum and mean absolute step, of the samples as they are.
    'raw': the samples themselves, detrended; alone, and in the shape (window, channels), of frames (frames, frame, channels).

    Attributes:
        kinds: One kind or several.
        window: Samples a window: 8 to 4,096, a power of two for spectra; of frames, `frame` and a multiple of `frame_hop`.
        hop: Samples from one window to the next, at least 1; in C at most a window. Of frames, a multiple of `frame_hop`.
        channels: Sensors, at least 1.
        sample_rate: Of the sensor in Hz; needed for 'mel', for a filter and where `low`, `high` or `envelope_high` are given.
        bands, envelope_bands: Features of 'spectrum' and 'mel', and of 'envelope', at least 1.
        low, high: Bounds of 'spectrum' and 'mel' in Hz; `high` is half the rate if None.
        envelope_high: Bound of 'envelope' in Hz; a sixteenth of the rate if None.
        detrend: What is subtracted from a window before spectra, moments and raw samples: 'mean', 'linear' or 'none'.
        taper: Of windows before a Fourier transform: 'hann', 'hamming' or 'none'.
        arithmetic: 'float32', or 'fixed' for targets without an FPU: int16 samples, 32- and 64-bit integers.
        full_scale: The value of a sample of 32768 in the samples' unit; needed by 'fixed' on samples that are not int16.
        frame: Samples a frame: 8 to 4,096, a power of two for spectra, 1 or more for 'raw'; None for one frame a window.
        frame_hop: Samples from one frame to the next, at least 1 and at most `frame`, which is the default.
        decimate: Samples of which one is kept, 1 to 16; windows, hops and frames count those that are kept.
        filter: Of the stream of samples that are kept, before windows are cut.

    Raises:
        ValueError: For settings that do not fit together.

    Examples:
        >>> front_end = micro.FrontEnd(("spectrum", "moments"), window=64, hop=32, sample_rate=1000.0, bands=2)
        >>> frames = np.sin(np.arange(640)).reshape(10, 64, 1)
        >>> front_end(frames).shape
        (10, 5)
        >>> front_end.names[:3]
        ('spectrum 15.62 to 250 Hz', 'spectrum 265.6 to 500 Hz', 'moments RMS')
        >>> micro.FrontEnd("mel", window=16000, hop=3200, sample_rate=16000.0, bands=40, frame=640, frame_hop=320).shape
        Traceback (most recent call last):
        ValueError: a frame of spectra must be a power of two; nearest to 640: 512
        >>> micro.FrontEnd("mel", window=15872, hop=3200, sample_rate=16000.0, bands=40, frame=512, frame_hop=320).shape
        (49, 40)
    """

    kinds: tuple[Kind, ...]
    window: int
    hop: int
    channels: int = 1
    sample_rate: float | None = None
    bands: int = 64
    low: float = 0.0
    high: float | None = None
    envelope_bands: int = 32
    envelope_high: float | None = None
    detrend: Detrend = "mean"
    taper: Taper = "hann"
    arithmetic: Arithmetic = "float32"
    full_scale: float | None = None
    frame: int | None = None
    frame_hop: int | None = None
    decimate: int = 1
    filter: Filter | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", (self.kinds,) if isinstance(self.kinds, str) else tuple(self.kinds))
        if self.frame is not None and self.frame_hop is None:
            object.__setattr__(self, "frame_hop", self.frame)
        require_settings(self)

    @property
    def span(self) -> int:
        """Samples up to a window's last that it depends on: those of the window."""
        return self.window

    @property
    def sensor_window(self) -> int:
        """Samples of the sensor in a window."""
        return self.window * self.decimate

    @property
    def sensor_hop(self) -> int:
        """Samples of the sensor from one window to the next."""
        return self.hop * self.decimate

    @property
    def sources(self) -> tuple[()]:
        """No further sources, which a joined front end has."""
        return ()

    @property
    def rate(self) -> float | None:
        """In Hz, of the samples in a window."""
        return self.sample_rate if self.sample_rate is None or self.decimate == 1 else self.sample_rate / self.decimate

    @property
    def conditioning(self) -> Conditioning:
        """What is done to a stream of samples before windows are cut from it."""
        return Conditioning(self.sample_rate, self.decimate, self.filter, self.arithmetic)

    def conditioned(self, samples: np.ndarray) -> np.ndarray:
        """A stream as windows are cut from it: (n, channels) -> (n // decimate, channels), int16 where it is filtered in fixed.

        Raises as `counts`.
        """
        made = self.conditioning
        if not made.changes:
            return samples
        samples = self.counts(samples) if self.arithmetic == "fixed" else samples
        return np.stack([made(channel) for channel in np.asarray(samples).T], axis=1)

    def filtered_each(self, windows: np.ndarray) -> Frames:
        """Windows of the sensor's samples as those of streams that begin with them: (n, sensor_window, channels) -> n windows.

        They are as the target takes them, in counts for arithmetic 'fixed'.
        """
        own = self.counts(windows) if self.arithmetic == "fixed" else windows.astype(np.float32, copy=False)
        if not self.conditioning.changes:
            return own
        empty = np.empty((0, self.window, self.channels), own.dtype)
        return FilteredFrames(np.stack([self.conditioned(each) for each in own]) if len(own) else empty, own)

    @property
    def spectral(self) -> bool:
        """Whether a Fourier transform is taken."""
        return any(kind in ("spectrum", "mel", "envelope") for kind in self.kinds)

    @property
    def length(self) -> int:
        """Samples of which features are computed at a time: those of a frame, or of a window that is one frame."""
        return self.window if self.frame is None else self.frame

    @property
    def frames(self) -> int:
        """Frames a window."""
        return 1 if self.frame_hop is None else (self.window - self.length) // self.frame_hop + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        return self._frame_shape if self.frame is None else (self.frames, *self._frame_shape)

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame's features."""
        if self.kinds == ("raw",):
            return (self.length, self.channels)
        return (self.channels * sum(self.size_of(kind) for kind in self.kinds),)

    def size_of(self, kind: Kind) -> int:
        """Features of a kind, for one channel."""
        if kind in PARTS:
            return len(PARTS[kind])
        return {"raw": self.length, "envelope": self.envelope_bands}.get(kind, self.bands)

    def edges(self, kind: Kind) -> np.ndarray:
        """First bins of the bands of 'spectrum' or 'envelope', and one past the last: (bands + 1,) int."""
        rate = self.rate or 1.0
        if kind == "envelope":
            high = rate / 16 if self.envelope_high is None else self.envelope_high
            return band_edges(self.length, rate, 0.0, high, self.envelope_bands, kind)
        return band_edges(self.length, rate, self.low, rate / 2 if self.high is None else self.high, self.bands, kind)

    def mel(self) -> np.ndarray:
        """Corners of the triangles in bins: (bands + 2,) float64."""
        assert self.rate is not None
        high = self.rate / 2 if self.high is None else self.high
        return mel_bands(self.length, self.rate, self.low, high, self.bands)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each feature, in order; bands by their first and last bin, in Hz where the sample rate is known."""
        if self.frame is None:
            return self.frame_names
        return tuple(f"frame {frame}: {name}" for frame in range(self.frames) for name in self.frame_names)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """A name for each feature of a frame."""
        names = [f"{kind} {part}" for kind in self.kinds for part in self._parts(kind)]
        if self.channels == 1:
            return tuple(names)
        # Samples are in the order they were taken, features channel by channel.
        pairs = [(channel, name) for channel in range(self.channels) for name in names]
        if self.kinds == ("raw",):
            pairs = [(channel, name) for name in names for channel in range(self.channels)]
        return tuple(f"channel {channel}: {name}" for channel, name in pairs)

    def places_of(self, channels: Sequence[int]) -> tuple[int, ...]:
        """Where the features of some channels are along the last axis."""
        each = 1 if self.kinds == ("raw",) else self.shape[-1] // self.channels
        return tuple(each * channel + place for channel in sorted(channels) for place in range(each))

    def _parts(self, kind: Kind) -> list[str]:
        if kind in PARTS:
            return list(PARTS[kind])
        if kind == "raw":
            return [str(place) for place in range(self.length)]
        if kind == "mel":
            bounds = list(zip(*mel_bins(self.mel())))
        else:
            edges = self.edges(kind)
            bounds = list(zip(edges[:-1], edges[1:] - 1))
        if self.rate is None:
            return [f"bins {first} to {last}" for first, last in bounds]
        width = self.rate / self.length
        return [f"{first * width:.4g} to {last * width:.4g} Hz" for first, last in bounds]

    def counts(self, samples: np.ndarray) -> np.ndarray:
        """Samples as the A/D converter of a 'fixed' front end gives them: int16, clipped to its range.

        Raises:
            ValueError: Where `full_scale` is needed and missing, or a sample is not finite.
        """
        samples = np.asarray(samples)
        if samples.dtype == np.int16:
            return samples
        if self.full_scale is None:
            raise ValueError("arithmetic 'fixed' takes int16 samples; for others set full_scale")
        if not np.isfinite(samples).all():
            raise ValueError("samples are not finite, which an A/D converter cannot give")
        return np.clip(np.round(samples * (32768.0 / self.full_scale)), -32768, 32767).astype(np.int16)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Features of windows, float32; those of 'fixed' in counts instead of the samples' unit.

        Shapes: (n, window, channels) -> (n, *shape).
        """
        if self.arithmetic == "fixed":
            return (self.integers(frames) / 2.0 ** fixed_point.fractions(self)).astype(np.float32)
        return self._computed(self._checked(frames), float32, np.float32)

    def int8(self, frames: np.ndarray, scaling: Scaling, scale: float, zero: int) -> np.ndarray:
        """The model's input as the target computes it: (n, window, channels) -> (n, *shape) int8.

        `scale` and `zero` are the input tensor's scale and zero point.
        """
        if self.arithmetic == "fixed":
            return fixed_point.quantized(self.integers(frames), *self.fixed_scaling(scaling, scale), zero)
        return float32.quantized(self(frames), scaling, scale, zero)

    def fixed_scaling(self, scaling: Scaling, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Center, multiplier and right shift of each feature along the last axis, as integers."""
        return fixed_point.scaling_constants(scaling, scale, fixed_point.fractions(self))

    def integers(self, frames: np.ndarray) -> np.ndarray:
        """Features of windows as arithmetic 'fixed' computes them, (n, window, channels) -> (n, *shape) int64."""
        return self._computed(self._checked(self.counts(frames)), fixed_point, np.int64)

    def _checked(self, frames: np.ndarray) -> np.ndarray:
        wanted = (self.window, self.channels)
        if frames.ndim != 3 or frames.shape[1:] != wanted:
            raise ValueError(f"frames must have shape (n, {wanted[0]}, {wanted[1]}), got {frames.shape}")
        return frames

    def _computed(self, frames: np.ndarray, arithmetic: ModuleType, dtype: type[np.generic]) -> np.ndarray:
        """Features of windows by the functions of a module that works in `dtype`: (n, window, channels) -> (n, *shape)."""
        parts = [np.empty((0, *self.shape), dtype)]
        chunk = max(1, CHUNK // self.frames)
        for start in range(0, len(frames), chunk):
            part = frames[start : start + chunk]
            rows = self._features(part if self.frame is None else self._frames_of(part), arithmetic, dtype)
            parts.append(rows.reshape(len(part), *self.shape))
        return np.concatenate(parts)

    def _frames_of(self, windows: np.ndarray) -> np.ndarray:
        """Frames of windows, one window after the other: (n, window, channels) -> (n * frames, frame, channels)."""
        stacked = np.lib.stride_tricks.sliding_window_view(windows, self.length, axis=1)[:, :: self.frame_hop]
        return np.moveaxis(stacked, -1, 2).reshape(-1, self.length, self.channels)

    def _features(self, frames: np.ndarray, arithmetic: ModuleType, dtype: type[np.generic]) -> np.ndarray:
        channels = [np.ascontiguousarray(x, dtype) for x in np.moveaxis(frames, -1, 0)]
        if self.kinds == ("raw",):
            return np.stack([arithmetic.detrended(self, x) for x in channels], axis=-1)
        return np.concatenate([arithmetic.KINDS[kind](self, x) for x in channels for kind in self.kinds], axis=1)
