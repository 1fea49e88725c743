"""Running a teacher once and keeping its outputs on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.fingerprint import fingerprint
from keras_kd.layers import Tap, activation_of, name_of
from keras_kd.record_files import (
    VERSION,
    Index,
    RecordError,
    file_name,
    keys_of,
    read_array,
    read_index,
    rows,
    write_array,
    write_index,
)
from keras_kd.recorded import Recorded
from keras_kd.types import LayerRef, Structure

DTYPES = ("float32", "float16")
# A piece of a recording by tensor, `keys` among them: (examples, ...).
Piece = dict[str, np.ndarray]


def record(
    teacher: keras.Model,
    data: Structure | Iterable[Structure],
    folder: str | os.PathLike[str],
    *,
    layers: Sequence[LayerRef] = (),
    outputs: bool = True,
    dtype: str = "float32",
    top_k: int | None = None,
    batch_size: int = 256,
    shard_size: int = 16_384,
) -> Recorded:
    """Run a teacher over the data once and keep what it gives on disk; an interrupted call resumes where it stopped.

    Args:
        teacher: A built Keras model.
        data: The inputs as arrays (or a structure of arrays), or an iterable of batches of them in a fixed order.
        folder: Where to write; new, or of an earlier call with the same arguments.
        layers: Layers to record in addition to the output, as objectives name them.
        outputs: Whether to record the teacher's own output.
        dtype: 'float32' or 'float16'; float16 holds magnitudes up to 65,504 with three digits.
        top_k: Keep only the k highest logits of each output, and the mass of the rest as one class; None keeps all.
        batch_size: Examples per forward pass, where data is arrays.
        shard_size: Examples per file.

    Returns:
        The recorded teacher, to fit a Distiller under.

    Raises:
        ValueError: For arguments out of range.
        RecordError: If the folder holds another recording or the data differ from its own.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).normal(size=(10, 4)).astype("float32")
        >>> recorded = keras_kd.record(teacher, x, "targets", top_k=2)
        >>> batches = recorded.batches(x)  # then Distiller(recorded, student, ...).fit(batches)
    """
    names = [name_of(teacher, layer) for layer in layers]
    _check_arguments(outputs or bool(names), dtype, batch_size, shard_size)
    folder, tap = Path(folder), Tap(teacher, names)
    first, batches = _peeked(_batched(data, batch_size))
    index = _resumed(folder, _new_index(tap, first, outputs, dtype, top_k, shard_size))
    folder.mkdir(parents=True, exist_ok=True)
    _write_shards(tap, batches, folder, index)
    return Recorded(folder, teacher)


def _check_arguments(anything: bool, dtype: str, batch_size: int, shard_size: int) -> None:
    if dtype not in DTYPES:
        raise ValueError(f"record: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if batch_size < 1 or shard_size < 1:
        raise ValueError(f"record: batch_size and shard_size must be at least 1, got {batch_size} and {shard_size}")
    if not anything:
        raise ValueError("record: nothing to record; name layers or leave outputs on")


def _new_index(tap: Tap, x: Structure, outputs: bool, dtype: str, top_k: int | None, shard_size: int) -> Index:
    """The index of a recording that has no shard yet; the first example shows what is recorded."""
    teacher = tap.model
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


def _resumed(folder: Path, new: Index) -> Index:
    """The index of an earlier call with the same arguments, or the new one."""
    if not (folder / "index.json").is_file():
        return new
    earlier: Any = read_index(folder)
    differing = [key for key, value in new.items() if key not in ("shards", "finished") and earlier[key] != value]
    if differing:
        raise RecordError(f"{folder} holds another recording (other {', '.join(differing)}); choose another folder")
    return earlier


def _write_shards(tap: Tap, batches: Iterable[Structure], folder: Path, index: Index) -> None:
    """Record what is not there yet; what is there is compared with the data."""
    done = sum(shard["count"] for shard in index["shards"])
    # Copies, so that no file stays open: a map holds a descriptor for each of perhaps thousands of shards.
    shards = (np.array(read_array(folder, number, "keys")) for number in range(len(index["shards"])))
    known = [np.empty(0, np.uint64), *shards]
    known_keys = np.concatenate(known)
    seen = 0
    pending: list[Piece] = []
    for batch in batches:
        keys = keys_of(batch)
        skipped = min(len(keys), max(0, done - seen))
        if not np.array_equal(keys[:skipped], known_keys[seen : seen + skipped]):
            raise RecordError(f"{folder} was begun on other data or in another order; choose another folder")
        seen += len(keys)
        if skipped < len(keys):
            if index["finished"]:
                raise RecordError(f"{folder} holds {done} examples, the data more; choose another folder")
            pending.append(_run(tap, rows(batch, slice(skipped, None)), keys[skipped:], index))
            pending = _flush(pending, folder, index, index["shard_size"])
    if seen < done:
        raise RecordError(f"{folder} holds {done} examples, the data {seen}; choose another folder")
    _flush(pending, folder, index, 1)
    index["finished"] = True
    write_index(folder, index)


def _run(tap: Tap, batch: Structure, keys: np.ndarray, index: Index) -> Piece:
    """The teacher's tensors on one batch, as they are stored."""
    captured = tap(batch, training=False)
    tensors = {**captured.features, "outputs": captured.outputs}
    piece = {name: np.asarray(keras.ops.convert_to_numpy(tensors[name]), np.float32) for name in index["shapes"]}
    if index["top_k"]:
        piece |= top_parts(piece.pop("outputs"), index["top_k"])
    limit = np.finfo(index["dtype"]).max
    for name, array in piece.items():
        if array.dtype == np.float32:
            if not (np.abs(array) <= limit).all():
                raise ValueError(f"record: {name} holds values beyond {index['dtype']}; record as float32")
            piece[name] = array.astype(index["dtype"])
    return {**piece, "keys": keys}


def top_parts(logits: np.ndarray, k: int) -> Piece:
    """The three parts of a TopK: highest logits and their classes, (..., k), and the log of the rest's mass, (..., 1)."""
    places = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    values = np.take_along_axis(logits, places, axis=-1)
    others = logits.astype(np.float64).copy()
    np.put_along_axis(others, places, -np.inf, axis=-1)
    rest = np.logaddexp.reduce(others, axis=-1, keepdims=True)
    kind = np.uint16 if logits.shape[-1] <= 65_536 else np.uint32
    return {"outputs.values": values, "outputs.indices": places.astype(kind), "outputs.rest": rest.astype(np.float32)}


def _flush(pending: list[Piece], folder: Path, index: Index, least: int) -> list[Piece]:
    """Write shards while at least `least` examples are pending; what is left over."""
    count = sum(len(piece["keys"]) for piece in pending)
    if count < least or not count:
        return pending
    together = {name: np.concatenate([piece[name] for piece in pending]) for name in pending[0]}
    size = index["shard_size"]
    for start in range(0, count, size):
        stop = min(start + size, count)
        if stop - start < min(size, least):
            return [{name: array[start:] for name, array in together.items()}]
        number = len(index["shards"])
        sums = {
            name: write_array(folder / file_name(number, name), array[start:stop]) for name, array in together.items()
        }
        index["shards"].append({"count": stop - start, "crc32": sums})
        write_index(folder, index)
    return []


def _batched(data: Structure | Iterable[Structure], batch_size: int) -> Iterator[Any]:
    """The inputs in batches of NumPy arrays, from arrays or from an iterable of batches."""
    flat = keras.tree.flatten(data)
    if all(hasattr(part, "shape") and hasattr(part, "__getitem__") for part in flat):
        count = len(flat[0])
        for start in range(0, count, batch_size):
            yield rows(data, slice(start, start + batch_size))  # type: ignore[arg-type]
        return
    for batch in data:  # type: ignore[union-attr]
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        yield keras.tree.map_structure(np.asarray, x)


def _peeked(batches: Iterator[Any]) -> tuple[Any, Iterator[Any]]:
    """The first batch, and all of them again."""
    first = next(batches, None)
    if first is None:
        raise ValueError("record: the data are empty")
    return first, chain([first], batches)
