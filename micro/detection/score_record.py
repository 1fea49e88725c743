"""The numbers of a detector's score and its parameters as bytes, which travel with the weights of the model they belong to."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from micro.detection.record import Parameters
from micro.detection.score import LIMITS, Score
from micro.errors import RecordError

MAGIC = b"KKDS"
# Magic, bytes until the record of parameters, digest of what the detector is compiled for, and the score's unit. The score's
# numbers follow, 32 bits each.
HEADER = struct.Struct("<4sI8sf")
# Which numbers of a score follow from the model, by its kind.
OF_MODEL = {
    "reconstruction": ("factors", "zeros"),
    "residual": ("factors", "zeros"),
    "distance": ("centre", "weights"),
    "margin": (),
}


@dataclass(frozen=True)
class Numbers:
    """Some of a score's numbers: their name, and the ends of their range."""

    name: str
    values: tuple[int, ...]
    low: int
    high: int


def numbers_of(score: Score) -> tuple[Numbers, ...]:
    """The numbers of a score that follow from the model, in the order of the bytes.

    Examples:
        >>> from micro.detection.score_record import numbers_of
        >>> score = micro.Score("reconstruction", 0.1, factors=(16384, 9), zeros=(-3, 5))
        >>> [(each.name, each.values) for each in numbers_of(score)]
        [('factors', (16384, 9)), ('zeros', (-3, 5))]
    """
    return tuple(Numbers(name, getattr(score, name), *LIMITS[name]) for name in OF_MODEL[score.kind])


def score_size(score: Score) -> int:
    """Bytes of a score, behind which the record of parameters stands."""
    return HEADER.size + 4 * sum(len(each.values) for each in numbers_of(score))


def detector_bytes(score: Score, form: bytes, parameters: Parameters) -> bytes:
    """A score and the parameters for it, little-endian; `form` are 8 bytes of what the detector is compiled for.

    Examples:
        >>> from micro.detection.record import FloatScaling, MadeFor
        >>> from micro.detection.score_record import detector_bytes
        >>> made_for = MadeFor(b"model..1", b"front..1", b"score..1")
        >>> parameters = micro.Parameters(90, 80, (FloatScaling((0.5,), (2.0,)),), made_for)
        >>> content = detector_bytes(micro.Score("margin", 0.1, healthy=(0,)), b"detector", parameters)
        >>> len(content), content[:4], content[20:] == parameters.to_bytes()
        (92, b'KKDS', True)
    """
    values = [value for each in numbers_of(score) for value in each.values]
    start = HEADER.pack(MAGIC, score_size(score), form, score.unit)
    return start + struct.pack(f"<{len(values)}i", *values) + parameters.to_bytes()


def attached_parameters(content: bytes) -> Parameters | None:
    """The parameters among what is attached to a record of weights; None where something else is.

    Examples:
        >>> from micro.detection.score_record import attached_parameters
        >>> attached_parameters(b"thresholds of my own") is None
        True
    """
    if len(content) < HEADER.size or not content.startswith(MAGIC):
        return None
    try:
        return Parameters.from_bytes(content[HEADER.unpack_from(content)[1] :])
    except RecordError:
        return None


def attached_unit(content: bytes) -> float | None:
    """What a score of 1 is in real units, by what is attached to a record of weights; None where something else is.

    Examples:
        >>> from micro.detection.score_record import attached_unit
        >>> attached_unit(b"thresholds of my own") is None
        True
    """
    if attached_parameters(content) is None:
        return None
    unit: float = HEADER.unpack_from(content)[3]
    return unit
