"""Where one item of plain CBOR ends, before any library is given bytes from a network."""

from __future__ import annotations

# Major types that are taken: unsigned, negative, bytes, array, map. No text, tags, floats or simple values.
UNSIGNED, NEGATIVE, BYTES, ARRAY, MAP = 0, 1, 2, 4, 5
# A map of arrays of numbers, and no deeper.
DEEPEST = 2


class CutShort(ValueError):
    """Bytes that end within an item."""


def item_end(content: bytes, start: int, longest: int, depth: int = 0) -> int:
    """The place behind the item that begins at `start`, of at most `longest` bytes.

    Work is bounded by the bytes that are there, whatever lengths they state.

    Raises:
        CutShort: Where the bytes end within it.
        ValueError: For what is no such item, or longer.

    Examples:
        >>> from micro.support.cbor import item_end
        >>> item_end(bytes.fromhex("a1008203187f00"), 0, 100)
        6
        >>> item_end(bytes.fromhex("a10082"), 0, 100)
        Traceback (most recent call last):
        micro.support.cbor.CutShort: ends within an item
    """
    major, argument, at = _head(content, start)
    if major in (UNSIGNED, NEGATIVE):
        return at
    if major == BYTES:
        if argument > longest - (at - start):
            raise ValueError(f"states {argument:,} bytes, more than a summary has")
        if argument > len(content) - at:
            raise CutShort("ends within an item")
        return at + argument
    if depth == DEEPEST:
        raise ValueError("is nested deeper than a summary")
    for _ in range(argument * (2 if major == MAP else 1)):
        at = item_end(content, at, longest - (at - start), depth + 1)
        if at - start > longest:
            raise ValueError(f"has more than {longest:,} bytes")
    return at


def _head(content: bytes, at: int) -> tuple[int, int, int]:
    """Major type and argument of the item at a place, and the place behind its head."""
    if at >= len(content):
        raise CutShort("ends within an item")
    major, info = content[at] >> 5, content[at] & 31
    if major not in (UNSIGNED, NEGATIVE, BYTES, ARRAY, MAP) or info > 27:
        raise ValueError(f"holds byte 0x{content[at]:02x}, which no summary has there")
    if info < 24:
        return major, info, at + 1
    end = at + 1 + (1 << (info - 24))
    if end > len(content):
        raise CutShort("ends within an item")
    return major, int.from_bytes(content[at + 1 : end], "big"), end
