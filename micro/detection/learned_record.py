"""What a detector has learned of its machine, as a record of bytes that outlives a restart; the emitted C writes the same."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from micro.detection.record import CRC, FORMAT, MadeFor, RecordStatus, whole_length
from micro.errors import RecordError
from micro.signal.learned import BEYOND, Learned

MAGIC = b"KKDL"
# Magic, format, features, length, digests of model, front end and score, counter, threshold.
HEADER = struct.Struct("<4sHHI8s8s8sIq")


@dataclass(frozen=True)
class LearnedRecord:
    """What was learned, and what it belongs to.

    Attributes:
        learned: Mean and standard deviation of each feature, in the target's integers.
        threshold: In the score's integers, within 64 bits.
        made_for: Model, front end and score that they belong to.
        counter: Of two records the newer one has the higher, counted around from 2^32 - 1 to 0.

    Raises:
        ValueError: For numbers that cannot have been learned.

    Examples:
        >>> from micro.detection.learned_record import LearnedRecord
        >>> from micro.detection.record import MadeFor
        >>> from micro.signal.learned import Learned
        >>> made_for = MadeFor(b"model..1", b"front..1", b"score..1")
        >>> record = LearnedRecord(Learned((5, -3), (16, 32)), 90, made_for)
        >>> len(record.to_bytes()), LearnedRecord.from_bytes(record.to_bytes(), made_for) == record
        (68, True)
    """

    learned: Learned
    threshold: int
    made_for: MadeFor
    counter: int = 1

    def __post_init__(self) -> None:
        mean, deviation = self.learned.mean, self.learned.deviation
        if len(mean) != len(deviation) or not 1 <= len(mean) < 2**16:
            raise ValueError(f"as many means as deviations, 1 to 65,535, got {len(mean)} and {len(deviation)}")
        if any(abs(each) >= BEYOND for each in mean) or any(not 1 <= each <= 32 * BEYOND for each in deviation):
            raise ValueError(f"means are within ±{BEYOND - 1:,}, deviations 1 to {32 * BEYOND:,}")
        if not -(2**63) <= self.threshold < 2**63 or not 0 <= self.counter < 2**32:
            raise ValueError("the threshold is within 64 bits, the counter within 32")

    def to_bytes(self) -> bytes:
        """The record, little-endian, with a CRC-32 of all before it at its end."""
        numbers = (*self.learned.mean, *self.learned.deviation)
        length = HEADER.size + 4 * len(numbers) + CRC.size
        of = (self.made_for.model, self.made_for.front_end, self.made_for.score)
        head = HEADER.pack(MAGIC, FORMAT, len(self.learned.mean), length, *of, self.counter, self.threshold)
        content = head + struct.pack(f"<{len(numbers)}i", *numbers)
        return content + CRC.pack(zlib.crc32(content))

    @classmethod
    def from_bytes(cls, content: bytes, made_for: MadeFor | None = None) -> LearnedRecord:
        """What was learned from a record; what stands behind it, as in a slot of flash, is left out.

        Args:
            made_for: What it has to be for; None for any.

        Raises:
            RecordError: With the status that the emitted C returns for such bytes.
        """
        length = whole_length(content, MAGIC, HEADER.size + CRC.size)
        _, _, features, _, model, front_end, score, counter, threshold = HEADER.unpack_from(content)
        found = MadeFor(model, front_end, score)
        for what in ("model", "front_end", "score"):
            if made_for is not None and getattr(found, what) != getattr(made_for, what):
                status = RecordStatus[f"OTHER_{what.upper()}"]
                raise RecordError(f"what was learned is for another {what.replace('_', ' ')}", status)
        if length != HEADER.size + 8 * features + CRC.size:
            raise RecordError("what was learned is of another number of features", RecordStatus.OTHER_FRONT_END)
        numbers = struct.unpack_from(f"<{2 * features}i", content, HEADER.size)
        try:
            return cls(Learned(numbers[:features], numbers[features:]), threshold, found, counter)
        except ValueError as error:
            raise RecordError(f"what was learned makes no sense: {error}", RecordStatus.NOT_SENSIBLE) from None
