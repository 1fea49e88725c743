"""Structured pruning: whole channels, units and filters leave, and a smaller model is built of what stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_kd.layers import functional
from micro.keras_graph.channels import CONVOLUTIONS, DEPTHWISE, SEPARABLE, Channels, trace

Criterion = Literal["l1", "gamma", "taylor"]


@dataclass(frozen=True)
class ShrinkPlan:
    """Which channels leave: for each layer by name how many it makes and how many will stay; and why others cannot shrink.

    `removed` are the numbers of channels that leave, as `channels` counts them.
    """

    widths: dict[str, tuple[int, int]]
    left: dict[str, str]
    channels: Channels
    removed: frozenset[int]


def shrink(
    model: keras.Model,
    rate: float,
    *,
    criterion: Criterion = "l1",
    layers: Sequence[str] | None = None,
    x: Any = None,
    y: Any = None,
    loss: Any = None,
    steps: int = 1,
    fine_tune: Callable[[keras.Model], Any] | None = None,
) -> keras.Model:
    """A smaller model without the channels that matter least, its weights taken from the model, which is not changed.

    Channels that meet in Add, that are carried through depthwise convolutions, BatchNormalization, Concatenate or Flatten
    leave together. Input and outputs keep their shapes.

    Args:
        model: A built Functional or Sequential model.
        rate: Share of each layer's channels that leave, in [0, 1); at least one stays.
        criterion: 'l1', mean absolute weight of the kernels that make a channel; 'gamma', the scale of the
            BatchNormalization that it passes; 'taylor', squared weight times gradient, which needs x, y and loss.
        layers: Names of the layers to shrink, and with them all that stands and falls with them; None for all that can.
        x, y, loss: A few hundred examples, and the loss as for `compile`.
        steps: Shrink in so many rounds, each followed by `fine_tune`.
        fine_tune: Trains the model it is given, with or without a teacher.

    Raises:
        ValueError: For a rate outside [0, 1), unknown layers, named layers that cannot shrink, a criterion without
            what it needs.

    Source: l1, Li et al. 2017; gamma, Liu et al. 2017; taylor, Molchanov et al. 2019, equation 8; groups, Fang et al. 2023.
    """
    if steps < 1:
        raise ValueError(f"shrink: steps must be at least 1, got {steps}")
    for step in range(1, steps + 1):
        # What leaves in this round, as a share of what is still there.
        share = 1 - (1 - rate * step / steps) / (1 - rate * (step - 1) / steps)
        model = apply_shrink(model, plan_shrink(model, share, criterion=criterion, layers=layers, x=x, y=y, loss=loss))
        if fine_tune is not None:
            fine_tune(model)
    return model


def plan_shrink(
    model: keras.Model,
    rate: float,
    *,
    criterion: Criterion = "l1",
    layers: Sequence[str] | None = None,
    x: Any = None,
    y: Any = None,
    loss: Any = None,
) -> ShrinkPlan:
    """What `shrink` would do in one round, and which layers it leaves alone and why."""
    if not 0 <= rate < 1:
        raise ValueError(f"shrink: rate must be in [0, 1), got {rate}")
    if not getattr(model, "inputs", None):
        raise ValueError(f"shrink: {model.name!r} is no Functional or Sequential model with known inputs")
    channels = trace(model)
    left = {name: reason for name in channels.makers if (reason := _why_kept(channels, name))}
    chosen = _chosen(model, channels, left, layers)
    scores = _scores(model, channels, chosen, criterion, x, y, loss)
    removed: set[int] = set()
    for makers in _together(channels, chosen):
        made = [set(channels.groups(channels.given[name]).tolist()) for name in makers]
        groups = set().union(*made)
        wanted = int(rate * len(groups) + 1e-9)
        for group in sorted(groups - set(channels.kept), key=lambda group: (scores[group], group)):
            # Layers that meet in part only must not be emptied one for the other.
            if len(groups & removed) < wanted and all(stays - removed - {group} for stays in made):
                removed.add(group)
    widths = {}
    for name in chosen:
        leaves = np.isin(channels.groups(channels.given[name]), list(removed))
        widths[name] = (len(leaves), int(np.sum(~leaves)))
    return ShrinkPlan(widths, left, channels, frozenset(removed))


def apply_shrink(model: keras.Model, plan: ShrinkPlan) -> keras.Model:
    """The smaller model that a plan describes."""
    channels = plan.channels

    def staying(numbers: np.ndarray) -> np.ndarray:
        return ~np.isin(channels.groups(numbers), list(plan.removed))

    def smaller(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name in channels.given:
            width = int(staying(channels.given[layer.name]).sum())
            for key in ("units", "filters"):
                if layer.name in channels.makers and key in config:
                    config[key] = width
            if isinstance(layer, keras.layers.Reshape) and layer.name not in plan.left:
                config["target_shape"] = (*config["target_shape"][:-1], width)
        return type(layer).from_config(config)

    source = functional(model)
    small = keras.models.clone_model(source, clone_function=smaller)
    for layer in source.layers:
        if layer.weights:
            taken, given = staying(channels.taken[layer.name]), staying(channels.given[layer.name])
            small.get_layer(layer.name).set_weights(_sliced(layer, taken, given))
    return small


def _sliced(layer: keras.Layer, taken: np.ndarray, given: np.ndarray) -> list[np.ndarray]:
    """A layer's weights for the channels that stay."""
    weights = layer.get_weights()
    if isinstance(layer, keras.layers.BatchNormalization):
        return [weight[given] for weight in weights]
    if isinstance(layer, DEPTHWISE):
        return [weights[0][..., taken, :], *(bias[given] for bias in weights[1:])]
    if isinstance(layer, SEPARABLE):
        pointwise = weights[1][..., np.repeat(taken, layer.depth_multiplier), :][..., given]
        return [weights[0][..., taken, :], pointwise, *(bias[given] for bias in weights[2:])]
    if isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS)) and getattr(layer, "groups", 1) == 1:
        return [weights[0][..., taken, :][..., given], *(bias[given] for bias in weights[1:])]
    return weights


def _why_kept(channels: Channels, name: str) -> str | None:
    """Why no channel of a layer can leave, None where some can."""
    groups = channels.groups(channels.given[name])
    if all(int(group) in channels.kept for group in groups):
        return channels.kept[int(groups[0])]
    return None


def _chosen(model: keras.Model, channels: Channels, left: Mapping[str, str], layers: Sequence[str] | None) -> list[str]:
    able = [name for name in channels.makers if name not in left]
    for name in layers or ():
        if name in left:
            raise ValueError(f"shrink: layer {name!r} cannot shrink: what it makes {left[name]}")
        if name not in able:
            raise ValueError(
                f"shrink: layer {name!r} of {model.name!r} makes no channels; those that do: {', '.join(able)}"
            )
    if not able:
        reasons = "; ".join(f"{name!r}: what it makes {reason}" for name, reason in left.items())
        raise ValueError(f"shrink: nothing in {model.name!r} can shrink: {reasons or 'it has no Dense or Conv layer'}")
    if layers is None:
        return able
    return [name for makers in _together(channels, able) if set(makers) & set(layers) for name in makers]


def _together(channels: Channels, names: Sequence[str]) -> list[list[str]]:
    """Layers that share groups of channels, as those that meet in an Add."""
    sets: list[tuple[list[str], set[int]]] = []
    for name in names:
        groups = {int(group) for group in channels.groups(channels.given[name])}
        joined = [entry for entry in sets if entry[1] & groups]
        sets = [entry for entry in sets if not entry[1] & groups]
        sets.append(([n for entry in joined for n in entry[0]] + [name], groups.union(*(entry[1] for entry in joined))))
    return [names for names, _ in sets]


def _scores(
    model: keras.Model, channels: Channels, chosen: Sequence[str], criterion: str, x: Any, y: Any, loss: Any
) -> dict[int, float]:
    """What each group is worth: the sum over the layers that make or normalise it."""
    if criterion == "l1":
        worth = {name: _by_channel(np.abs(_kernel(model.get_layer(name))), np.mean) for name in chosen}
    elif criterion == "gamma":
        worth = {
            name: np.abs(keras.ops.convert_to_numpy(model.get_layer(name).gamma))
            for name in channels.norms
            if model.get_layer(name).scale
        }
    elif criterion == "taylor":
        worth = _taylor(model, chosen, x, y, loss)
    else:
        raise ValueError(f"shrink: criterion must be 'l1', 'gamma' or 'taylor', got {criterion!r}")
    scores: dict[int, float] = {}
    for name, values in worth.items():
        for group, value in zip(channels.groups(channels.given[name]), values, strict=True):
            scores[int(group)] = scores.get(int(group), 0.0) + float(value)
    for name in chosen:
        if any(int(group) not in scores for group in channels.groups(channels.given[name])):
            raise ValueError(
                f"shrink: criterion 'gamma' needs a BatchNormalization with scale after {name!r}; take 'l1'"
            )
    return scores


def _taylor(model: keras.Model, chosen: Sequence[str], x: Any, y: Any, loss: Any) -> dict[str, np.ndarray]:
    """(sum of weight times gradient)^2 for each channel, the mean over batches of 32."""
    if x is None or y is None or loss is None:
        raise ValueError("shrink: criterion 'taylor' needs x, y and loss")
    import tensorflow as tf

    compiled = keras.losses.get(loss)
    kernels = [_kernel_variable(model.get_layer(name)) for name in chosen]
    worth = {name: np.zeros(kernel.shape[-1]) for name, kernel in zip(chosen, kernels)}
    for start in range(0, len(x), 32):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(compiled(y[start : start + 32], model(x[start : start + 32], training=False)))
        gradients = tape.gradient(value, [kernel.value for kernel in kernels])
        for name, kernel, gradient in zip(chosen, kernels, gradients):
            product = keras.ops.convert_to_numpy(kernel) * keras.ops.convert_to_numpy(gradient)
            worth[name] += _by_channel(product, np.sum) ** 2
    return worth


def _by_channel(values: np.ndarray, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    return reduce(values.reshape(-1, values.shape[-1]), axis=0)


def _kernel_variable(layer: keras.Layer) -> keras.Variable:
    return layer.pointwise_kernel if isinstance(layer, SEPARABLE) else layer.kernel


def _kernel(layer: keras.Layer) -> np.ndarray:
    return keras.ops.convert_to_numpy(_kernel_variable(layer))
