"""What each layer can spare, one change at a time and without training: the score lost beside flash, RAM and MACs saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from keras_kd.layers import copied
from micro.compress.pack import pack
from micro.compress.prune import magnitude_mask, prunable_layers
from micro.compress.shrink import plan_shrink, shrink
from micro.quantize.aware import quantize_aware
from micro.quantize.write import write_tflite
from micro.tflite.footprint import Footprint, measure

Change = Literal["zeros", "channels", "bits"]
Score = Callable[[keras.Model], float]


@dataclass(frozen=True)
class Sensitivity:
    """One layer changed while all others stay as they are.

    `change` is 'zeros' (a share of weights), 'channels' (a share of those that the layer makes, and of what stands and falls
    with them) or 'bits' (width of its weights); `amount` how much of it. `lost` is how much less the score is than without
    the change, in the same arithmetic. Saved bytes and MACs are those of the .tflite, measured in TFLite Micro: a zero saves
    nothing there, narrow weights are packed and cost RAM. `weights` is the size of the layer's kernels.
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
    calibration: Any = None,
) -> tuple[Sensitivity, ...]:
    """Change each layer alone by each amount and score the model, layer by layer in the model's order.

    Args:
        model: A model with Dense or Conv layers; it is not changed.
        score: A model's worth on validation data, such as accuracy or AUC: higher is better.
        rates: Shares of zeros, in (0, 1).
        channels: Shares of channels that leave, in (0, 1).
        bits: Widths of weights, 2 to 7, against int8 with one scale for each kernel, packed where that pays.
        calibration: (n, *input) typical inputs, which channels and bits need.

    Raises:
        ValueError: For amounts out of range or none, missing calibration data, or a model with nothing to change.
    """
    for what, shares in (("rates", rates), ("channels", channels)):
        if not all(0 < share < 1 for share in shares):
            raise ValueError(f"sensitivity: {what} must be in (0, 1), got {list(shares)}")
    if not all(2 <= width <= 7 for width in bits):
        raise ValueError(f"sensitivity: bits must be 2 to 7, got {list(bits)}")
    if not (rates or channels or bits):
        raise ValueError("sensitivity: nothing to try; give rates, channels or bits")
    if (channels or bits) and calibration is None:
        raise ValueError("sensitivity: channels and bits need calibration data")
    rows = [*_zeros(model, score, rates), *_channels(model, score, channels, calibration)]
    rows += _bits(model, score, bits, calibration)
    order = list(prunable_layers(model))
    return tuple(sorted(rows, key=lambda row: order.index(row.layer)))


def layer_targets(rows: Sequence[Sensitivity], tolerance: float) -> dict[str, float]:
    """For each layer the highest share of zeros up to which no scanned share lost more than `tolerance`; for `micro.prune`.

    Layers that can spare nothing are left out.

    Raises:
        ValueError: For a tolerance below 0, no scanned zeros, or where no layer can spare anything.
    """
    if not tolerance >= 0:
        raise ValueError(f"layer_targets: tolerance must be at least 0, got {tolerance}")
    zeros = sorted((row for row in rows if row.change == "zeros"), key=lambda row: row.amount)
    if not zeros:
        raise ValueError("layer_targets: no shares of zeros were scanned; give sensitivity rates")
    found: dict[str, float] = {}
    stopped: set[str] = set()
    for row in zeros:
        if row.lost > tolerance:
            stopped.add(row.layer)
        elif row.layer not in stopped:
            found[row.layer] = row.amount
    if not found:
        least = min(zeros, key=lambda row: row.lost)
        raise ValueError(
            f"layer_targets: every layer loses more than {tolerance:g}; the least is {least.lost:g}, "
            f"{least.layer!r} at {least.amount:g}"
        )
    return {name: found[name] for name in dict.fromkeys(row.layer for row in rows) if name in found}


def pareto(rows: Sequence[Sensitivity], saved: Literal["flash_saved", "ram_saved", "macs_saved"]) -> list[Sensitivity]:
    """Changes that save something and that none beats in both score and saving, from the least saving to the most."""
    useful = [row for row in rows if getattr(row, saved) > 0]
    front: list[Sensitivity] = []
    for row in sorted(useful, key=lambda row: (-getattr(row, saved), row.lost)):
        if not front or row.lost < front[-1].lost:
            front.append(row)
    return front[::-1]


def _zeros(model: keras.Model, score: Score, rates: Sequence[float]) -> Iterator[Sensitivity]:
    trial = copied(model)
    whole = float(score(trial)) if rates else 0.0
    for name, kernels in prunable_layers(trial).items():
        before = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
        size = sum(values.size for values in before)
        for rate in rates:
            for kernel, values in zip(kernels, before):
                kernel.assign(values * magnitude_mask(values, rate))
            found = float(score(trial))
            yield Sensitivity(name, "zeros", float(rate), size, found, whole - found)
        for kernel, values in zip(kernels, before):
            kernel.assign(values)


def _channels(model: keras.Model, score: Score, shares: Sequence[float], calibration: Any) -> Iterator[Sensitivity]:
    if not shares:
        return
    whole, full = float(score(model)), _cost(model, calibration)
    sizes = _sizes(model)
    for name in plan_shrink(model, 0.0).widths:
        for share in shares:
            small = shrink(model, share, layers=[name])
            found, cost = float(score(small)), _cost(small, calibration)
            yield Sensitivity(name, "channels", float(share), sizes[name], found, whole - found, *_saved(full, cost))


def _bits(model: keras.Model, score: Score, widths: Sequence[int], calibration: Any) -> Iterator[Sensitivity]:
    if not widths:
        return
    aware = quantize_aware(model, calibration, weights="per_tensor")
    whole, full = float(score(aware)), measure(pack(write_tflite(aware)))
    for name, size in _sizes(model).items():
        for width in widths:
            narrow = quantize_aware(model, calibration, weights="per_tensor", bits={name: width})
            found, cost = float(score(narrow)), measure(pack(write_tflite(narrow)))
            yield Sensitivity(name, "bits", float(width), size, found, whole - found, *_saved(full, cost))


def _sizes(model: keras.Model) -> dict[str, int]:
    return {
        name: sum(int(keras.ops.size(kernel)) for kernel in kernels) for name, kernels in prunable_layers(model).items()
    }


def _cost(model: keras.Model, calibration: Any) -> Footprint:
    return measure(write_tflite(quantize_aware(model, calibration)))


def _saved(full: Footprint, cost: Footprint) -> tuple[int, int, int]:
    return (
        full.model_bytes - cost.model_bytes,
        full.arena_bytes_32bit - cost.arena_bytes_32bit,
        full.macs - cost.macs,
    )
