"""Weight clustering: each kernel keeps a few distinct values, so that a table of them and short indices can replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import keras_kd
from micro.compress.fine_tune import Constraint, FineTuning, HeldKernels, Loss
from micro.keras_graph.fold_batchnorm import fold_batchnorm
from micro.keras_graph.kernels import prunable_kernels


class ClusterWeights(HeldKernels):
    """Hold each kernel to a few distinct values during any `fit` that trains the model.

    The values, one for each cluster, are learned; which weight belongs to which cluster is decided when the `fit` begins.
    Where a kernel has zeros, as a pruned one does, zero is one of the values and stays zero. For use in `Distiller.fit` pass
    the student.

    Args:
        model: Model whose Dense, Conv and pointwise kernels are clustered.
        clusters: Distinct values in each kernel, at least 2.
        layers: Names of the layers to cluster; None for all.

    Raises:
        ValueError: For fewer than two clusters, or layers without kernels.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
        >>> model.compile("sgd", "mse")
        >>> few = micro.ClusterWeights(model, 3)
        >>> _ = model.fit(np.ones((8, 4)), np.ones((8, 8)), callbacks=[few], verbose=0)
        >>> len(np.unique(model.layers[0].get_weights()[0]))
        3

    Source: Han, Mao and Dally 2016, Deep Compression, section 3, https://arxiv.org/abs/1510.00149.
    """

    def __init__(self, model: keras.Model, clusters: int, layers: Sequence[str] | None = None) -> None:
        if clusters < 2:
            raise ValueError(f"cluster: clusters must be at least 2, got {clusters}")
        super().__init__(prunable_kernels(model, layers))
        self.clusters = clusters

    def hold(self, kernel: keras.Variable, before: Constraint | None) -> Constraint:
        values, labels = k_means(keras.ops.convert_to_numpy(kernel), self.clusters)
        kernel.assign(values[labels])
        return _cluster_means(labels, values, before)


def cluster(
    model: keras.Model,
    clusters: int,
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    loss: Loss | None = None,
    teacher: keras.Model | None = None,
    objectives: Sequence[keras_kd.Objective] | None = None,
    hard_weight: float = 1.0,
    optimizer: str | keras.optimizers.Optimizer | None = None,
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

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
        >>> few = micro.cluster(model, 4, np.ones((8, 4)), np.ones((8, 8)), loss="mse", epochs=1)
        >>> len(np.unique(few.layers[-1].get_weights()[0]))
        4

    Source: Han, Mao and Dally 2016, Deep Compression, section 3, https://arxiv.org/abs/1510.00149.
    """
    tuning = FineTuning(x, y, loss, teacher, objectives, hard_weight, optimizer, epochs, batch_size, verbose)
    return cluster_with(tuning, model, clusters, layers)


def cluster_with(
    tuning: FineTuning, model: keras.Model, clusters: int, layers: Sequence[str] | None = None
) -> keras.Model:
    """`cluster`, with the arguments of training in one object."""
    ClusterWeights(model, clusters, layers)  # refuses what cannot be done before any training
    tuning.require_targets("clustering")
    return tuning.train_copy(fold_batchnorm(model), lambda copy: [ClusterWeights(copy, clusters, layers)])


def clustered_untrained(model: keras.Model, clusters: int) -> keras.Model:
    """A copy with `clusters` distinct values in each kernel, BatchNormalization folded, and not trained."""
    copy = fold_batchnorm(model)
    for kernel in prunable_kernels(copy):
        values, labels = k_means(keras.ops.convert_to_numpy(kernel), clusters)
        kernel.assign(values[labels])
    return copy


def k_means(weights: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster the weights of a kernel: the values, (k,) float32 with k <= clusters, and the index of each weight into them.

    Centers start at evenly spaced quantiles of the weights. Zeros are a cluster of their own, the first, where there are any.
    """
    flat = weights.reshape(-1).astype(np.float64)
    zeros = flat == 0
    others = flat[~zeros]
    distinct = np.unique(others)
    count = min(clusters - int(zeros.any()), len(distinct))
    labels = np.zeros(flat.shape, np.int32)
    centers = np.zeros(0)
    if count:
        from sklearn.cluster import KMeans

        quantiles = np.quantile(others, (np.arange(count) + 0.5) / count)
        start = distinct if count == len(distinct) else np.unique(quantiles)
        fitted = KMeans(len(start), init=start[:, None], n_init=1).fit(others[:, None])
        centers = fitted.cluster_centers_[:, 0]
        labels[~zeros] = fitted.labels_ + int(zeros.any())
    values = np.concatenate(([0.0], centers)) if zeros.any() else centers
    return values.astype("float32"), labels.reshape(weights.shape)


def _cluster_means(labels: np.ndarray, values: np.ndarray, before: Constraint | None) -> Constraint:
    """A constraint that gives the weights of one cluster their mean, after an earlier constraint; zeros stay zero."""
    flat_labels, count = labels.reshape(-1), len(values)
    members = np.bincount(flat_labels, minlength=count)
    scale = (np.where(values == 0, 0.0, 1.0) / np.maximum(members, 1)).astype("float32")

    def constrain(kernel: Any) -> Any:
        value = kernel if before is None else before(kernel)
        flat = keras.ops.reshape(value, (-1,))
        means = keras.ops.segment_sum(flat, flat_labels, count) * keras.ops.cast(scale, flat.dtype)
        return keras.ops.reshape(keras.ops.take(means, flat_labels), keras.ops.shape(value))

    return constrain
