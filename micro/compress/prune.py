"""Magnitude pruning of Keras 3 models while they train, on tfmot's schedules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_kd.layers import copied
from micro.compress.fine_tune import HeldKernels, fine_tuned, require_lessons
from micro.quantize.aware import Simulated

# A schedule of tfmot: step -> (whether to prune now, sparsity to reach).
Schedule = Callable[[int], tuple[Any, Any]]
# (weights, sparsity) -> True for the weights to keep.
Mask = Callable[[np.ndarray, float], np.ndarray]

# Depthwise kernels are left alone, as tfmot does: few weights, each of which a whole channel depends on.
PRUNED_KERNELS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (keras.layers.SeparableConv1D, ("pointwise_kernel",)),
    (keras.layers.SeparableConv2D, ("pointwise_kernel",)),
    (keras.layers.Dense, ("kernel",)),
    (keras.layers.Conv1D, ("kernel",)),
    (keras.layers.Conv2D, ("kernel",)),
    (keras.layers.Conv1DTranspose, ("kernel",)),
    (keras.layers.Conv2DTranspose, ("kernel",)),
)


class PruneWeights(HeldKernels):
    """Zero the smallest weights of a model as a schedule asks, and keep them zero, during any `fit` that trains it.

    Masks are set from magnitudes at the schedule's steps; between them they hold as constraints on the kernels, inside
    the training step. For use in `Distiller.fit` pass the student.

    Args:
        model: Model whose kernels are pruned; its Dense, Conv and pointwise kernels, nested models included.
        schedule: A schedule of tfmot, e.g. `polynomial_schedule(0.8, end_step=1000)`.
        layers: Names of the layers to prune; None for all.
        mask: Which weights to keep: `magnitude_mask`, or `pattern_mask(2, 4)`.

    Raises:
        ValueError: If a named layer is not in the model or has no kernel to prune.
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

    def on_train_begin(self, logs: Any = None) -> None:
        self._next = self._asked = 0
        self._masks = []
        super().on_train_begin(logs)

    def hold(self, kernel: keras.Variable, before: Any) -> Any:
        self._masks.append(keras.Variable(np.ones(kernel.shape, "float32"), trainable=False))
        return _Masked(self._masks[-1], before)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Keras calls this once for `steps_per_execution` steps, any of which may be one at which the schedule prunes. All of
        # them are asked beforehand: a mask set too late would leave zeros that no training step has seen.
        until = self._next + int(getattr(self.model, "steps_per_execution", 1) or 1)
        wanted = [sparsity for due, sparsity in map(self.schedule, range(self._asked, until)) if bool(due)]
        if wanted:
            self._prune(float(wanted[-1]))
        self._asked = until
        self._begun = batch
        super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
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
    """Keep weights that are zero at zero during any `fit`, as when a pruned model is trained on.

    Args:
        model: Model whose Dense, Conv and pointwise kernels have zeros to keep; for `Distiller.fit` pass the student.
        layers: Names of the layers; None for all.
    """

    def __init__(self, model: keras.Model, layers: Sequence[str] | None = None) -> None:
        super().__init__(prunable_kernels(model, layers))

    def hold(self, kernel: keras.Variable, before: Any) -> Any:
        kept = keras.ops.convert_to_numpy(kernel) != 0
        return _Masked(keras.Variable(kept.astype("float32"), trainable=False), before)


def prune(
    model: keras.Model,
    target_sparsity: float | Mapping[str, float] | None,
    x: Any,
    y: Any = None,
    *,
    pattern: tuple[int, int] | None = None,
    loss: Any = None,
    teacher: keras.Model | None = None,
    objectives: Sequence[Any] | None = None,
    hard_weight: float = 1.0,
    optimizer: Any = None,
    epochs: int = 4,
    batch_size: int = 32,
    schedule: Schedule | None = None,
    layers: Sequence[str] | None = None,
    verbose: int | str = 0,
) -> keras.Model:
    """A copy of the model, fine-tuned while its smallest weights go to zero; the model handed in is not changed.

    Args:
        target_sparsity: Share of each kernel that ends up zero, in [0, 1); or a share for each layer by name, as
            `layer_targets` gives them, the others left alone. None where a pattern says it.
        pattern: (n, m) for n zeros in every m weights in a row along the input channels, such as (2, 4).
        x, y: Training data, arrays; y may be None where a teacher gives the targets.
        loss: Loss on y, as for `compile`.
        teacher, objectives: Distil while pruning: objectives of `keras_kd`, compared with this teacher.
        hard_weight: Weight of `loss` beside the objectives.
        optimizer: As for `compile`; None for Adam at 1e-3.
        schedule: A schedule of tfmot; None ramps up over the first two thirds of the steps (PolynomialDecay).
        layers: Names of the layers to prune; None for all.

    Raises:
        ValueError: For a sparsity outside [0, 1), unknown layers, a pattern without zeros or without weights, or
            nothing to train on.
    """
    targets = _targets(model, target_sparsity, pattern, layers)
    require_lessons(y, loss, teacher, objectives, "pruning")

    def callbacks(copy: keras.Model, steps: int) -> list[keras.callbacks.Callback]:
        end = 2 * steps // 3
        ramp = polynomial_schedule if pattern is None else constant_schedule
        mask = None if pattern is None else pattern_mask(*pattern)
        return [
            PruneWeights(copy, schedule or ramp(target, end_step=end), names, mask=mask) for target, names in targets
        ]

    return fine_tuned(
        model,
        callbacks,
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


def _targets(
    model: keras.Model,
    target: float | Mapping[str, float] | None,
    pattern: tuple[int, int] | None,
    layers: Sequence[str] | None,
) -> list[tuple[float, Sequence[str] | None]]:
    """What share of which layers goes, checked."""
    if (target is None) == (pattern is None):
        raise ValueError("give either target_sparsity or a pattern")
    if pattern is not None:
        pattern_mask(*pattern)
        target = pattern[0] / pattern[1]
    assert target is not None
    if isinstance(target, Mapping):
        if layers is not None:
            raise ValueError("target_sparsity names the layers already; leave layers out")
        shares: list[tuple[float, Sequence[str] | None]] = [(share, [name]) for name, share in target.items()]
    else:
        shares = [(target, layers)]
    for share, names in shares:
        if not 0 <= share < 1:
            raise ValueError(
                f"target_sparsity must be in [0, 1), got {share}" + (f" for {names[0]!r}" if names else "")
            )
        prunable_kernels(model, names)
    return shares


def polynomial_schedule(target_sparsity: float, *, end_step: int, begin_step: int = 0) -> Schedule:
    """tfmot's PolynomialDecay from no zeros to the target, in about 50 prunings."""
    span = max(end_step - begin_step, 1)
    frequency = max(1, span // 50)
    # tfmot prunes at begin_step + k * frequency: the last of these must be the end, or the target is never reached.
    end = begin_step + -(-span // frequency) * frequency
    return _schedules().PolynomialDecay(0.0, target_sparsity, begin_step, end, frequency=frequency)


def constant_schedule(target_sparsity: float, *, end_step: int) -> Schedule:
    """tfmot's ConstantSparsity: the target from the first step on, masks set anew about 50 times until `end_step`."""
    return _schedules().ConstantSparsity(target_sparsity, 0, max(end_step, 0), frequency=max(1, end_step // 50))


def zeroed(model: keras.Model, sparsity: float | None, pattern: tuple[int, int] | None = None) -> keras.Model:
    """A copy whose smallest weights are zero at once, without training: as large as a pruned model, and no better."""
    copy = copied(model)
    mask = magnitude_mask if pattern is None else pattern_mask(*pattern)
    for kernel in prunable_kernels(copy):
        values = keras.ops.convert_to_numpy(kernel)
        kernel.assign(values * mask(values, sparsity or 0.0))
    return copy


def magnitude_mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
    """True for the weights to keep: the largest round(size * (1 - sparsity)), at least one, ties at the threshold kept.

    Source: Zhu and Gupta 2017; the same rule as tfmot's pruning_impl.
    """
    magnitudes = np.abs(weights)
    # All of it in float32, as tfmot counts: otherwise a half is rounded the other way.
    keep = max(int(np.round(np.float32(weights.size) * (np.float32(1.0) - np.float32(sparsity)))), 1)
    threshold = np.partition(magnitudes, weights.size - keep, axis=None)[weights.size - keep]
    return magnitudes >= threshold


def pattern_mask(zeros: int, of: int) -> Mask:
    """A mask that drops the `zeros` smallest of every `of` weights in a row along the input channels, as 2 of 4.

    In a .tflite these are neighbours: its last axis is the input channels. A rest that is shorter is filled up with zeros. The
    rule is that of tfmot's sparsity_m_by_n.

    Raises:
        ValueError: Unless 0 < zeros < of.

    Source: Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, section 3.
    """
    if not 0 < zeros < of:
        raise ValueError(f"pattern must be (zeros, of) with 0 < zeros < of, got ({zeros}, {of})")

    def mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
        rows = np.moveaxis(np.abs(weights), -2, -1)
        width = rows.shape[-1]
        padded = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -width % of)])
        blocks = padded.reshape(-1, of)
        kept = np.zeros(blocks.shape, bool)
        np.put_along_axis(kept, np.argsort(-blocks, axis=-1, kind="stable")[:, : of - zeros], True, axis=-1)
        return np.moveaxis(kept.reshape(padded.shape)[..., :width], -1, -2)

    return mask


def sparsity_of(model: keras.Model) -> float:
    """Share of zeros in the kernels that pruning would touch."""
    kernels = [keras.ops.convert_to_numpy(kernel) for kernel in prunable_kernels(model)]
    return float(sum((k == 0).sum() for k in kernels) / sum(k.size for k in kernels))


def prunable_kernels(model: keras.Model, layers: Sequence[str] | None = None) -> list[keras.Variable]:
    """Kernels of the model's Dense, Conv and pointwise layers, or of the named ones among them."""
    found = prunable_layers(model)
    unknown = [name for name in layers or () if name not in found]
    if unknown:
        raise ValueError(
            f"prune: layer {unknown[0]!r} has no kernel to prune in {model.name!r}; those that do: {', '.join(found)}"
        )
    kernels = [kernel for name, ks in found.items() if layers is None or name in layers for kernel in ks]
    if not kernels:
        raise ValueError(f"prune: model {model.name!r} has no Dense or Conv layer")
    return kernels


def prunable_layers(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """Every layer of the model that has kernels to prune, by name, nested models included.

    Those of a model from `quantize_aware` go by the names of the layers that they came from.
    """
    found: dict[str, list[keras.Variable]] = {}
    for name, kernels in _layer_kernels(model):
        found.setdefault(name, []).extend(kernels)
    return found


def _layer_kernels(model: keras.Model) -> Iterator[tuple[str, list[keras.Variable]]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layer_kernels(layer)
        name: str = layer.name
        if isinstance(layer, Simulated):
            if layer.kernel is not None and layer.node.op != "DEPTHWISE_CONV_2D":
                yield layer.node.source, [layer.kernel]
            continue
        for kind, kernels in PRUNED_KERNELS:
            if isinstance(layer, kind):
                yield name, [getattr(layer, kernel) for kernel in kernels]
                break


class _Masked:
    """A constraint that applies an earlier constraint, then the mask."""

    def __init__(self, mask: keras.Variable, before: Any) -> None:
        self.mask = mask
        self.before = before

    def __call__(self, kernel: Any) -> Any:
        value = kernel if self.before is None else self.before(kernel)
        return keras.ops.multiply(value, keras.ops.cast(self.mask, value.dtype))


def _schedules() -> Any:
    # tfmot switches the process to Keras 2 through this variable on import; nothing else here should see that.
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    try:
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule
    finally:
        if before is None:
            os.environ.pop("TF_USE_LEGACY_KERAS", None)
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return pruning_schedule
