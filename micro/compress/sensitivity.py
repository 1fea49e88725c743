"""What each layer can spare: one layer pruned at a time, without training, and the score read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from micro.compress.prune import magnitude_mask, prunable_layers


@dataclass(frozen=True)
class Sensitivity:
    """A layer pruned to `sparsity` while all others stay as they are.

    `weights` is the size of its kernels; `score` the model's then, `lost` how much less than the unpruned model's.
    """

    layer: str
    weights: int
    sparsity: float
    score: float
    lost: float


def sensitivity(
    model: keras.Model, score: Callable[[keras.Model], float], rates: Sequence[float] = (0.25, 0.5, 0.75, 0.9)
) -> tuple[Sensitivity, ...]:
    """Prune each layer alone to each rate and score the model, layer by layer in the model's order.

    Args:
        model: A model with Dense or Conv layers; it is not changed.
        score: A model's worth on validation data, such as accuracy or AUC: higher is better.
        rates: Shares of zeros, in (0, 1).

    Raises: ValueError for no rates, rates out of range, or a model with nothing to prune.
    """
    if not rates or not all(0 < rate < 1 for rate in rates):
        raise ValueError(f"sensitivity: rates must be in (0, 1), got {list(rates)}")
    trial = keras.models.clone_model(model)
    trial.set_weights(model.get_weights())
    whole = float(score(trial))
    rows = []
    for name, kernels in prunable_layers(trial).items():
        before = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
        for rate in rates:
            for kernel, values in zip(kernels, before):
                kernel.assign(values * magnitude_mask(values, rate))
            found = float(score(trial))
            rows.append(Sensitivity(name, sum(values.size for values in before), float(rate), found, whole - found))
        for kernel, values in zip(kernels, before):
            kernel.assign(values)
    return tuple(rows)


def layer_targets(rows: Sequence[Sensitivity], tolerance: float) -> dict[str, float]:
    """For each layer the highest rate up to which no scanned rate lost more than `tolerance`; for `micro.prune`.

    Layers that can spare nothing are left out.

    Raises: ValueError for a tolerance below 0, or where no layer can spare anything.
    """
    if not tolerance >= 0:
        raise ValueError(f"layer_targets: tolerance must be at least 0, got {tolerance}")
    found: dict[str, float] = {}
    stopped: set[str] = set()
    for row in sorted(rows, key=lambda row: row.sparsity):
        if row.lost > tolerance:
            stopped.add(row.layer)
        elif row.layer not in stopped:
            found[row.layer] = row.sparsity
    if not found:
        least = min(rows, key=lambda row: row.lost)
        raise ValueError(
            f"layer_targets: every layer loses more than {tolerance:g}; the least is {least.lost:g}, "
            f"{least.layer!r} at {least.sparsity:g}"
        )
    return {name: found[name] for name in dict.fromkeys(row.layer for row in rows) if name in found}
