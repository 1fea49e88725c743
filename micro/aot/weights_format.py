"""The numbers of a model as a record of bytes, which firmware with exchangeable weights takes; the emitted C reads the same."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from micro.aot.block import ALIGNMENT, DIGEST, Block
from micro.errors import RecordError

MAGIC = b"KKDW"
# A reader dispatches on it. Each format that was ever written stays readable.
FORMAT = 1
# Magic, format, windows of the self-test, length, digests of layers and model, counter, where the self-test and what is
# attached begin, how long that is, and bytes of a window with its outputs. The block follows.
HEADER = struct.Struct("<4sHHI8s8sIIIII")
BLOCK_AT = HEADER.size
CRC = struct.Struct("<I")
MOST_WINDOWS = 64
# Slots are written in units, as large as the largest that a microcontroller's flash is programmed in.
UNIT = 32


class WeightsStatus(IntEnum):
    """What a reader finds a record of weights to be; the emitted C returns the same numbers.

    Examples:
        >>> micro.aot.WeightsStatus(4).name
        'DAMAGED'
    """

    OK = 0
    TOO_SHORT = 1
    NOT_A_RECORD = 2
    UNKNOWN_FORMAT = 3
    DAMAGED = 4
    OTHER_LAYERS = 5
    OLDER = 6
    NOT_SIGNED = 7
    TOO_LONG = 8
    NOT_STORED = 9
    FAILED_TEST = 10
    OTHER_DETECTOR = 11


SAYS = {
    WeightsStatus.OK: "As it should be.",
    WeightsStatus.TOO_SHORT: "Bytes are missing.",
    WeightsStatus.NOT_A_RECORD: "It begins otherwise, as erased flash does.",
    WeightsStatus.UNKNOWN_FORMAT: "Of a format that this firmware does not know.",
    WeightsStatus.DAMAGED: "Its CRC is another one, or its parts do not fit its length.",
    WeightsStatus.OTHER_LAYERS: "For a model of other layers.",
    WeightsStatus.OLDER: "Not newer than the one in use.",
    WeightsStatus.NOT_SIGNED: "Its signature is not accepted.",
    WeightsStatus.TOO_LONG: "A slot does not hold it.",
    WeightsStatus.NOT_STORED: "Flash does not hold what was written, or a slot does not begin at a multiple of four.",
    WeightsStatus.FAILED_TEST: "With it the model gives other outputs than the record says.",
    WeightsStatus.OTHER_DETECTOR: "What is attached is no score with parameters for this detector and this model.",
}


@dataclass(frozen=True)
class WeightsRecord:
    """The numbers of a model, windows with the outputs that it must give of them, and bytes that travel along.

    Attributes:
        block: Of `micro.aot.weights_of`, as bytes: it begins with the digests of the layers and of the model.
        windows: Bytes of all inputs and then of all outputs, for each window of the self-test.
        attached: Bytes for the application, such as a record of parameters, which are exchanged with the weights or not at all.
        counter: 0 to 4,294,967,295; a device takes a record whose counter is newer than that of the one in use.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> record = micro.aot.weights_record(tflite, np.zeros((2, 8), "int8"))
        >>> micro.aot.WeightsRecord.from_bytes(record.to_bytes()) == record, len(record.windows)
        (True, 2)
    """

    block: bytes
    windows: tuple[bytes, ...]
    attached: bytes = b""
    counter: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.counter < 2**32:
            raise ValueError(f"counter must be 0 to {2**32 - 1:,}, got {self.counter:,}")
        if not 1 <= len(self.windows) <= MOST_WINDOWS or len({len(window) for window in self.windows}) > 1:
            raise ValueError(f"a self-test has 1 to {MOST_WINDOWS} windows of one size, got {len(self.windows)}")

    @property
    def layers(self) -> bytes:
        """First bytes of the SHA-256 of what the C does with the numbers."""
        return self.block[:DIGEST]

    @property
    def model(self) -> bytes:
        """First bytes of the SHA-256 of the .tflite."""
        return self.block[DIGEST : 2 * DIGEST]

    def to_bytes(self) -> bytes:
        """The record, little-endian, with a CRC-32 of all before it at its end."""
        tests = b"".join(self.windows)
        tests_at = BLOCK_AT + len(self.block)
        attached_at = tests_at + len(tests) + -len(tests) % ALIGNMENT
        end = attached_at + len(self.attached) + -len(self.attached) % ALIGNMENT
        start = HEADER.pack(
            *(MAGIC, FORMAT, len(self.windows), end + CRC.size, self.layers, self.model, self.counter),
            *(tests_at, attached_at, len(self.attached), len(self.windows[0])),
        )
        body = start + self.block + tests.ljust(attached_at - tests_at, b"\0")
        body += self.attached.ljust(end - attached_at, b"\0")
        return body + CRC.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, content: bytes, made_for: Block | None = None) -> WeightsRecord:
        """What a record holds; what stands behind it, as in a slot of flash, is left out.

        Args:
            made_for: The block of the model whose firmware shall take it; None for any.

        Raises:
            RecordError: With the status that the emitted C returns for such bytes.
        """
        count, layers, counter, tests_at, attached_at, attached, size = _parts(content)
        block = content[BLOCK_AT:tests_at]
        if made_for is not None and (layers != made_for.architecture or len(block) != len(made_for.to_bytes())):
            raise RecordError("the record is for a model of other layers", WeightsStatus.OTHER_LAYERS)
        windows = tuple(content[tests_at + n * size : tests_at + (n + 1) * size] for n in range(count))
        return cls(block, windows, content[attached_at : attached_at + attached], counter)

    def says(self) -> str:
        """What it holds, in words."""
        more = f", {len(self.attached):,} bytes attached" if self.attached else ""
        return (
            f"weights, record {self.counter}: model {self.model.hex()} of layers {self.layers.hex()}, "
            f"{len(self.block):,} bytes, {len(self.windows)} windows of self-test{more}"
        )


def record_context() -> dict[str, Any]:
    """For the templates of NAME_weights."""
    names = ("counter_at", "tests_at", "attached_at", "attached_size_at", "window_at")
    places = dict(zip(names, range(HEADER.size - 20, HEADER.size, 4), strict=True))
    return {
        "format": FORMAT,
        "only_reads": True,
        "block_at": BLOCK_AT,
        "unit": UNIT,
        "most_windows": MOST_WINDOWS,
        **places,
        "statuses": [{"name": each.name, "value": int(each), "says": SAYS[each]} for each in WeightsStatus],
    }


def _parts(content: bytes) -> tuple[int, bytes, int, int, int, int, int]:
    """Windows, digest of the layers, counter, where the self-test and what is attached begin, how long that is, and bytes of a
    window; RecordError for no record."""
    if len(content) < BLOCK_AT:
        raise RecordError(f"{len(content)} bytes are too few for a record", WeightsStatus.TOO_SHORT)
    magic, version, count, length, layers, _, counter, *parts = HEADER.unpack_from(content)
    tests_at, attached_at, attached, size = parts
    if magic != MAGIC:
        raise RecordError(f"no record of weights: it begins with {magic!r}", WeightsStatus.NOT_A_RECORD)
    if version != FORMAT:
        raise RecordError(f"a record of format {version}; format {FORMAT} can be read", WeightsStatus.UNKNOWN_FORMAT)
    if length < BLOCK_AT + CRC.size:
        raise RecordError(f"a record of {length} bytes is damaged", WeightsStatus.DAMAGED)
    if length > len(content):
        raise RecordError(f"a record of {length} bytes, of which {len(content)} are there", WeightsStatus.TOO_SHORT)
    whole = zlib.crc32(content[: length - CRC.size]) == CRC.unpack_from(content, length - CRC.size)[0]
    if not whole:
        raise RecordError("the record is damaged: its CRC is another one", WeightsStatus.DAMAGED)
    fits = 1 <= count <= MOST_WINDOWS and attached <= length - CRC.size - attached_at
    if not fits or not BLOCK_AT + 2 * DIGEST <= tests_at <= tests_at + count * size <= attached_at:
        raise RecordError("the record is damaged: its parts do not fit its length", WeightsStatus.DAMAGED)
    return count, layers, counter, tests_at, attached_at, attached, size
