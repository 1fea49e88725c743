"""What front ends and their neighbors in firmware hold at most, which configs are checked against."""

from __future__ import annotations

# Windows whose sums 64 bits hold.
MOST_WINDOWS = 65535
# Blocks whose mean a velocity is.
MOST_AVERAGED = 64
# Pulses of a tachometer in a turn.
MOST_PULSES = 1024
