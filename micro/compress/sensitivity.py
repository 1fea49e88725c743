"""What each layer can lose, one change at a time and without training: the score lost, and the flash, RAM and MACs saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import keras

from keras_kd.layers import copied
from micro.compress.masks import magnitude_mask
from micro.compress.pack import pack
from micro.compress.shrink import plan_shrink, shrink
from micro.keras_graph.calibration_data import Samples
from micro.keras_graph.kernels import prunable_layers
from micro.quantize.aware import quantize_aware
from micro.quantize.write import write_tflite
from micro.tflite.footprint import Footprint, measure

Change = Literal["zeros", "channels", "bits"]
Saving = Literal["flash_saved", "ram_saved", "macs_saved"]
Score = Callable[[keras.Model], float]


@dataclass(frozen=True)
class Sensitivity:
    """What one change of one layer does, all other layers as they are.

    Attributes:
        layer: The layer's name.
        change: 'zeros', weights set to zero; 'channels', channels removed, and with them those that are coupled to them;
            'bits', narrower weights.
        amount: The fraction of weights or of channels, in (0, 1), or the width in bits.
        weights: Number of weights in the layer's kernels.
        score: The score with the change.
        lost: How much lower that is than without the change, in the same arithmetic.
        flash_saved, ram_saved, macs_saved: Bytes and MACs by which the .tflite is smaller, measured in TFLite Micro. A zero
            saves nothing there; narrow weights are packed, which costs RAM.

    Examples:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, name="logits")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> row = micro.sensitivity(model, lambda candidate: 1.0, rates=(0.5,))[0]
        >>> row.layer, row.change, row.amount, row.lost
        ('hidden', 'zeros', 0.5, 0.0)
    """

    layer: str
    change: Change
    amount: float
    weights: int
    score: float
    lost: float
    flash_saved: int = 0
    ram_saved: int = 0
    macs_saved: int = 0


def sensitivity(
    model: keras.Model,
    score: Score,
    rates: Sequence[float] = (0.25, 0.5, 0.75, 0.9),
    *,
    channels: Sequence[float] = (),
    bits: Sequence[int] = (),
    calibration: Samples | None = None,
) -> tuple[Sensitivity, ...]:
    """Change each layer alone by each amount and score the model, layer by layer in the model's order.

    Args:
        model: A model with Dense or Conv layers; it is not changed.
        score: A model's worth on validation data, such as accuracy or AUC: higher is better.
        rates: Fractions of weights to set to zero, in (0, 1).
        channels: Fractions of channels to remove, in (0, 1).
        bits: Widths of weights, 2 to 7, compared with int8 quantized per tensor, packed where that pays.
        calibration: (n, *input) typical inputs, needed for channels and bits.

    Raises:
        ValueError: For amounts out of range or none, missing calibration data, or a model with nothing to change.

    Examples:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, name="logits")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> rows = micro.sensitivity(model, lambda candidate: 1.0, rates=(0.5, 0.9))
        >>> [(row.layer, row.amount) for row in rows]
        [('hidden', 0.5), ('hidden', 0.9), ('logits', 0.5), ('logits', 0.9)]

    Source: the scan of Han et al. 2015, Learning both Weights and Connections, section 3, https://arxiv.org/abs/1506.02626.
    """
    _require_amounts(rates, channels, bits)
    if (channels or bits) and calibration is None:
        raise ValueError("sensitivity: channels and bits need calibration data")
    rows = list(_zeros(model, score, rates))
    if calibration is not None:
        rows += [*_channels(model, score, channels, calibration), *_bits(model, score, bits, calibration)]
    order = list(prunable_layers(model))
    return tuple(sorted(rows, key=lambda row: order.index(row.layer)))


def _require_amounts(rates: Sequence[float], channels: Sequence[float], bits: Sequence[int]) -> None:
    for what, fractions in (("rates", rates), ("channels", channels)):
        if not all(0 < fraction < 1 for fraction in fractions):
            raise ValueError(f"sensitivity: {what} must be in (0, 1), got {list(fractions)}")
    if not all(2 <= width <= 7 for width in bits):
        raise ValueError(f"sensitivity: bits must be 2 to 7, got {list(bits)}")
    if not (rates or channels or bits):
        raise ValueError("sensitivity: nothing to try; give rates, channels or bits")


def layer_targets(rows: Sequence[Sensitivity], tolerance: float) -> dict[str, float]:
    """For each layer the highest sparsity up to which no scanned one lost more than `tolerance`; for `micro.prune`.

    Layers that cannot be pruned within the tolerance are left out.

    Args:
        rows: From `sensitivity` with `rates`.
        tolerance: The score that each layer may lose, at least 0.

    Returns: The target sparsity in (0, 1) by layer name.

    Raises:
        ValueError: For a tolerance below 0, no scanned zeros, or where no layer can be pruned.

    Examples:
        >>> lost = {0.5: 0.01, 0.75: 0.02, 0.9: 0.3}
        >>> rows = [micro.Sensitivity("conv", "zeros", rate, 64, 0.9 - loss, loss) for rate, loss in lost.items()]
        >>> micro.layer_targets(rows, tolerance=0.05)
        {'conv': 0.75}
    """
    if not tolerance >= 0:
        raise ValueError(f"layer_targets: tolerance must be at least 0, got {tolerance}")
    zeros = sorted((row for row in rows if row.change == "zeros"), key=lambda row: row.amount)
    if not zeros:
        raise ValueError("layer_targets: no zeros were scanned; give sensitivity rates")
    targets: dict[str, float] = {}
    stopped: set[str] = set()
    for row in zeros:
        if row.lost > tolerance:
            stopped.add(row.layer)
        elif row.layer not in stopped:
            targets[row.layer] = row.amount
    if not targets:
        least = min(zeros, key=lambda row: row.lost)
        raise ValueError(
            f"layer_targets: every layer loses more than {tolerance:g}; the least is {least.lost:g}, "
            f"{least.layer!r} at {least.amount:g}"
        )
    return {name: targets[name] for name in dict.fromkeys(row.layer for row in rows) if name in targets}


def pareto(rows: Sequence[Sensitivity], saved: Saving) -> list[Sensitivity]:
    """Changes that save something and that none beats in both score and saving, from the least saving to the most."""
    useful = [row for row in rows if getattr(row, saved) > 0]
    front: list[Sensitivity] = []
    for row in sorted(useful, key=lambda row: (-getattr(row, saved), row.lost)):
        if not front or row.lost < front[-1].lost:
            front.append(row)
    return front[::-1]


def _zeros(model: keras.Model, score: Score, rates: Sequence[float]) -> Iterator[Sensitivity]:
    trial = copied(model)
    full = float(score(trial)) if rates else 0.0
    for name, kernels in prunable_layers(trial).items():
        before = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
        size = sum(values.size for values in before)
        for rate in rates:
            for kernel, values in zip(kernels, before):
                kernel.assign(values * magnitude_mask(values, rate))
            reached = float(score(trial))
            yield Sensitivity(name, "zeros", float(rate), size, reached, full - reached)
        for kernel, values in zip(kernels, before):
            kernel.assign(values)


def _channels(
    model: keras.Model, score: Score, fractions: Sequence[float], calibration: Samples
) -> Iterator[Sensitivity]:
    if not fractions:
        return
    full, before = float(score(model)), _cost(model, calibration)
    sizes = _sizes(model)
    for name in plan_shrink(model, 0.0).widths:
        for fraction in fractions:
            small = shrink(model, fraction, layers=[name])
            reached, cost = float(score(small)), _cost(small, calibration)
            saved = _saved(before, cost)
            yield Sensitivity(name, "channels", float(fraction), sizes[name], reached, full - reached, *saved)


def _bits(model: keras.Model, score: Score, widths: Sequence[int], calibration: Samples) -> Iterator[Sensitivity]:
    if not widths:
        return
    aware = quantize_aware(model, calibration, weights="per_tensor")
    full, before = float(score(aware)), measure(pack(write_tflite(aware)))
    for name, size in _sizes(model).items():
        for width in widths:
            narrow = quantize_aware(model, calibration, weights="per_tensor", bits={name: width})
            reached, cost = float(score(narrow)), measure(pack(write_tflite(narrow)))
            yield Sensitivity(name, "bits", float(width), size, reached, full - reached, *_saved(before, cost))


def _sizes(model: keras.Model) -> dict[str, int]:
    """Number of weights in each layer's kernels."""
    return {
        name: sum(int(keras.ops.size(kernel)) for kernel in kernels) for name, kernels in prunable_layers(model).items()
    }


def _cost(model: keras.Model, calibration: Samples) -> Footprint:
    return measure(write_tflite(quantize_aware(model, calibration)))


def _saved(before: Footprint, after: Footprint) -> tuple[int, int, int]:
    """Bytes of flash, bytes of RAM and MACs."""
    return (
        before.model_bytes - after.model_bytes,
        before.arena_bytes_32bit - after.arena_bytes_32bit,
        before.macs - after.macs,
    )
