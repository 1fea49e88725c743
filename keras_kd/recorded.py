"""A teacher's outputs computed once and kept on disk.

Format: a folder with `index.json` and, for each shard N and each recorded tensor, `NNNNN.NAME.npy` (a plain NumPy file,
memory-mapped when read; `/` in a layer's path is `__`). A top-k record keeps, instead of `outputs`, `outputs.values` (the k
highest logits), `outputs.indices` and `outputs.rest` (log of the summed exponentials of all others), and teaches them as k + 1
classes (see `TopK`). `NNNNN.keys.npy` holds a 64-bit BLAKE2b digest of each example's inputs. `index.json`: version, teacher's
fingerprint (weights and architecture), shapes, activations, dtype, top_k, shard size, and for each whole shard its count and
the CRC-32 of each file. A shard is listed only once its files are whole, so a killed recording goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.fingerprint import fingerprint
from keras_kd.layers import Tap, activation_of, name_of
from keras_kd.objectives.top_k import TopK
from keras_kd.teachers import Supplied

# 2: the fingerprint holds the architecture.
VERSION = 2
DTYPES = ("float32", "float16")


class RecordError(ValueError):
    """A recording is damaged, unfinished, or belongs to another teacher, other data or another order."""


class Recorded(Supplied):
    """A recorded teacher, read from its folder; see `record`.

    Fit a Distiller on `recorded.batches(x, y)`, with x in the order that was recorded. For data that does not fit memory,
    `recorded.follow(batches)` puts the targets beside an unshuffled stream of batches.

    Args:
        folder: Where `record` wrote.
        teacher: The model, to be compared with the one that was recorded; None trusts the record.

    Raises:
        RecordError: If the folder is damaged, unfinished, or another teacher's.
    """

    def __init__(self, folder: str | os.PathLike[str], teacher: keras.Model | None = None) -> None:
        self.folder = Path(folder)
        self._index = _read_index(self.folder)
        if not self._index["finished"]:
            raise RecordError(f"{self.folder} is unfinished; call record on the same data again")
        if teacher is not None and fingerprint(teacher) != self._index["teacher"]:
            raise RecordError(
                f"{self.folder} was recorded from another teacher than {teacher.name!r}: other weights or other layers"
            )
        super().__init__(self._index["shapes"], self._index["activations"])
        self.top_k = self._index["top_k"]
        _check_files(self.folder, self._index)
        self._starts = np.concatenate(([0], np.cumsum([shard["count"] for shard in self._index["shards"]])))
        self._files: dict[tuple[int, str], np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batches(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """What to fit a Distiller on; RecordError if x is not what was recorded, in that order. See `Supplied.batches`."""
        self.check(x)
        return super().batches(x, y, sample_weight, **kwargs)

    def check(self, x: Any) -> None:
        """RecordError if `x` differs from the recorded inputs in number, content or order."""
        count = len(keras.tree.flatten(x)[0])
        if count != len(self):
            raise RecordError(f"{self.folder} holds {len(self)} examples, the data {count}")
        for start in range(0, count, 4096):
            self._check_keys(np.arange(start, min(start + 4096, count)), _rows(x, slice(start, start + 4096)))

    def follow(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Batches (x,), (x, y) or (x, y, sample_weight) in recorded order, each with the teacher's targets beside x.

        Raises:
            RecordError: At the first batch that is not what was recorded there.
        """
        at = 0
        for batch in batches:
            x, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
            x = keras.tree.map_structure(np.asarray, x)
            count = len(keras.tree.flatten(x)[0])
            if at + count > len(self):
                raise RecordError(f"{self.folder} holds {len(self)} examples, the data more")
            indices = np.arange(at, at + count)
            self._check_keys(indices, x)
            yield ({"inputs": x, "teacher": self.targets(indices, x)}, *rest)
            at += count

    def targets(self, indices: np.ndarray, x: Any = None) -> dict[str, np.ndarray]:
        """Recorded tensors of the examples at `indices`, float32; top-k outputs as their three parts, indices int32."""
        found = {name: self._gather(name, indices) for name in self.shapes if name != "outputs" or not self.top_k}
        if self.top_k:
            found.update({f"outputs.{part}": self._gather(f"outputs.{part}", indices) for part in TopK._fields})
            found["outputs.indices"] = found["outputs.indices"].astype(np.int32)
        return found

    def _gather(self, name: str, indices: np.ndarray) -> np.ndarray:
        shards = np.searchsorted(self._starts, indices, side="right") - 1
        parts = [
            self._file(int(shard), name)[indices[shards == shard] - self._starts[shard]] for shard in np.unique(shards)
        ]
        together = np.concatenate(parts)
        order = np.argsort(np.concatenate([np.flatnonzero(shards == shard) for shard in np.unique(shards)]))
        return together[order] if together.dtype.kind == "u" else together[order].astype(np.float32)

    def _file(self, shard: int, name: str) -> np.ndarray:
        if (shard, name) not in self._files:
            self._files[shard, name] = np.load(self.folder / _file_name(shard, name), mmap_mode="r", allow_pickle=False)
        return self._files[shard, name]

    def _check_keys(self, indices: np.ndarray, x: Any) -> None:
        wrong = np.flatnonzero(self._gather("keys", indices) != keys_of(x))
        if len(wrong):
            raise RecordError(
                f"{self.folder}: example {int(indices[wrong[0]])} is not the one that was recorded there; "
                "keep data and order as they were, or record anew"
            )


def record(
    teacher: keras.Model,
    data: Any,
    folder: str | os.PathLike[str],
    *,
    layers: Sequence[Any] = (),
    outputs: bool = True,
    dtype: str = "float32",
    top_k: int | None = None,
    batch_size: int = 256,
    shard_size: int = 16_384,
) -> Recorded:
    """Run a teacher over the data once and keep what it gives on disk; goes on with what an interrupted call left.

    Args:
        teacher: A built Keras model.
        data: The inputs as arrays (or a structure of arrays), or an iterable of batches of them in a fixed order.
        folder: Where to write; new, or of an earlier call with the same arguments.
        layers: Layers to record beside the output, as objectives name them.
        outputs: Whether to record the teacher's own output.
        dtype: 'float32' or 'float16'; float16 holds magnitudes up to 65,504 with three digits.
        top_k: Keep only the k highest logits of each output, and the mass of the rest as one class; None keeps all.
        batch_size: Examples a forward pass, where data is arrays.
        shard_size: Examples a file.

    Raises:
        ValueError: For bad arguments.
        RecordError: If the folder holds another recording or the data differ from its own.
    """
    if dtype not in DTYPES:
        raise ValueError(f"record: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if batch_size < 1 or shard_size < 1:
        raise ValueError(f"record: batch_size and shard_size must be at least 1, got {batch_size} and {shard_size}")
    names = [name_of(teacher, layer) for layer in layers]
    if not outputs and not names:
        raise ValueError("record: nothing to record; name layers or leave outputs on")
    folder = Path(folder)
    tap = Tap(teacher, names)
    batches = _batched(data, batch_size)
    first = next(batches, None)
    if first is None:
        raise ValueError("record: the data are empty")
    index = _new_index(teacher, tap, first, outputs, dtype, top_k, shard_size)
    if (folder / "index.json").is_file():
        found = _read_index(folder)
        if any(found[key] != index[key] for key in index if key not in ("shards", "finished")):
            differing = [key for key in index if key not in ("shards", "finished") and found[key] != index[key]]
            raise RecordError(f"{folder} holds another recording (other {', '.join(differing)}); choose another folder")
        index = found
    folder.mkdir(parents=True, exist_ok=True)
    _write_shards(tap, _chain(first, batches), folder, index)
    return Recorded(folder, teacher)


def keys_of(x: Any) -> np.ndarray:
    """A 64-bit digest of each example's inputs: (n, ...) -> (n,) uint64."""
    parts = [np.ascontiguousarray(part) for part in keras.tree.flatten(x)]
    found = np.empty(len(parts[0]), np.uint64)
    for row in range(len(found)):
        digest = hashlib.blake2b(digest_size=8)
        for part in parts:
            digest.update(part[row].tobytes())
        found[row] = int.from_bytes(digest.digest(), "little")
    return found


def _new_index(
    teacher: keras.Model, tap: Tap, x: Any, outputs: bool, dtype: str, top_k: int | None, shard_size: int
) -> dict[str, Any]:
    captured = tap(keras.tree.map_structure(lambda part: part[:1], x))
    tensors = {**({"outputs": captured.outputs} if outputs else {}), **captured.features}
    if any(not hasattr(tensor, "shape") for tensor in tensors.values()):
        raise ValueError(f"record: {teacher.name!r} gives several outputs; name their layers and pass outputs=False")
    activations = {name: activation_of(teacher, None if name == "outputs" else name) for name in tensors}
    if top_k is not None:
        if not outputs or activations["outputs"] != "linear":
            raise ValueError(
                f"record: top_k keeps logits, the output of {teacher.name!r} is {activations.get('outputs')}"
            )
        if not 1 <= top_k < tensors["outputs"].shape[-1]:
            raise ValueError(f"record: top_k must be from 1 to {tensors['outputs'].shape[-1] - 1}, got {top_k}")
    return {
        "version": VERSION,
        "teacher": fingerprint(teacher),
        "shapes": {name: list(tensor.shape[1:]) for name, tensor in tensors.items()},
        "activations": activations,
        "dtype": dtype,
        "top_k": top_k,
        "shard_size": shard_size,
        "shards": [],
        "finished": False,
    }


def _write_shards(tap: Tap, batches: Iterable[Any], folder: Path, index: dict[str, Any]) -> None:
    """Record what is not yet there; what is there is compared with the data."""
    done = sum(shard["count"] for shard in index["shards"])
    kept_keys = [np.load(folder / _file_name(n, "keys"), allow_pickle=False) for n in range(len(index["shards"]))]
    known = np.concatenate(kept_keys) if kept_keys else np.empty(0, np.uint64)
    at = 0
    waiting: list[dict[str, np.ndarray]] = []
    for batch in batches:
        keys = keys_of(batch)
        skipped = min(len(keys), max(0, done - at))
        if not np.array_equal(keys[:skipped], known[at : at + skipped]):
            raise RecordError(f"{folder} was begun on other data or in another order; choose another folder")
        at += len(keys)
        if skipped < len(keys):
            if index["finished"]:
                raise RecordError(f"{folder} holds {done} examples, the data more; choose another folder")
            waiting.append(_run(tap, _rows(batch, slice(skipped, None)), keys[skipped:], index))
            waiting = _flush(waiting, folder, index, index["shard_size"])
    if at < done:
        raise RecordError(f"{folder} holds {done} examples, the data {at}; choose another folder")
    _flush(waiting, folder, index, 1)
    index["finished"] = True
    _write_index(folder, index)


def _run(tap: Tap, batch: Any, keys: np.ndarray, index: dict[str, Any]) -> dict[str, np.ndarray]:
    captured = tap(batch, training=False)
    tensors = {**captured.features, "outputs": captured.outputs}
    found = {name: np.asarray(keras.ops.convert_to_numpy(tensors[name]), np.float32) for name in index["shapes"]}
    if index["top_k"]:
        found.update(_top(found.pop("outputs"), index["top_k"]))
    limit = np.finfo(index["dtype"]).max
    for name, array in found.items():
        if array.dtype == np.float32:
            if not (np.abs(array) <= limit).all():
                raise ValueError(f"record: {name} holds values beyond {index['dtype']}; record as float32")
            found[name] = array.astype(index["dtype"])
    return {**found, "keys": keys}


def _top(logits: np.ndarray, k: int) -> dict[str, np.ndarray]:
    places = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    values = np.take_along_axis(logits, places, axis=-1)
    others = logits.astype(np.float64).copy()
    np.put_along_axis(others, places, -np.inf, axis=-1)
    rest = np.logaddexp.reduce(others, axis=-1, keepdims=True)
    kind = np.uint16 if logits.shape[-1] <= 65_536 else np.uint32
    return {"outputs.values": values, "outputs.indices": places.astype(kind), "outputs.rest": rest.astype(np.float32)}


def _flush(
    waiting: list[dict[str, np.ndarray]], folder: Path, index: dict[str, Any], least: int
) -> list[dict[str, np.ndarray]]:
    """Write whole shards as long as `least` examples wait; what is left over."""
    count = sum(len(part["keys"]) for part in waiting)
    if count < least or not count:
        return waiting
    together = {name: np.concatenate([part[name] for part in waiting]) for name in waiting[0]}
    size = index["shard_size"]
    for start in range(0, count, size):
        stop = min(start + size, count)
        if stop - start < min(size, least):
            return [{name: array[start:] for name, array in together.items()}]
        number = len(index["shards"])
        sums = {
            name: _write_array(folder / _file_name(number, name), array[start:stop]) for name, array in together.items()
        }
        index["shards"].append({"count": stop - start, "crc32": sums})
        _write_index(folder, index)
    return []


def _write_array(path: Path, array: np.ndarray) -> int:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return _crc32(path)


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    partial = folder / "index.partial"
    partial.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, folder / "index.json")


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        version = index["version"]
    except OSError as error:
        raise RecordError(f"{folder} is not a recording: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder} is damaged: index.json: {error}") from None
    if version != VERSION:
        raise RecordError(f"{folder} is of format {version}, this version reads {VERSION}; record anew")
    return index


def _check_files(folder: Path, index: dict[str, Any]) -> None:
    for number, shard in enumerate(index["shards"]):
        for name, expected in shard["crc32"].items():
            path = folder / _file_name(number, name)
            if not path.is_file() or _crc32(path) != expected:
                raise RecordError(f"{path} is missing or damaged; delete {folder} and record anew")


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def _file_name(shard: int, name: str) -> str:
    return f"{shard:05d}.{name.replace('/', '__')}.npy"


def _batched(data: Any, batch_size: int) -> Iterator[Any]:
    flat = keras.tree.flatten(data)
    if all(hasattr(part, "shape") and hasattr(part, "__getitem__") for part in flat):
        count = len(flat[0])
        yield from (_rows(data, slice(start, start + batch_size)) for start in range(0, count, batch_size))
        return
    for batch in data:
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        yield keras.tree.map_structure(np.asarray, x)


def _rows(data: Any, rows: slice) -> Any:
    return keras.tree.map_structure(lambda part: np.asarray(part[rows]), data)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
