"""A device's own sensor: its scale, how it is mounted, and what its self-test must give; a part of records of format 2."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.limits import MOST_CHANNELS

# Fraction bits of a scale, and the largest magnitude of one in these.
SCALE_BITS, MOST_SCALE = 24, 2**31 - 128
# Before the numbers: channels of the model, those of the sensor, the kind of limits (1 float32, 2 integers), 0.
HEAD = struct.Struct("<BBBB")
FLOAT32, FIXED = 1, 2
# Limits that any value is within.
LARGEST = float(np.float32(3.4e38))
Limit = tuple[float, float]
NO_LIMIT: dict[int, Limit] = {FIXED: (-(2**31), 2**31 - 1), FLOAT32: (-LARGEST, LARGEST)}


@dataclass(frozen=True)
class MountedSensor:
    """How samples of a device's sensor become those that the model was trained on.

    A channel of the model is a channel of the sensor times a scale, which is negative where the axis points the other way. In
    fixed point counts are multiplied, rounded and kept within int16; one at an end of int16 stays at an end, so that a clipped
    sensor is still seen.

    Attributes:
        scales: Of each channel of the model, in 1/16,777,216; not 0, within ±2,147,483,520. Without `fixed` as float32
            holds them.
        axes: The channel of the sensor that each is read from, from 0.
        rest: For each channel of the sensor the lowest and highest mean of its samples, as they come, on a machine at rest.
        response: For each channel the lowest and highest difference that its built-in self-test makes.
        fixed: Whether samples are counts, int16.

    Raises:
        ValueError: For numbers that make no sense or that the C types do not hold.

    Examples:
        >>> sensor = micro.MountedSensor.made(2, 3, axes=["-z", "x"], scales=[1.5, 1.0])
        >>> sensor.apply(np.array([[1.0, 2.0, 3.0]], "float32")).tolist()
        [[-4.5, 1.0]]
    """

    scales: tuple[int, ...]
    axes: tuple[int, ...]
    rest: tuple[Limit, ...]
    response: tuple[Limit, ...]
    fixed: bool = False

    def __post_init__(self) -> None:
        channels, own = len(self.scales), len(self.rest)
        if not 1 <= channels <= MOST_CHANNELS or len(self.axes) != channels:
            raise ValueError(f"a sensor has a scale and an axis for each channel of the model, got {channels}")
        if not 1 <= own <= MOST_CHANNELS or len(self.response) != own:
            raise ValueError(f"a sensor has limits at rest and of a response for each of its channels, got {own}")
        for scale in self.scales:
            if not 1 <= abs(scale) <= MOST_SCALE:
                raise ValueError(f"a scale is above 0 and below 128 in magnitude, got {scale / 2**SCALE_BITS:g}")
        if not self.fixed:
            object.__setattr__(self, "scales", tuple(int(np.float32(scale)) for scale in self.scales))
        for axis in self.axes:
            if not 0 <= axis < own:
                raise ValueError(f"axis {axis} is none of the sensor's, which are 0 to {own - 1}")
        for what in ("rest", "response"):
            made = tuple(self._limit(what, *pair) for pair in getattr(self, what))
            object.__setattr__(self, what, made)

    def _limit(self, what: str, low: float, high: float) -> Limit:
        bottom, top = NO_LIMIT[FIXED if self.fixed else FLOAT32]
        if not bottom <= low <= high <= top:
            raise ValueError(
                f"limits of {what} must rise and be within {bottom:g} to {top:g}, got {low:g} and {high:g}"
            )
        return (int(low), int(high)) if self.fixed else (float(np.float32(low)), float(np.float32(high)))

    @classmethod
    def made(
        cls,
        channels: int,
        sensor_channels: int,
        *,
        axes: Sequence[str] = (),
        scales: Sequence[float] = (),
        rest: dict[int, Limit] | None = None,
        response: dict[int, Limit] | None = None,
        fixed: bool = False,
    ) -> MountedSensor:
        """A sensor from words and real numbers; what is not given is as in training.

        Args:
            channels, sensor_channels: Of the model and of the sensor.
            axes: For each channel of the model a sign and a channel of the sensor, x, y, z or its number, as "-z" or "+3".
            scales: For each channel of the model what samples are multiplied by, above 0.
            rest, response: Limits by the sensor's channel.
            fixed: As the attribute.

        Raises:
            ValueError: As the class, for an axis that is none, and for more or fewer axes or scales than channels.
        """
        axes = axes or [f"+{n}" for n in range(channels)]
        scales = scales or [1.0] * channels
        if len(axes) != channels or len(scales) != channels:
            raise ValueError(f"{channels} channels need as many axes and scales, got {len(axes)} and {len(scales)}")
        wrong = next((scale for scale in scales if not 0 < scale < 128), None)
        if wrong is not None:
            raise ValueError(f"a scale is above 0 and below 128, got {wrong:g}; a minus belongs to the axis")
        signs, places = zip(*(axis_of(axis) for axis in axes))
        none = NO_LIMIT[FIXED if fixed else FLOAT32]
        limits = [tuple((given or {}).get(n, none) for n in range(sensor_channels)) for given in (rest, response)]
        whole = (min(MOST_SCALE, round(scale * 2**SCALE_BITS)) for scale in scales)
        return cls(tuple(a * b for a, b in zip(signs, whole)), places, limits[0], limits[1], fixed)

    @property
    def channels(self) -> int:
        """Channels of the sensor."""
        return len(self.rest)

    @property
    def real_scales(self) -> tuple[float, ...]:
        """What samples of each channel of the model are multiplied by, without the sign."""
        return tuple(abs(scale) / 2**SCALE_BITS for scale in self.scales)

    @property
    def words(self) -> tuple[str, ...]:
        """The axes as `axis_of` takes them, such as "-z"."""
        names = [f"{'xyz'[axis]}" if self.channels <= 3 else str(axis) for axis in self.axes]
        return tuple(("-" if scale < 0 else "+") + name for scale, name in zip(self.scales, names))

    @property
    def factors(self) -> np.ndarray:
        """The scales as firmware in float32 has them, (channels,) float32."""
        return np.array(self.scales, np.float64).astype(np.float32) * np.float32(2.0**-SCALE_BITS)

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """Samples of the sensor as the model takes them, as the emitted C does.

        Shapes: (n, the sensor's channels) -> (n, the model's channels); int16 of arithmetic 'fixed', else float32.

        Raises:
            ValueError: For samples of another shape or type.
        """
        wanted = np.int16 if self.fixed else np.float32
        if samples.ndim != 2 or samples.shape[1] != self.channels or (self.fixed and samples.dtype != np.int16):
            raise ValueError(
                f"samples of this sensor are (n, {self.channels}) {wanted.__name__}, got {samples.shape} {samples.dtype}"
            )
        own = samples[:, list(self.axes)]
        if not self.fixed:
            with np.errstate(over="ignore"):
                return np.asarray(own.astype(np.float32) * self.factors)
        scales = np.array(self.scales, np.int64)
        made = (own.astype(np.int64) * scales + (1 << (SCALE_BITS - 1))) >> SCALE_BITS
        ends = np.where((own < 0) == (scales > 0), -32768, 32767)
        clipped = (own == -32768) | (own == 32767)
        return np.where(clipped, ends, np.clip(made, -32768, 32767)).astype(np.int16)

    def fault(self, values: Sequence[float], *, response: bool = False) -> int:
        """The first channel of the sensor whose value is outside its limits at rest, or of a response; -1 where none is."""
        limits = self.response if response else self.rest
        good = [low <= value <= high for value, (low, high) in zip(values, limits, strict=True)]
        return -1 if all(good) else good.index(False)

    def to_bytes(self) -> bytes:
        """The part of a record: head, scales, limits, axes, all little-endian."""
        limits = [value for pair in (*self.rest, *self.response) for value in pair]
        kind = FIXED if self.fixed else FLOAT32
        numbers = struct.pack(f"<{len(self.scales)}i{len(limits)}{'i' if self.fixed else 'f'}", *self.scales, *limits)
        return HEAD.pack(len(self.scales), self.channels, kind, 0) + numbers + bytes(self.axes)

    @classmethod
    def from_bytes(cls, content: bytes) -> MountedSensor:
        """A sensor from exactly its part of a record; ValueError for numbers that make no sense, `struct.error` for another
        length."""
        channels, own, kind, _ = HEAD.unpack_from(content)
        values = "i" if kind == FIXED else "f"
        numbers = struct.unpack(f"<{channels}i{4 * own}{values}{channels}B", content[HEAD.size :])
        limits = list(zip(numbers[channels : channels + 4 * own : 2], numbers[channels + 1 : channels + 4 * own : 2]))
        axes = numbers[channels + 4 * own :]
        return cls(numbers[:channels], axes, tuple(limits[:own]), tuple(limits[own:]), kind == FIXED)


def axis_of(word: str) -> tuple[int, int]:
    """Sign and channel of an axis such as "+z", "-x" or "+3".

    Raises:
        ValueError: For another word.
    """
    sign, name = (word[:1], word[1:]) if word[:1] in ("+", "-") else ("+", word)
    if name in ("x", "y", "z"):
        place = "xyz".index(name)
    elif name.isascii() and name.isdigit():
        place = int(name)
    else:
        raise ValueError(f"an axis is a sign and x, y, z or a channel's number, such as -z or +3, got {word!r}")
    return (-1 if sign == "-" else 1), place
