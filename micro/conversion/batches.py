"""Samples as Keras takes them, with labels or without: arrays, or what yields batches and ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

# Bytes of samples that are handed to the interpreter at a time, where they come in batches.
TOGETHER = 1 << 24


def given(arrays: Sequence[np.ndarray]) -> Any:
    """Samples of each input as the interpreter takes them: those of a single one by themselves."""
    return arrays[0] if len(arrays) == 1 else list(arrays)


def in_parts(arrays: Sequence[np.ndarray], batch_size: int | None) -> Iterator[list[np.ndarray]]:
    """Arrays of the same length, at most `batch_size` rows at a time."""
    count = len(arrays[0])
    for start in range(0, count, batch_size or count):
        yield [array[start : start + (batch_size or count)] for array in arrays]


def gathered(batches: Iterable[tuple[np.ndarray, ...]]) -> Iterator[tuple[np.ndarray, ...]]:
    """The same samples in fewer batches: handing one to the interpreter takes as long as running hundreds of samples."""
    held: list[tuple[np.ndarray, ...]] = []
    for batch in batches:
        held.append(batch)
        if sum(array.nbytes for each in held for array in each) >= TOGETHER:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(batches: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    return batches[0] if len(batches) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*batches))


def batches_of(x: Any, shapes: Sequence[tuple[int, ...]]) -> Iterator[Any]:
    """Inputs of a model whose inputs have those shapes, batch by batch; an array or a structure of arrays is one batch."""
    if not _yields(x):
        yield x
        return
    for item in _items(x):
        inputs = item[0] if isinstance(item, tuple) else item
        yield np.asarray(inputs)[None] if _is_single(inputs, shapes) else inputs


def labeled_batches(x: Any, shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[Any, ...]]:
    """Batches of (inputs, labels) or (inputs, labels, sample weights), as a tf.data.Dataset, a keras.utils.PyDataset or a
    generator yields them; what is one sample becomes a batch of one.

    Raises:
        ValueError: For an array, or what yields inputs alone.
    """
    for item in _items(x) if _yields(x) else [x]:
        if not isinstance(item, tuple) or len(item) not in (2, 3):
            raise ValueError(
                f"y is missing: x ({type(x).__name__}) holds no pairs of inputs and labels; give the labels as y"
            )
        if _is_single(item[0], shapes):
            import keras

            item = tuple(keras.tree.map_structure(lambda each: np.asarray(each)[None], part) for part in item)
        yield item


def _yields(x: Any) -> bool:
    """Whether `x` is iterated or called for batches, and is no array or structure of arrays."""
    if isinstance(x, (list, tuple, Mapping)) or hasattr(x, "__array__"):
        return False
    return callable(x) or isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _items(x: Any) -> Iterator[Any]:
    if callable(x) and not hasattr(x, "__iter__"):
        x = x()
    if not isinstance(x, Iterable) and hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        x = (x[place] for place in range(len(x)))  # a keras.utils.PyDataset
    yield from x


def _is_single(inputs: Any, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether it is one sample of the one input, and no batch."""
    return len(shapes) == 1 and not isinstance(inputs, Mapping) and np.ndim(inputs) == len(shapes[0])
