"""Numeric variables of a MATLAB file up to version 7.

scipy's reader ends the process on some damaged files (seen with 1.17): it has to read cells, structures and objects, which
are not samples. Numbers need little: elements of a type, a length and bytes, compressed or not.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Element types and classes of arrays that hold numbers, by their codes.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
MATRIX, COMPRESSED, COMPLEX = 14, 15, 0x0800
# A compressed variable may unpack to this many bytes, or to this many times its own.
PLENTY, RATIO = 1 << 28, 1100


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Arrays of numbers by name, in their own shapes; everything else in the file is skipped.

    Raises:
        ValueError: If the file is not a MATLAB file up to version 7, or is damaged.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    orders = {b"IM": "<", b"MI": ">"}
    order = orders.get(content[126:128])
    if order is None:
        raise ValueError("it does not begin as a MATLAB file of version 5 to 7 does")
    variables: dict[str, np.ndarray] = {}
    for kind, data in _elements(content[128:], order):
        if kind == COMPRESSED:
            kind, data = next(_elements(_unpacked(data), order), (0, b""))
        variable = _matrix(data, order) if kind == MATRIX else None
        if variable is not None:
            variables[variable[0]] = variable[1]
    return variables


def _unpacked(data: bytes) -> bytes:
    limit = max(PLENTY, RATIO * len(data))
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, limit)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked: {error}") from None
    if unpacker.unconsumed_tail:
        raise ValueError(f"a variable unpacks to more than {limit:,} bytes")
    return unpacked


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each element, one after the other."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        begin = place + 8
        if kind >> 16:
            # Up to four bytes are in the tag itself.
            kind, size, begin = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
            if size > 4:
                raise ValueError("a short element is longer than four bytes")
        else:
            # Compressed elements follow each other without padding.
            place = begin + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if begin + size > len(content):
            raise ValueError("it ends within a variable")
        yield kind, content[begin : begin + size]


def _matrix(data: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """Name and values of an array; None where it holds no numbers."""
    parts = list(_elements(data, order))
    if len(parts) < 4 or len(parts[0][1]) < 4 or parts[1][0] != 5:
        return None
    (flags,) = struct.unpack_from(f"{order}I", parts[0][1])
    if flags & 0xFF not in CLASSES:
        return None
    shape = np.frombuffer(parts[1][1], f"{order}i4", len(parts[1][1]) // 4).tolist()
    values = _numbers(parts[3], shape, order)
    if flags & COMPLEX:
        if len(parts) < 5:
            raise ValueError("an imaginary part is missing")
        values = values + 1j * _numbers(parts[4], shape, order)
    else:
        values = values.astype(CLASSES[flags & 0xFF], copy=False)
    return parts[2][1].decode("utf-8", "replace"), values


def _numbers(part: tuple[int, bytes], shape: list[int], order: str) -> np.ndarray:
    kind, data = part
    if kind not in NUMBERS:
        raise ValueError(f"an array is stored as type {kind}, which are no numbers")
    values = np.frombuffer(data, order + NUMBERS[kind], len(data) // int(NUMBERS[kind][1]))
    count = 1
    for length in shape:
        count *= max(length, 0)
    if not shape or count != len(values):
        raise ValueError(f"an array of shape {tuple(shape)} holds {len(values)} values")
    return values.astype(values.dtype.newbyteorder("=")).reshape(shape, order="F")
