"""The files of a recorded teacher: what they are called, how they are written, read and checked.

Format: a folder with `index.json` and, for each shard N and each recorded tensor, `NNNNN.NAME.npy` (a plain NumPy file,
memory-mapped when read; `/` in a layer's path is `__`). A top-k recording keeps, instead of `outputs`, `outputs.values` (the k
highest logits), `outputs.indices` and `outputs.rest` (log of the summed exponentials of all others), and teaches them as k + 1
classes (see `TopK`). `NNNNN.keys.npy` holds a 64-bit BLAKE2b digest of each example's inputs. `index.json`: version, teacher's
fingerprint (weights and architecture), shapes, activations, dtype, top_k, shard size, and for each complete shard its count
and the CRC-32 of each file. A shard is listed only once its files are complete, so an interrupted recording resumes there.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, TypedDict

import keras
import numpy as np

from keras_kd.types import Structure

# 2: the fingerprint holds the architecture.
VERSION = 2


class RecordError(ValueError):
    """A recording is damaged, unfinished, or belongs to another teacher, other data or another order.

    Examples:
        >>> try:
        ...     keras_kd.Recorded("no_such_folder")
        ... except keras_kd.RecordError as error:
        ...     print(error)
        no_such_folder is not a recording: No such file or directory
    """


class Shard(TypedDict):
    """One shard of a recording: its number of examples, and the CRC-32 of each file by the tensor's name."""

    count: int
    crc32: dict[str, int]


class Index(TypedDict):
    """What `index.json` holds."""

    version: int
    teacher: str
    shapes: dict[str, list[int]]
    activations: dict[str, str | None]
    dtype: str
    top_k: int | None
    shard_size: int
    shards: list[Shard]
    finished: bool


def read_index(folder: Path) -> Index:
    """The index of a recording.

    Raises:
        RecordError: If there is none, or it is damaged or of another version.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        version = index["version"]
    except OSError as error:
        raise RecordError(f"{folder} is not a recording: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder} is damaged: index.json: {error}") from None
    if version != VERSION:
        raise RecordError(f"{folder} has format {version}, this version reads {VERSION}; record again")
    return index


def write_index(folder: Path, index: Index) -> None:
    """Replace the index at once, so that a kill leaves the old one or the new one."""
    partial = folder / "index.partial"
    partial.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, folder / "index.json")


def write_array(path: Path, array: np.ndarray) -> int:
    """Write an array to a file that appears only once it is complete; its CRC-32."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return _crc32(path)


def read_array(folder: Path, shard: int, name: str) -> np.ndarray:
    """One tensor of one shard, memory-mapped."""
    return np.load(folder / file_name(shard, name), mmap_mode="r", allow_pickle=False)


def check_files(folder: Path, index: Index) -> None:
    """Raise RecordError if a file of a complete shard is missing or differs from its checksum."""
    for number, shard in enumerate(index["shards"]):
        for name, expected in shard["crc32"].items():
            path = folder / file_name(number, name)
            if not path.is_file() or _crc32(path) != expected:
                raise RecordError(f"{path} is missing or damaged; delete {folder} and record again")


def file_name(shard: int, name: str) -> str:
    """The file of one tensor of one shard."""
    return f"{shard:05d}.{name.replace('/', '__')}.npy"


def keys_of(x: Structure) -> np.ndarray:
    """A 64-bit digest of each example's inputs: (n, ...) -> (n,) uint64."""
    parts = [np.ascontiguousarray(part) for part in keras.tree.flatten(x)]
    keys = np.empty(len(parts[0]), np.uint64)
    for row in range(len(keys)):
        digest = hashlib.blake2b(digest_size=8)
        for part in parts:
            digest.update(part[row].tobytes())
        keys[row] = int.from_bytes(digest.digest(), "little")
    return keys


def rows(data: Structure, chosen: slice) -> Any:
    """Some examples of a structure of arrays, as NumPy arrays."""
    return keras.tree.map_structure(lambda part: np.asarray(part[chosen]), data)


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
