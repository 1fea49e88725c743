"""Typical inputs that int8 ranges are calibrated on, and headroom for the faults that a detector is to find."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from micro.keras_graph.ends import Ends
from micro.signal.scaling import LIMIT

Samples: TypeAlias = npt.ArrayLike | Iterable[object] | Mapping[str, object] | Callable[[], Iterable[object]]
"""Inputs of a model: an array, or what yields arrays: a generator or the function that makes one, as TensorFlow's
`representative_dataset`; a tf.data.Dataset or another iterable of batches, with or without labels; a dict of one of these.
For a model of several inputs a list or a dict of arrays, or what yields such."""

# Samples that ranges are calibrated on, where more are given.
CALIBRATION_SAMPLES = 512
# Samples taken from a source that yields them one by one and may never end.
MOST_YIELDED = 2048


def calibration_data(
    healthy: npt.ArrayLike, *, low: float = -LIMIT, high: float = LIMIT, count: int = CALIBRATION_SAMPLES, seed: int = 0
) -> np.ndarray:
    """Calibration data for a detector: healthy samples, and headroom for the faults that it is to find.

    int8 clips values beyond the calibrated range. Healthy samples alone end the range where faults begin, and a clipped fault
    looks almost healthy. Two more samples, 0 except for one value at `low` or `high`, widen the input's range to all values
    that scaled features can have. `keras-kd run` calibrates in this way.

    Args:
        healthy: (n, *input) healthy samples as the model is fed, such as features in units of their standard deviation
            (`fit_scaling`).
        low, high: The input's range. `Scaling` clips features to +-8; for inputs that are not clipped, the sensor's range.
        count: Number of healthy samples to draw.
        seed: Seed of the draw.

    Returns: (min(n, count) + 2, *input) float32.

    Raises:
        ValueError: For no samples, a range that does not hold 0, or samples beyond it.

    Examples:
        >>> data = micro.calibration_data(np.random.default_rng(0).normal(size=(100, 4)))
        >>> data.shape, float(data.min()), float(data.max())
        ((102, 4), -8.0, 8.0)
    """
    if not low <= 0 <= high or low == high:
        raise ValueError(f"calibration_data: low and high must hold 0 between them, got {low:g} and {high:g}")
    drawn = drawn_evenly(np.asarray(healthy, np.float32), count, seed)
    if drawn.min() < low or drawn.max() > high:
        raise ValueError(
            f"calibration_data: the healthy samples go from {drawn.min():g} to {drawn.max():g}, beyond {low:g} to {high:g}: "
            "scale them (micro.fit_scaling), or give the low and high that the model's input can have"
        )
    far = np.zeros((2, *drawn.shape[1:]), np.float32)
    far[0].flat[0], far[1].flat[0] = high, low
    return np.concatenate([drawn, far])


def drawn_evenly(samples: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most `count` of the samples, in their order; the same seed draws the same."""
    if samples.ndim < 2 or not samples.size:
        raise ValueError(f"calibration_data: samples must have shape (n, *input) and not be empty, got {samples.shape}")
    rng = np.random.default_rng([seed, 7])
    return samples[np.sort(rng.choice(len(samples), min(count, len(samples)), replace=False))]


def check_samples(shape: tuple[int, ...], samples: Samples | None, what: str = "calibration data") -> np.ndarray:
    """Samples as a float32 array of inputs of that shape, (n, *shape).

    Raises:
        ValueError: Names what does not fit.
    """
    array = as_array(samples, shape, what)
    if array.shape[1:] != shape:
        raise ValueError(f"{what} must have shape (n, {', '.join(map(str, shape))}), got {array.shape}")
    return array


def check_inputs(
    ends: Ends, shapes: Sequence[tuple[int, ...]], samples: Samples | None, what: str = "calibration data"
) -> tuple[np.ndarray, ...]:
    """Samples as one float32 array for each input of a model, (n, *shape) each.

    Raises:
        ValueError: Names what does not fit.
    """
    if len(shapes) == 1:
        return (check_samples(shapes[0], samples, what),)
    values = _each_input(ends, shapes, samples, what)
    named = zip(ends.names, shapes, values, strict=True)
    arrays = tuple(check_samples(shape, value, f"{what} of input {name!r}") for name, shape, value in named)
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        of_each = ", ".join(f"{count} of {name!r}" for name, count in zip(ends.names, counts))
        raise ValueError(f"{what}: all inputs must have as many samples, got {of_each}")
    return arrays


def _each_input(ends: Ends, shapes: Sequence[tuple[int, ...]], samples: Any, what: str) -> list[Any]:
    """What is given for each input: the entries of a dict or a list, or what an iterable yields, put together."""
    _require_samples(samples, what)
    samples = _iterated(samples)
    listed = isinstance(samples, (list, tuple)) and not (
        len(samples) != len(shapes) and samples and isinstance(samples[0], (list, tuple, Mapping))
    )
    if listed or isinstance(samples, Mapping) or hasattr(samples, "__array__") or not isinstance(samples, Iterable):
        return ends.flat(samples, what)
    found: list[list[np.ndarray]] = [[] for _ in shapes]
    taken = 0
    for item in itertools.islice(samples, MOST_YIELDED):
        labeled = isinstance(item, tuple) and item and isinstance(item[0], (Mapping, list, tuple))
        for arrays, shape, value in zip(found, shapes, ends.flat(item[0] if labeled else item, what)):
            batch = np.asarray(value)
            arrays.append(batch[None] if batch.ndim == len(shape) else batch)
        taken += len(found[0][-1])
        if taken >= MOST_YIELDED:
            break
    if not taken:
        raise ValueError(f"{what} is empty: the {type(samples).__name__} gave no samples")
    try:
        return [np.concatenate(arrays)[:MOST_YIELDED] for arrays in found]
    except ValueError as error:
        raise ValueError(f"{what}: samples of one shape are needed for each input ({error})") from None


def _iterated(samples: Any) -> Any:
    """What a function gives, and the items of what is indexed alone."""
    if callable(samples) and not hasattr(samples, "__array__") and not hasattr(samples, "__iter__"):
        samples = samples()
    indexed = not hasattr(samples, "__iter__") and hasattr(samples, "__getitem__") and hasattr(samples, "__len__")
    if indexed and not hasattr(samples, "__array__"):
        return (samples[number] for number in range(len(samples)))  # a keras.utils.PyDataset
    return samples


def as_array(
    samples: Samples | None, shape: tuple[int, ...] | None = None, what: str = "calibration data"
) -> np.ndarray:
    """Samples as a float32 array, (n, ...); `shape` is the shape of one sample, where it is known."""
    _require_samples(samples, what)
    array = _array(_only(samples, what), shape, what)
    if array.dtype == object or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(f"{what} must be numbers, got dtype {array.dtype}")
    if np.iscomplexobj(array):
        raise ValueError(f"{what} must be real numbers, got dtype {array.dtype}")
    if array.ndim == 0 or not array.size:
        raise ValueError(f"{what} is empty; give a few hundred typical inputs")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
        raise ValueError(f"{what} holds {bad.sum()} values that are not finite, the first in row {row}")
    return array


def _require_samples(samples: object, what: str) -> None:
    if samples is None:
        raise ValueError(f"no {what}: give a few hundred typical inputs")
    if isinstance(samples, (str, Path)):
        raise ValueError(f"{what} must be an array, got the path {str(samples)!r}: load it first, as by numpy.load")


def _only(samples: object, what: str) -> Any:
    """The one entry of a mapping."""
    if isinstance(samples, Mapping):
        if len(samples) != 1:
            raise ValueError(f"{what} holds the entries {', '.join(map(repr, samples))}; give the model's one input")
        return next(iter(samples.values()))
    return samples


def _array(samples: Any, shape: tuple[int, ...] | None, what: str) -> np.ndarray:
    samples = _iterated(samples)
    if not isinstance(samples, (list, tuple)) and not hasattr(samples, "__array__") and isinstance(samples, Iterable):
        batches = list(_batches(samples, shape, what))
        if not batches:
            raise ValueError(f"{what} is empty: the {type(samples).__name__} gave no samples")
        try:
            return np.concatenate(batches)[:MOST_YIELDED]
        except ValueError:
            shapes = sorted({str(batch.shape[1:]) for batch in batches})
            raise ValueError(f"{what}: samples of one shape are needed, got {', '.join(shapes)}") from None
    try:
        return np.asarray(samples)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} must be an array of numbers: {str(error).splitlines()[0]}") from None


def _batches(source: Iterable[object], shape: tuple[int, ...] | None, what: str) -> Iterator[np.ndarray]:
    """Batches, (n, *shape), from whatever an iterable yields: samples, batches, either with labels, or one-entry lists."""
    taken = 0
    for item in itertools.islice(source, MOST_YIELDED):
        value = _only(item, what)
        if isinstance(value, (tuple, list)):
            if not value or (isinstance(value, list) and len(value) > 1 and np.ndim(value[0]) > 0):
                raise ValueError(f"{what} gives {len(value)} inputs a sample; the model takes one")
            # (inputs, labels) and (inputs, labels, weights) of a dataset, [input] of a representative dataset.
            value = value if np.ndim(value[0]) == 0 else value[0]
        batch = np.asarray(_only(value, what))
        if batch.ndim == 0 or (shape is not None and batch.ndim == len(shape)):
            batch = batch[None]
        yield batch
        taken += len(batch)
        if taken >= MOST_YIELDED:
            return
