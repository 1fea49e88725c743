"""What detectors in firmware hold at most, which configs are checked against."""

from __future__ import annotations

# What the emitted C's counters of windows hold, uint16_t.
LARGEST_CLEAR_AFTER, LARGEST_SUPPRESSION = 2**16 - 1, 2**16 - 1
# What its counter of saturated samples holds, int32_t.
LARGEST_MAX_SATURATED = 2**31 - 1
# Samples of a window of float32 whose squares, each of at most 42 bits, add up to what int64_t holds.
MOST_STILL_SAMPLES = 2**21 - 1
# Scores that a target keeps at most to find the threshold among, 8 bytes each.
MOST_KEPT = 1024
# Channels of a device's own sensor, whose number a record has in a byte.
MOST_CHANNELS = 255
