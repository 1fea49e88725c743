"""A detector's parameters as a record of bytes, which a device takes without a compiler; the emitted C writes the same."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from micro.detection.mounted_sensor import FIXED as SENSOR_FIXED
from micro.detection.mounted_sensor import FLOAT32 as SENSOR_FLOAT32
from micro.detection.mounted_sensor import MountedSensor
from micro.errors import RecordError

MAGIC = b"KKDP"
# A reader dispatches on it. Each format that was ever written stays readable: the second has a device's sensor besides, and
# is written only where there is one, so that firmware which knows the first takes all other records.
FORMAT, FORMAT_WITH_SENSOR = 1, 2
DIGEST = 8
# Magic, format, scalings, modes, length, digests of model, front end and score, and counter.
HEADER = struct.Struct("<4sHBBI8s8s8sI")
# Magic, format, scalings, modes and length: what every format begins with.
START = struct.Struct("<4sHBBI")
# A threshold and a clear threshold: one pair, or one for each mode.
THRESHOLDS = struct.Struct("<qq")
# Before each scaling: its kind, 0, and its features.
SCALING = struct.Struct("<BBH")
CRC = struct.Struct("<I")
# A record with one pair of thresholds and no scaling.
SHORTEST = HEADER.size + THRESHOLDS.size + CRC.size
FLOAT32, FIXED = 1, 2
# Slots are written in blocks, as large as the largest unit that a microcontroller's flash is programmed in.
BLOCK = 32


class RecordStatus(IntEnum):
    """What a reader finds a record to be; the emitted C returns the same numbers."""

    OK = 0
    TOO_SHORT = 1
    NOT_A_RECORD = 2
    UNKNOWN_FORMAT = 3
    DAMAGED = 4
    OTHER_MODEL = 5
    OTHER_FRONT_END = 6
    OTHER_SCORE = 7
    NOT_SENSIBLE = 8
    OLDER = 9
    NOT_SIGNED = 10
    NOT_READ = 11
    NOT_STORED = 12


@dataclass(frozen=True)
class FloatScaling:
    """Mean and standard deviation of each feature, as a float32 front end takes them.

    Raises:
        ValueError: For a number that float32 does not hold, or a standard deviation that is not above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            mean, std = (np.array(side, np.float64).astype(np.float32) for side in (self.mean, self.std))
        _require_alike(mean, std)
        if not np.isfinite(mean).all() or not (np.isfinite(std) & (std > 0)).all():
            raise ValueError("means must be finite and standard deviations above 0, both in float32")
        object.__setattr__(self, "mean", tuple(mean.tolist()))
        object.__setattr__(self, "std", tuple(std.tolist()))

    def to_bytes(self) -> bytes:
        count = len(self.mean)
        return SCALING.pack(FLOAT32, 0, count) + struct.pack(f"<{2 * count}f", *self.mean, *self.std)


@dataclass(frozen=True)
class FixedScaling:
    """Mean, multiplier and right shift of each feature, as a front end in fixed point takes them.

    Raises:
        ValueError: For numbers beyond int32, a multiplier below 1, or a shift that is not 1 to 62.
    """

    mean: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_alike(self.mean, self.multiplier, self.shift)
        bounds = {"mean": (-(2**31), 2**31 - 1), "multiplier": (1, 2**31 - 1), "shift": (1, 62)}
        for what, (low, high) in bounds.items():
            values = tuple(int(value) for value in getattr(self, what))
            wrong = [value for value in values if not low <= value <= high]
            if wrong:
                raise ValueError(f"{what} must be {low:,} to {high:,}, got {wrong[0]:,}")
            object.__setattr__(self, what, values)

    def to_bytes(self) -> bytes:
        count = len(self.mean)
        numbers = struct.pack(f"<{2 * count}i{count}B", *self.mean, *self.multiplier, *self.shift)
        return SCALING.pack(FIXED, 0, count) + numbers


AnyScaling = FloatScaling | FixedScaling


@dataclass(frozen=True)
class MadeFor:
    """What parameters belong to, each as the first 8 bytes of a SHA-256."""

    model: bytes
    front_end: bytes
    score: bytes

    def __post_init__(self) -> None:
        for what in ("model", "front_end", "score"):
            if len(getattr(self, what)) != DIGEST:
                raise ValueError(f"digest of the {what} must have {DIGEST} bytes, got {len(getattr(self, what))}")


@dataclass(frozen=True)
class Parameters:
    """All that may change in a detector while it runs.

    Attributes:
        threshold, clear_threshold: In the score's integers, within 64 bits; the latter is at most the former. Of a detector
            with modes one for each mode.
        scalings: Of the features of the main source and of each further one.
        made_for: Model, front end and score that they belong to.
        counter: 0 to 4,294,967,295; of two records the newer one has the higher, see `newer`.
        sensor: Of firmware with `sensor_channels` the device's own; None for that of the firmware.

    Raises:
        ValueError: For numbers beyond these.

    Examples:
        >>> from micro.detection.record import FloatScaling, MadeFor
        >>> made_for = MadeFor(b"model..1", b"front..1", b"score..1")
        >>> parameters = micro.Parameters(90, 80, (FloatScaling((0.5,), (2.0,)),), made_for)
        >>> content = parameters.to_bytes()
        >>> len(content), micro.Parameters.from_bytes(content, made_for) == parameters
        (72, True)
        >>> micro.Parameters.from_bytes(content[:-1], made_for)
        Traceback (most recent call last):
        micro.errors.RecordError: a record of 72 bytes, of which 71 are there
    """

    threshold: int | tuple[int, ...]
    clear_threshold: int | tuple[int, ...]
    scalings: tuple[AnyScaling, ...]
    made_for: MadeFor
    counter: int = 1
    sensor: MountedSensor | None = None

    def __post_init__(self) -> None:
        for threshold, clear in self.thresholds:
            for what, value in (("threshold", threshold), ("clear_threshold", clear)):
                if not -(2**63) <= value < 2**63:
                    raise ValueError(f"{what} must be within 64 bits, got {value:,}")
            if clear > threshold:
                raise ValueError(f"clear_threshold {clear} is above the threshold {threshold}")
        if not 0 <= self.counter < 2**32:
            raise ValueError(f"counter must be 0 to {2**32 - 1:,}, got {self.counter:,}")

    @property
    def thresholds(self) -> tuple[tuple[int, int], ...]:
        """Threshold and clear threshold, of each mode where there are modes."""
        if isinstance(self.threshold, tuple) and isinstance(self.clear_threshold, tuple):
            if not 1 <= len(self.threshold) == len(self.clear_threshold) < 2**8:
                raise ValueError(f"{len(self.threshold)} modes have {len(self.clear_threshold)} clear thresholds")
            return tuple(zip(self.threshold, self.clear_threshold, strict=True))
        if isinstance(self.threshold, tuple) or isinstance(self.clear_threshold, tuple):
            raise ValueError("threshold and clear_threshold must both be one number, or one a mode")
        return ((self.threshold, self.clear_threshold),)

    def to_bytes(self) -> bytes:
        """The record, little-endian, with a CRC-32 of all before it at its end."""
        scalings = b"".join(scaling.to_bytes() for scaling in self.scalings)
        thresholds = b"".join(THRESHOLDS.pack(*pair) for pair in self.thresholds)
        more = b"" if self.sensor is None else self.sensor.to_bytes()
        length = HEADER.size + len(thresholds) + len(scalings) + len(more) + CRC.size
        of = (self.made_for.model, self.made_for.front_end, self.made_for.score)
        modes = len(self.thresholds) if isinstance(self.threshold, tuple) else 0
        version = FORMAT if self.sensor is None else FORMAT_WITH_SENSOR
        start = HEADER.pack(MAGIC, version, len(self.scalings), modes, length, *of, self.counter)
        content = start + thresholds + scalings + more
        return content + CRC.pack(zlib.crc32(content))

    @classmethod
    def from_bytes(cls, content: bytes, made_for: MadeFor | None = None) -> Parameters:
        """Parameters from a record; what stands behind it, as in a slot of flash, is left out.

        Args:
            made_for: What they have to be for; None for any.

        Raises:
            RecordError: With the status that the emitted C returns for such bytes.
        """
        length = whole_length(content, formats=(FORMAT, FORMAT_WITH_SENSOR))
        _, version, count, modes, _, model, front_end, score, counter = HEADER.unpack_from(content)
        found = MadeFor(model, front_end, score)
        for what in ("model", "front_end", "score"):
            if made_for is not None and getattr(found, what) != getattr(made_for, what):
                status = RecordStatus[f"OTHER_{what.upper()}"]
                raise RecordError(f"the record is for another {what.replace('_', ' ')}", status)
        try:
            at = HEADER.size + max(1, modes) * THRESHOLDS.size
            if at > length - CRC.size:
                raise RecordError(f"a record of {length} bytes for {modes} modes", RecordStatus.OTHER_FRONT_END)
            pairs = list(THRESHOLDS.iter_unpack(content[HEADER.size : at]))
            threshold, clear_threshold = zip(*pairs) if modes else pairs[0]
            rest = content[at : length - CRC.size]
            scalings, at = _scalings(rest, count)
            sensor = None if version == FORMAT else _sensor(rest[at:], fixed=isinstance(scalings[0], FixedScaling))
            if sensor is None and at != len(rest):
                raise other_scalings()
            return cls(threshold, clear_threshold, scalings, found, counter, sensor)
        except ValueError as error:
            raise RecordError(f"the record makes no sense: {error}", RecordStatus.NOT_SENSIBLE) from None


def newer(one: int, other: int) -> bool:
    """Whether a counter is newer than another: by 1 to 2^31 - 1 steps ahead of it, counted around from 2^32 - 1 to 0.

    Examples:
        >>> from micro.detection.record import newer
        >>> newer(8, 7), newer(7, 7), newer(3, 2**32 - 2)
        (True, False, True)
    """
    return 0 < (one - other) % 2**32 < 2**31


def whole_length(
    content: bytes, magic: bytes = MAGIC, shortest: int = SHORTEST, formats: tuple[int, ...] = (FORMAT,)
) -> int:
    """The length of the record that bytes begin with, as it says; RecordError where it is none that can be read."""
    if len(content) < START.size:
        raise RecordError(f"{len(content)} bytes are too few for a record", RecordStatus.TOO_SHORT)
    found, version, _, _, length = START.unpack_from(content)
    if found != magic:
        what = "parameters" if magic == MAGIC else "what was learned"
        raise RecordError(f"no record of {what}: it begins with {found!r}", RecordStatus.NOT_A_RECORD)
    if version not in formats:
        known = f"format {formats[0]}" if len(formats) == 1 else f"formats {formats[0]} to {formats[-1]}"
        raise RecordError(f"a record of format {version}; {known} can be read", RecordStatus.UNKNOWN_FORMAT)
    if length < shortest:
        raise RecordError(f"a record of {length} bytes is damaged", RecordStatus.DAMAGED)
    if length > len(content):
        raise RecordError(f"a record of {length} bytes, of which {len(content)} are there", RecordStatus.TOO_SHORT)
    if zlib.crc32(content[: length - CRC.size]) != CRC.unpack_from(content, length - CRC.size)[0]:
        raise RecordError("the record is damaged: its CRC is another one", RecordStatus.DAMAGED)
    return length


def _scalings(content: bytes, count: int) -> tuple[tuple[AnyScaling, ...], int]:
    """Scalings one behind the other, and their bytes; ValueError for numbers that make no sense."""
    found: list[AnyScaling] = []
    at = 0
    try:
        for _ in range(count):
            kind, _, features = SCALING.unpack_from(content, at)
            numbers = {FLOAT32: f"<{2 * features}f", FIXED: f"<{2 * features}i{features}B"}[kind]
            values = struct.unpack_from(numbers, content, at + SCALING.size)
            columns = [values[place * features : (place + 1) * features] for place in range(3)]
            found.append(FixedScaling(*columns) if kind == FIXED else FloatScaling(*columns[:2]))
            at += SCALING.size + struct.calcsize(numbers)
    except (struct.error, KeyError):
        raise other_scalings() from None
    return tuple(found), at


def _sensor(content: bytes, *, fixed: bool) -> MountedSensor:
    """The sensor of a record, whose limits are of the kind that the main source's scaling is."""
    if content[2:4] != bytes([SENSOR_FIXED if fixed else SENSOR_FLOAT32, 0]):
        raise other_scalings()
    try:
        return MountedSensor.from_bytes(content)
    except struct.error:
        raise other_scalings() from None


def other_scalings() -> RecordError:
    """What is said of a record whose parts have another length."""
    return RecordError("the record is for another front end: its scalings differ", RecordStatus.OTHER_FRONT_END)


def _require_alike(*columns: object) -> None:
    lengths = {len(column) for column in columns}  # type: ignore[arg-type]
    if len(lengths) != 1 or not 1 <= min(lengths) < 2**16:
        raise ValueError(f"a scaling needs as many numbers of each kind, 1 to 65,535, got {sorted(lengths)}")
