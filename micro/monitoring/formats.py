"""How a file that a device's log comes in begins: with summaries, or with text."""

from __future__ import annotations

from pathlib import Path

# What a CBOR map begins with, which no text in ASCII, UTF-8 or UTF-16 does.
MAPS = range(0xA0, 0xC0)


def holds_summaries(path: Path) -> bool:
    """Whether a file begins as summaries do, and as no text does; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError:
        return False
    return len(first) == 1 and first[0] in MAPS
