"""Weight sharing: each kernel keeps a few distinct values, so that a table of them and short indices can replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from micro.compress.fine_tune import HeldKernels, fine_tuned, require_lessons
from micro.compress.prune import prunable_kernels
from micro.keras_graph.fold_batchnorm import fold_batchnorm


class ClusterWeights(HeldKernels):
    """Hold each kernel to a few shared values during any `fit` that trains the model; the values are learnt, who shares is not.

    Where a kernel has zeros, as a pruned one does, zero is one of the values and stays what it is. For use in
    `Distiller.fit` pass the student.

    Args:
        model: Model whose Dense, Conv and pointwise kernels are clustered.
        clusters: Distinct values in each kernel, at least 2.
        layers: Names of the layers to cluster; None for all.

    Raises:
        ValueError: For fewer than two clusters, or layers without kernels.

    Source: Han, Mao and Dally 2016, Deep Compression, section 3.
    """

    def __init__(self, model: keras.Model, clusters: int, layers: Sequence[str] | None = None) -> None:
        if clusters < 2:
            raise ValueError(f"cluster: clusters must be at least 2, got {clusters}")
        super().__init__(prunable_kernels(model, layers))
        self.clusters = clusters

    def hold(self, kernel: keras.Variable, before: Any) -> Any:
        values, shares = shared_values(keras.ops.convert_to_numpy(kernel), self.clusters)
        kernel.assign(values[shares])
        return _Shared(shares, values, before)


def cluster(
    model: keras.Model,
    clusters: int,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    teacher: keras.Model | None = None,
    objectives: Sequence[Any] | None = None,
    hard_weight: float = 1.0,
    optimizer: Any = None,
    epochs: int = 4,
    batch_size: int = 32,
    layers: Sequence[str] | None = None,
    verbose: int | str = 0,
) -> keras.Model:
    """A copy of the model, fine-tuned with at most `clusters` distinct values in each kernel; the model is not changed.

    BatchNormalization is folded into the kernels first: the converter would do so afterwards, and multiply the values.
    Quantized per tensor (`micro.convert(..., weights="per_tensor")`) it has at most as many distinct int8 values, which
    `micro.pack` turns into a table and indices.

    Args:
        clusters: Distinct values in each kernel, at least 2; 16 make indices of 4 bits.
        x, y, loss, teacher, objectives, hard_weight, optimizer, epochs, batch_size, layers: As for `micro.prune`.

    Raises:
        ValueError: For fewer than two clusters, unknown layers, or nothing to train on.
    """
    ClusterWeights(model, clusters, layers)  # refuses what cannot be done before any training
    require_lessons(y, loss, teacher, objectives, "clustering")
    return fine_tuned(
        fold_batchnorm(model),
        lambda copy, steps: [ClusterWeights(copy, clusters, layers)],
        x,
        y,
        loss=loss,
        teacher=teacher,
        objectives=objectives,
        hard_weight=hard_weight,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        verbose=verbose,
    )


def share_values(model: keras.Model, clusters: int) -> keras.Model:
    """A copy with its kernels rounded to `clusters` values each, BatchNormalization folded, and not trained."""
    copy = fold_batchnorm(model)
    for kernel in prunable_kernels(copy):
        values, shares = shared_values(keras.ops.convert_to_numpy(kernel), clusters)
        kernel.assign(values[shares])
    return copy


def shared_values(weights: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """The values that k-means finds in a kernel, (k,) float32 with k <= clusters, and which each weight takes, its shape.

    Centres start at even steps through the sorted weights. Zeros keep a value to themselves: value 0, where there are any.
    """
    flat = weights.reshape(-1).astype(np.float64)
    zeros = flat == 0
    rest = flat[~zeros]
    distinct = np.unique(rest)
    count = min(clusters - int(zeros.any()), len(distinct))
    shares = np.zeros(flat.shape, np.int32)
    centres = np.zeros(0)
    if count:
        from sklearn.cluster import KMeans

        start = distinct if count == len(distinct) else np.unique(np.quantile(rest, (np.arange(count) + 0.5) / count))
        found = KMeans(len(start), init=start[:, None], n_init=1).fit(rest[:, None])
        centres = found.cluster_centers_[:, 0]
        shares[~zeros] = found.labels_ + int(zeros.any())
    values = np.concatenate(([0.0], centres)) if zeros.any() else centres
    return values.astype("float32"), shares.reshape(weights.shape)


class _Shared:
    """A constraint that gives weights of one share their mean; those at zero stay there."""

    def __init__(self, shares: np.ndarray, values: np.ndarray, before: Any) -> None:
        self.shares = shares.reshape(-1)
        self.count = len(values)
        members = np.bincount(self.shares, minlength=self.count)
        self.scale = (np.where(values == 0, 0.0, 1.0) / np.maximum(members, 1)).astype("float32")
        self.before = before

    def __call__(self, kernel: Any) -> Any:
        value = kernel if self.before is None else self.before(kernel)
        flat = keras.ops.reshape(value, (-1,))
        sums = keras.ops.segment_sum(flat, self.shares, self.count)
        means = sums * keras.ops.cast(self.scale, flat.dtype)
        return keras.ops.reshape(keras.ops.take(means, self.shares), keras.ops.shape(value))
