"""Samples of a file that is too large for memory, in a temporary file that is mapped, and walks over them in blocks.

The file has no name, so that it is gone when the last array of it is, or the process ends. Linux counts mapped pages as the
process's memory until they are released: who walks over all samples does so by `blocks`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from micro.datasets import cells
from micro.errors import DataError

# A file whose samples as float32 take more bytes than this is kept on disk.
LARGE = 1 << 28
# The folder of temporary files that are large or outlive a restart: on disk, where systems have it.
LASTING = "/var/tmp"


def room(count: int, width: int) -> np.ndarray:
    """An array for `count` rows of samples, (count, width) float32: in memory, or on disk where it is large.

    Raises:
        DataError: Where the disk has not that much room.
    """
    size = 4 * count * width
    if size <= LARGE:
        return np.empty((count, width), np.float32)
    try:
        with tempfile.TemporaryFile(dir=folder()) as file:
            _reserve(file.fileno(), size)
            return np.memmap(file, np.float32, "r+", shape=(count, width))
    except OSError as error:
        raise DataError(_no_room(size, error)) from None


class Growing:
    """Rows of samples that come block by block: in memory as long as they are few, then all on disk."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._rows = self._size = 0

    def add(self, part: np.ndarray) -> None:
        """Rows more, (n, channels) float32."""
        self._rows += len(part)
        self._size += part.nbytes
        self._parts.append(part)
        if self._size > LARGE:
            self._write()

    def array(self) -> np.ndarray:
        """All rows, (count, channels)."""
        if self._file is None:
            return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        with self._file as file:
            return np.memmap(file, np.float32, "r+", shape=(self._rows, self._size // (4 * self._rows)))

    def _write(self) -> None:
        try:
            self._file = self._file or tempfile.TemporaryFile(dir=folder())  # noqa: SIM115
            for part in self._parts:
                self._file.write(np.ascontiguousarray(part).data)
            # What is left in the buffer must not fail later, where nobody says why.
            self._file.flush()
        except OSError as error:
            raise DataError(_no_room(self._size, error)) from None
        self._parts.clear()


def folder() -> str:
    """Where temporary files lie: in TMPDIR where that is set, else in /var/tmp, as /tmp may be a part of the memory."""
    chosen = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return LASTING if not chosen and os.access(LASTING, os.W_OK | os.X_OK) else tempfile.gettempdir()


def blocks(samples: np.ndarray) -> Iterator[slice]:
    """Consecutive runs of rows, whose pages are released after each."""
    for first in range(0, len(samples), cells.BLOCK_ROWS):
        yield slice(first, first + cells.BLOCK_ROWS)
        release(samples)


def release(samples: np.ndarray) -> None:
    """Let go of the mapped pages below an array; what was written stays. Of an array in memory nothing changes."""
    mapped = _mapping(samples)
    if mapped is not None:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # systems without it
            mapped.madvise(mmap.MADV_DONTNEED)


def is_stored(samples: np.ndarray) -> bool:
    """Whether an array is on disk."""
    return _mapping(samples) is not None


def taken(samples: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Some channels of samples, a copy: on disk where these are."""
    if not is_stored(samples):
        return np.ascontiguousarray(samples[:, channels])
    out = room(len(samples), len(channels))
    for part in blocks(samples):
        out[part] = samples[part, channels]
        release(out)
    return out


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Samples one after the other, (n, channels) float32: on disk where one of them is; the only one as it is."""
    if len(parts) == 1:
        return parts[0]
    if not any(map(is_stored, parts)):
        return np.concatenate(parts)
    out = room(sum(map(len, parts)), parts[0].shape[1])
    first = 0
    for samples in parts:
        for part in blocks(samples):
            block = samples[part]
            out[first : first + len(block)] = block
            first += len(block)
            release(out)
    return out


def all_finite(column: np.ndarray) -> bool:
    """Whether no value is missing or infinite."""
    return all(bool(np.isfinite(column[part]).all()) for part in blocks(column))


def constant(value: bool, count: int) -> np.ndarray:
    """`count` times the same flag, which take no memory and cannot be written."""
    return np.broadcast_to(np.bool_(value), (count,))


def inverted(flags: np.ndarray) -> np.ndarray:
    """The opposite of flags; of those from `constant` without memory."""
    return constant(not flags[0], len(flags)) if len(flags) and flags.strides == (0,) else ~flags


def _reserve(descriptor: int, size: int) -> None:
    """Room on disk: without it a write to a mapped page would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        block = bytes(1 << 20)
        for start in range(0, size, len(block)):
            os.write(descriptor, block[: size - start])


def _no_room(size: int, error: OSError) -> str:
    said = f"{size:,} bytes of samples do not fit into {folder()} ({error.strerror})"
    return f"{said}; make room, or set TMPDIR to another folder"


def _mapping(samples: np.ndarray) -> mmap.mmap | None:
    base: object = samples
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    return base
