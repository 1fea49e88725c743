"""Magnitude pruning of Keras 3 models while they train, on tfmot's schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

import keras_kd
from keras_kd.layers import copied
from micro.compress.fine_tune import Constraint, FineTuning, HeldKernels, Loss
from micro.compress.masks import Mask, magnitude_mask, pattern_mask
from micro.compress.schedules import Schedule, constant_schedule, polynomial_schedule
from micro.keras_graph.kernels import prunable_kernels


class PruneWeights(HeldKernels):
    """Set the smallest weights of a model to zero as a schedule asks, and keep them there, during any `fit` that trains it.

    Masks are set from magnitudes at the schedule's steps; between them they hold as constraints on the kernels, inside
    the training step. For use in `Distiller.fit` pass the student.

    Args:
        model: Model whose kernels are pruned: those of its Dense, Conv and pointwise layers, nested models included.
        schedule: A schedule of tfmot: it maps a step to whether to prune then, and to which sparsity in [0, 1).
        layers: Names of the layers to prune; None for all.
        mask: Maps weights and a sparsity to True for the weights to keep; None keeps the largest.

    Raises:
        ValueError: If a named layer is not in the model or has no kernel to prune.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
        >>> model.compile("sgd", "mse")
        >>> half = micro.PruneWeights(model, lambda step: (step == 0, 0.5))
        >>> _ = model.fit(np.ones((8, 4)), np.ones((8, 8)), callbacks=[half], verbose=0)
        >>> int(np.sum(model.layers[0].get_weights()[0] == 0))
        16

    Source: Zhu and Gupta 2017, To Prune, or Not to Prune, https://arxiv.org/abs/1710.01878.
    """

    def __init__(
        self,
        model: keras.Model,
        schedule: Schedule,
        layers: Sequence[str] | None = None,
        *,
        mask: Mask | None = None,
    ) -> None:
        super().__init__(prunable_kernels(model, layers))
        self.schedule = schedule
        self.mask = mask or magnitude_mask
        self._masks: list[keras.Variable] = []
        self._next = self._asked = self._begun = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._next = self._asked = 0
        self._masks = []
        super().on_train_begin(logs)

    def hold(self, kernel: keras.Variable, before: Constraint | None) -> Constraint:
        self._masks.append(keras.Variable(np.ones(kernel.shape, "float32"), trainable=False))
        return _masked(self._masks[-1], before)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Keras calls this once for `steps_per_execution` steps, any of which may be one at which the schedule prunes. All of
        # them are asked beforehand: a mask set too late would leave zeros that no training step has seen.
        until = self._next + int(getattr(self.model, "steps_per_execution", 1) or 1)
        due = [sparsity for prunes, sparsity in map(self.schedule, range(self._asked, until)) if bool(prunes)]
        if due:
            self._prune(float(due[-1]))
        self._asked = until
        self._begun = batch
        super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # An execution at the end of an epoch may hold fewer steps.
        self._next += batch - self._begun + 1
        super().on_train_batch_end(batch, logs)

    def _prune(self, sparsity: float) -> None:
        for kernel, mask in zip(self.kernels, self._masks):
            values = keras.ops.convert_to_numpy(kernel)
            kept = self.mask(values, sparsity)
            mask.assign(kept.astype("float32"))
            kernel.assign(values * kept)


class KeepZeros(HeldKernels):
    """Keep weights that are zero at zero during any `fit`, as when a pruned model is trained further.

    Args:
        model: Model whose Dense, Conv and pointwise kernels have zeros to keep; for `Distiller.fit` pass the student.
        layers: Names of the layers; None for all.

    Raises:
        ValueError: If a named layer is not in the model or has no kernel to prune.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, use_bias=False)])
        >>> model.set_weights([np.eye(4, 2)])
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit(np.ones((8, 4)), np.ones((8, 2)), callbacks=[micro.KeepZeros(model)], verbose=0)
        >>> int(np.sum(model.layers[0].get_weights()[0] == 0))
        6
    """

    def __init__(self, model: keras.Model, layers: Sequence[str] | None = None) -> None:
        super().__init__(prunable_kernels(model, layers))

    def hold(self, kernel: keras.Variable, before: Constraint | None) -> Constraint:
        kept = keras.ops.convert_to_numpy(kernel) != 0
        return _masked(keras.Variable(kept.astype("float32"), trainable=False), before)


def prune(
    model: keras.Model,
    target_sparsity: float | Mapping[str, float] | None,
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    pattern: tuple[int, int] | None = None,
    loss: Loss | None = None,
    teacher: keras.Model | None = None,
    objectives: Sequence[keras_kd.Objective] | None = None,
    hard_weight: float = 1.0,
    optimizer: str | keras.optimizers.Optimizer | None = None,
    epochs: int = 4,
    batch_size: int = 32,
    schedule: Schedule | None = None,
    layers: Sequence[str] | None = None,
    verbose: int | str = 0,
) -> keras.Model:
    """A copy of the model, fine-tuned while its smallest weights are set to zero; the model passed in is not changed.

    Args:
        target_sparsity: Fraction of each kernel that ends up zero, in [0, 1); or a fraction for each layer by name, as
            `layer_targets` gives them: other layers are not pruned. None where a pattern is given.
        pattern: (n, m) for n zeros in every m neighbors along the input channels, such as (2, 4).
        x, y: Training data, (n, *input) and (n, *target); y may be None where a teacher gives the targets.
        loss: Loss on y, as for `compile`.
        teacher, objectives: Distill while pruning: objectives of `keras_kd`, compared with this teacher.
        hard_weight: Weight of `loss` next to the objectives.
        optimizer: As for `compile`; None for Adam at 1e-3.
        schedule: A schedule of tfmot; None ramps up over the first two thirds of the steps (PolynomialDecay).
        layers: Names of the layers to prune; None for all.

    Raises:
        ValueError: For a sparsity outside [0, 1), unknown layers, a pattern without zeros or without weights, or
            nothing to train on.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
        >>> sparse = micro.prune(model, 0.75, np.ones((8, 4)), np.ones((8, 8)), loss="mse")
        >>> int(np.sum(sparse.layers[-1].get_weights()[0] == 0))
        24

    Source: Zhu and Gupta 2017, To Prune, or Not to Prune, https://arxiv.org/abs/1710.01878.
    """
    tuning = FineTuning(x, y, loss, teacher, objectives, hard_weight, optimizer, epochs, batch_size, verbose)
    return prune_with(tuning, model, target_sparsity, pattern=pattern, schedule=schedule, layers=layers)


def prune_with(
    tuning: FineTuning,
    model: keras.Model,
    target_sparsity: float | Mapping[str, float] | None,
    *,
    pattern: tuple[int, int] | None = None,
    schedule: Schedule | None = None,
    layers: Sequence[str] | None = None,
) -> keras.Model:
    """`prune`, with the arguments of training in one object."""
    targets = _targets(model, target_sparsity, pattern, layers)
    tuning.require_targets("pruning")
    ramp = polynomial_schedule if pattern is None else constant_schedule
    mask = None if pattern is None else pattern_mask(*pattern)
    end = 2 * tuning.steps // 3

    def callbacks(copy: keras.Model) -> list[keras.callbacks.Callback]:
        return [
            PruneWeights(copy, schedule or ramp(sparsity, end_step=end), names, mask=mask)
            for names, sparsity in targets
        ]

    return tuning.train_copy(model, callbacks)


# Layers by name, None for all, and the sparsity that they are brought to.
_Target = tuple[Sequence[str] | None, float]


def _targets(
    model: keras.Model,
    target: float | Mapping[str, float] | None,
    pattern: tuple[int, int] | None,
    layers: Sequence[str] | None,
) -> list[_Target]:
    """Which layers are brought to which sparsity, checked."""
    if (target is None) == (pattern is None):
        raise ValueError("give either target_sparsity or a pattern")
    if pattern is not None:
        pattern_mask(*pattern)
        target = pattern[0] / pattern[1]
    assert target is not None
    if isinstance(target, Mapping):
        if layers is not None:
            raise ValueError("target_sparsity names the layers already; leave layers out")
        targets: list[_Target] = [([name], sparsity) for name, sparsity in target.items()]
    else:
        targets = [(layers, target)]
    for names, sparsity in targets:
        if not 0 <= sparsity < 1:
            raise ValueError(
                f"target_sparsity must be in [0, 1), got {sparsity}" + (f" for {names[0]!r}" if names else "")
            )
        prunable_kernels(model, names)
    return targets


def zeroed(model: keras.Model, sparsity: float | None, pattern: tuple[int, int] | None = None) -> keras.Model:
    """A copy whose smallest weights are zero at once, without training: as large as a pruned model, and no better."""
    copy = copied(model)
    mask = magnitude_mask if pattern is None else pattern_mask(*pattern)
    for kernel in prunable_kernels(copy):
        values = keras.ops.convert_to_numpy(kernel)
        kernel.assign(values * mask(values, sparsity or 0.0))
    return copy


def sparsity_of(model: keras.Model) -> float:
    """Fraction of zeros in the kernels that pruning would touch."""
    kernels = [keras.ops.convert_to_numpy(kernel) for kernel in prunable_kernels(model)]
    return float(sum((k == 0).sum() for k in kernels) / sum(k.size for k in kernels))


def _masked(mask: keras.Variable, before: Constraint | None) -> Constraint:
    """A constraint that applies an earlier constraint, then the mask."""

    def constrain(kernel: Any) -> Any:
        value = kernel if before is None else before(kernel)
        return keras.ops.multiply(value, keras.ops.cast(mask, value.dtype))

    return constrain
