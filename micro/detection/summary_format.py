"""What a summary of a period holds, and how long it is at most: CBOR maps with small integers as keys."""

from __future__ import annotations

from enum import IntEnum

from micro.detection.record import DIGEST
from micro.detection.score_bins import BINS

# A reader dispatches on them. Each format that was ever written stays readable. A summary with levels and crossings of the
# samples is of the second format, one of an operating mode of the third, with or without levels; parts with features, and all
# other summaries, are of the first.
FORMAT, FORMAT_WITH_OCTAVES, FORMAT_WITH_MODE = 1, 2, 3
# Counts stop here: sums of squares of int8 features, and these times the count, stay within 64 bits.
MOST = 2**24 - 1
# What faults are counted of, in this order; the last where several sources are joined.
FAULTS, SOURCE_FAULT = ("not finite", "saturated", "model"), "source missing"
# Means and deviations of features are in this part of the model's integer input.
FEATURE_UNIT = 1 / 16
# The largest payload of LoRaWAN at its faster rates in Europe.
RADIO = 222


class Key(IntEnum):
    """Keys of the maps. FIRST, MEANS and DEVIATIONS are of a part with features, the others from COUNTER on of a summary."""

    FORMAT = 0
    MADE_FOR = 1
    SEQUENCE = 2
    COUNTER = 3
    THRESHOLD = 4
    ALARMS = 5
    FAULTS = 6
    RESTARTS = 7
    UNCOUNTED = 8
    BINS = 9
    VELOCITY = 10
    LEARNED = 11
    FIRST = 12
    MEANS = 13
    DEVIATIONS = 14
    OCTAVES = 15
    MODE = 16


def largest_summary(
    faults: int, *, vibration: bool, learns: bool, octaves: int = 0, modes: bool = False, most: int = MOST
) -> int:
    """Bytes of the longest summary, in which no count is above `most`.

    Examples:
        >>> from micro.detection.summary_format import largest_summary
        >>> largest_summary(3, vibration=True, learns=True), largest_summary(3, vibration=False, learns=False)
        (218, 189)
        >>> largest_summary(3, vibration=True, learns=True, octaves=11, most=65_535)
        209
        >>> largest_summary(3, vibration=True, learns=False, octaves=11, modes=True, most=65_535)
        207
    """
    count = 5 if most > 65_535 else 3
    # Of numbers up to 32 bits a key and 5 bytes; map, format, digests, sequence and counter; threshold.
    numbers = 6 * len((Key.SEQUENCE, Key.COUNTER)) + (1 + count) * len((Key.ALARMS, Key.RESTARTS, Key.UNCOUNTED))
    arrays = 2 + count * faults + 2 + count * BINS
    more = (2 + count + 5 * 2 if vibration else 0) + (2 + 1 + 1 + 3 + 5 if learns else 0)
    more += 1 + (1 if 3 * octaves < 24 else 2) + 3 * octaves if octaves else 0
    more += 1 + 1 + 2 + 2 * count if modes else 0
    return 1 + 2 + _MADE_FOR + numbers + 10 + arrays + more


def largest_part(features: int) -> int:
    """Bytes of the longest part with that many features."""
    # Key and number of the first feature, and heads of two arrays behind their keys; 3 bytes each mean and deviation.
    return 1 + 2 + _MADE_FOR + 6 + 6 + 2 * (1 + 5) + 6 * features


def features_of_part(size: int) -> int:
    """How many features a part of at most `size` bytes has."""
    return (size - largest_part(0)) // 6


_MADE_FOR = 1 + 2 + 3 * DIGEST
