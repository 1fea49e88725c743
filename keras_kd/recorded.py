"""A teacher's outputs read from disk; see `record`, which writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.fingerprint import fingerprint
from keras_kd.objectives.top_k import TopK
from keras_kd.record_files import RecordError, check_files, keys_of, read_array, read_index, rows
from keras_kd.supplied import Supplied, teachers_part
from keras_kd.types import Structure
from keras_kd.views import View, require_view


class Recorded(Supplied):
    """A recorded teacher, read from its folder; see `record`.

    Fit a Distiller on `recorded.batches(x, y)`, with x in the order in which it was recorded. For data that does not fit in
    memory, `recorded.join_targets(batches)` adds the targets to an unshuffled stream of batches.

    Args:
        folder: Where `record` wrote.
        teacher: The model, to be compared with the one that was recorded; None trusts the recording.

    Raises:
        RecordError: If the folder is damaged, unfinished, or another teacher's.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).normal(size=(10, 4)).astype("float32")
        >>> written = keras_kd.record(teacher, x, "targets")
        >>> recorded = keras_kd.Recorded("targets", teacher)
        >>> len(recorded), recorded.targets(np.arange(2))["outputs"].shape
        (10, (2, 3))
    """

    def __init__(self, folder: str | os.PathLike[str], teacher: keras.Model | None = None) -> None:
        self.folder = Path(folder)
        index = read_index(self.folder)
        if not index["finished"]:
            raise RecordError(f"{self.folder} is unfinished; call record on the same data again")
        if teacher is not None and fingerprint(teacher) != index["teacher"]:
            raise RecordError(
                f"{self.folder} was recorded from another teacher than {teacher.name!r}: other weights or other layers"
            )
        super().__init__({name: tuple(shape) for name, shape in index["shapes"].items()}, index["activations"])
        self.top_k = index["top_k"]
        check_files(self.folder, index)
        self._starts = np.concatenate(([0], np.cumsum([shard["count"] for shard in index["shards"]])))
        self._files: dict[tuple[int, str], np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def check(self, x: Structure) -> None:
        """Raise RecordError if `x` differs from the recorded inputs in number, content or order."""
        count = len(keras.tree.flatten(x)[0])
        if count != len(self):
            raise RecordError(f"{self.folder} holds {len(self)} examples, the data {count}")
        self._check_all(x, 0)

    def join_targets(self, batches: Iterable[Structure], *, teacher_inputs: View = None) -> Iterator[tuple[Any, ...]]:
        """Batches x, (x,), (x, y) or (x, y, sample_weight) in recorded order, each with the teacher's targets joined to x.

        Args:
            batches: An unshuffled stream.
            teacher_inputs: What the teacher was recorded on of each x, as for `Distiller`; None for all of it.

        Raises:
            RecordError: At the first batch that is not what was recorded there.
        """
        require_view(teacher_inputs, "teacher_inputs")
        start = 0
        for batch in batches:
            x, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
            x = keras.tree.map_structure(np.asarray, x)
            count = len(keras.tree.flatten(x)[0])
            if start + count > len(self):
                raise RecordError(f"{self.folder} holds {len(self)} examples, the data more")
            indices = np.arange(start, start + count)
            theirs = teachers_part(teacher_inputs, x)
            self._check_keys(indices, theirs)
            yield ({"inputs": x, "teacher": self.targets(indices, theirs)}, *rest)
            start += count

    def targets(self, indices: np.ndarray, x: Structure | None = None) -> dict[str, np.ndarray]:
        """Recorded tensors of the examples at `indices`, float32; top-k outputs as their three parts, indices int32."""
        whole = [name for name in self.shapes if name != "outputs" or not self.top_k]
        targets = {name: self._gather(name, indices) for name in whole}
        if self.top_k:
            targets |= {f"outputs.{part}": self._gather(f"outputs.{part}", indices) for part in TopK._fields}
            targets["outputs.indices"] = targets["outputs.indices"].astype(np.int32)
        return targets

    def _gather(self, name: str, indices: np.ndarray) -> np.ndarray:
        """One recorded tensor of the examples at `indices`, from as many shards as they lie in."""
        shards = np.searchsorted(self._starts, indices, side="right") - 1
        touched = np.unique(shards)
        parts = [self._file(int(n), name)[indices[shards == n] - self._starts[n]] for n in touched]
        together = np.concatenate(parts)
        order = np.argsort(np.concatenate([np.flatnonzero(shards == n) for n in touched]))
        return together[order] if together.dtype.kind == "u" else together[order].astype(np.float32)

    def _file(self, shard: int, name: str) -> np.ndarray:
        if (shard, name) not in self._files:
            self._files[shard, name] = read_array(self.folder, shard, name)
        return self._files[shard, name]

    def _check_all(self, x: Structure, first: int) -> None:
        """Compare inputs with those recorded from the example `first` on, some thousands at a time."""
        count = len(keras.tree.flatten(x)[0])
        for start in range(0, count, 4096):
            stop = min(start + 4096, count)
            self._check_keys(np.arange(first + start, first + stop), rows(x, slice(start, stop)))

    def _check_keys(self, indices: np.ndarray, x: Structure) -> None:
        wrong = np.flatnonzero(self._gather("keys", indices) != keys_of(x))
        if len(wrong):
            raise RecordError(
                f"{self.folder}: example {int(indices[wrong[0]])} is not the one that was recorded there; "
                "keep data and order as they were, or record again"
            )
