"""Structured pruning: whole channels, units and filters are removed, and a smaller model is built of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from keras_kd.layers import functional
from micro.compress.fine_tune import Loss
from micro.keras_graph.channels import CONVOLUTIONS, DEPTHWISE, SEPARABLE, Channels, trace

Criterion = Literal["l1", "gamma", "taylor"]
# Examples in one batch of the criterion 'taylor'.
BATCH = 32


@dataclass(frozen=True)
class ShrinkPlan:
    """Which channels `shrink` removes.

    Attributes:
        widths: For each layer that shrinks, by name, how many channels it has and how many it keeps.
        left: For each layer that cannot shrink, by name, why.
        channels: The model's channels by number, and which of them can only be removed together.
        removed: Numbers of the groups of channels that are removed, as `channels.groups` gives them.

    Examples:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, name="logits")]
        >>> plan = micro.plan_shrink(keras.Sequential([keras.Input((4,)), *layers]), 0.5)
        >>> plan.left
        {'logits': 'makes an output of the model'}
        >>> len(plan.removed)
        4
    """

    widths: dict[str, tuple[int, int]]
    left: dict[str, str]
    channels: Channels
    removed: frozenset[int]

    def remaining(self, channels: np.ndarray) -> np.ndarray:
        """For each channel by number whether it stays, bool."""
        return ~np.isin(self.channels.groups(channels), list(self.removed))


@dataclass(frozen=True)
class _Ranking:
    """How channels are compared, and on what."""

    criterion: Criterion
    x: np.ndarray | None
    y: np.ndarray | None
    loss: Loss | None


def shrink(
    model: keras.Model,
    rate: float,
    *,
    criterion: Criterion = "l1",
    layers: Sequence[str] | None = None,
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
    loss: Loss | None = None,
    steps: int = 1,
    fine_tune: Callable[[keras.Model], object] | None = None,
) -> keras.Model:
    """A smaller model without the channels that matter least, its weights taken from the model, which is not changed.

    Channels that meet in Add, or that depthwise convolutions, BatchNormalization, Concatenate or Flatten pass on, are removed
    together. Input and outputs keep their shapes.

    Args:
        model: A built Functional or Sequential model.
        rate: Fraction of each layer's channels to remove, in [0, 1); at least one stays.
        criterion: 'l1', mean absolute weight of the kernels that make a channel; 'gamma', the scale of the
            BatchNormalization that it passes; 'taylor', squared weight times gradient, which needs x, y and loss.
        layers: Names of the layers to shrink, and with them all that are coupled to them; None for all that can.
        x, y, loss: A few hundred examples, (n, *input) and (n, *target), and the loss as for `compile`.
        steps: Number of rounds to shrink in, each followed by `fine_tune`.
        fine_tune: Trains the model it is given, with or without a teacher.

    Raises:
        ValueError: For a rate outside [0, 1), unknown layers, named layers that cannot shrink, a criterion without
            what it needs.

    Examples:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)]
        >>> micro.shrink(keras.Sequential([keras.Input((4,)), *layers]), 0.75).get_layer("hidden").units
        2

    Source: l1, Li et al. 2017, https://arxiv.org/abs/1608.08710; gamma, Liu et al. 2017, https://arxiv.org/abs/1708.06519;
    taylor, Molchanov et al. 2019, equation 8, https://arxiv.org/abs/1906.10771; groups of coupled channels, Fang et al. 2023,
    https://arxiv.org/abs/2301.12900.
    """
    if steps < 1:
        raise ValueError(f"shrink: steps must be at least 1, got {steps}")
    for step in range(1, steps + 1):
        # The rate of this round, as a fraction of the channels that are still there.
        now = 1 - (1 - rate * step / steps) / (1 - rate * (step - 1) / steps)
        model = apply_shrink(model, plan_shrink(model, now, criterion=criterion, layers=layers, x=x, y=y, loss=loss))
        if fine_tune is not None:
            fine_tune(model)
    return model


def plan_shrink(
    model: keras.Model,
    rate: float,
    *,
    criterion: Criterion = "l1",
    layers: Sequence[str] | None = None,
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
    loss: Loss | None = None,
) -> ShrinkPlan:
    """What `shrink` would do in one round, and which layers it cannot shrink and why.

    Args:
        model, rate, criterion, layers, x, y, loss: As for `shrink`.

    Raises:
        ValueError: As `shrink`.

    Examples:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, name="logits")]
        >>> micro.plan_shrink(keras.Sequential([keras.Input((4,)), *layers]), 0.5).widths
        {'hidden': (8, 4)}
    """
    if not 0 <= rate < 1:
        raise ValueError(f"shrink: rate must be in [0, 1), got {rate}")
    if not getattr(model, "inputs", None):
        raise ValueError(f"shrink: {model.name!r} is no Functional or Sequential model with known inputs")
    channels = trace(model)
    left = {name: reason for name in channels.makers if (reason := _why_kept(channels, name))}
    chosen = _chosen(model, channels, left, layers)
    scores = _scores(model, channels, chosen, _Ranking(criterion, x, y, loss))
    plan = ShrinkPlan({}, left, channels, _removed(channels, chosen, scores, rate))
    for name in chosen:
        stays = plan.remaining(channels.outputs[name])
        plan.widths[name] = (len(stays), int(np.sum(stays)))
    return plan


def apply_shrink(model: keras.Model, plan: ShrinkPlan) -> keras.Model:
    """The smaller model that a plan describes."""
    channels = plan.channels

    def smaller(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name in channels.outputs:
            width = int(plan.remaining(channels.outputs[layer.name]).sum())
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
            inputs, outputs = (plan.remaining(side[layer.name]) for side in (channels.inputs, channels.outputs))
            small.get_layer(layer.name).set_weights(_sliced(layer, inputs, outputs))
    return small


def _removed(channels: Channels, chosen: Sequence[str], scores: Mapping[int, float], rate: float) -> frozenset[int]:
    """The groups that are worth least, `rate` of those of each set of coupled layers."""
    removed: set[int] = set()
    for makers in _coupled(channels, chosen):
        made = [set(channels.groups_made(name).tolist()) for name in makers]
        groups = set().union(*made)
        wanted = int(rate * len(groups) + 1e-9)
        for group in sorted(groups - set(channels.kept), key=lambda group: (scores[group], group)):
            # Layers that meet in part only must not be emptied one for the other.
            if len(groups & removed) < wanted and all(stays - removed - {group} for stays in made):
                removed.add(group)
    return frozenset(removed)


def _sliced(layer: keras.Layer, inputs: np.ndarray, outputs: np.ndarray) -> list[np.ndarray]:
    """A layer's weights for the channels that stay."""
    weights = layer.get_weights()
    if isinstance(layer, keras.layers.BatchNormalization):
        return [weight[outputs] for weight in weights]
    if isinstance(layer, DEPTHWISE):
        return [weights[0][..., inputs, :], *(bias[outputs] for bias in weights[1:])]
    if isinstance(layer, SEPARABLE):
        pointwise = weights[1][..., np.repeat(inputs, layer.depth_multiplier), :][..., outputs]
        return [weights[0][..., inputs, :], pointwise, *(bias[outputs] for bias in weights[2:])]
    if isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS)) and getattr(layer, "groups", 1) == 1:
        return [weights[0][..., inputs, :][..., outputs], *(bias[outputs] for bias in weights[1:])]
    return weights


def _why_kept(channels: Channels, name: str) -> str | None:
    """Why no channel of a layer can be removed, None where some can."""
    groups = channels.groups_made(name).tolist()
    return channels.kept[groups[0]] if all(group in channels.kept for group in groups) else None


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
    named = set(layers)
    return [name for makers in _coupled(channels, able) if named.intersection(makers) for name in makers]


def _coupled(channels: Channels, names: Sequence[str]) -> list[list[str]]:
    """The layers, in sets of those that share groups of channels, as those that meet in an Add."""
    sets = DisjointSet(names)
    makers: dict[int, str] = {}
    for name in names:
        for group in channels.groups_made(name).tolist():
            sets.merge(makers.setdefault(group, name), name)
    return [sorted(layers, key=names.index) for layers in sets.subsets()]


def _scores(model: keras.Model, channels: Channels, chosen: Sequence[str], ranking: _Ranking) -> dict[int, float]:
    """What each group is worth: the sum over the layers that make or normalize it."""
    scores: dict[int, float] = {}
    for name, values in _worth(model, channels, chosen, ranking).items():
        for group, value in zip(channels.groups_made(name).tolist(), values, strict=True):
            scores[group] = scores.get(group, 0.0) + float(value)
    for name in chosen:
        if any(group not in scores for group in channels.groups_made(name).tolist()):
            raise ValueError(
                f"shrink: criterion 'gamma' needs a BatchNormalization with scale after {name!r}; use 'l1'"
            )
    return scores


def _worth(model: keras.Model, channels: Channels, chosen: Sequence[str], ranking: _Ranking) -> dict[str, np.ndarray]:
    """What each channel of a layer is worth, (channels,), by the layer's name."""
    if ranking.criterion == "l1":
        kernels = {name: keras.ops.convert_to_numpy(_kernel(model.get_layer(name))) for name in chosen}
        return {name: _by_channel(np.abs(kernel), np.mean) for name, kernel in kernels.items()}
    if ranking.criterion == "gamma":
        norms = {name: model.get_layer(name) for name in channels.norms}
        return {name: np.abs(keras.ops.convert_to_numpy(norm.gamma)) for name, norm in norms.items() if norm.scale}
    if ranking.criterion == "taylor":
        return _taylor(model, chosen, ranking)
    raise ValueError(f"shrink: criterion must be 'l1', 'gamma' or 'taylor', got {ranking.criterion!r}")


def _taylor(model: keras.Model, chosen: Sequence[str], ranking: _Ranking) -> dict[str, np.ndarray]:
    """(sum of weight times gradient)^2 for each channel, summed over batches."""
    x, y = ranking.x, ranking.y
    if x is None or y is None or ranking.loss is None:
        raise ValueError("shrink: criterion 'taylor' needs x, y and loss")
    import tensorflow as tf

    loss = keras.losses.get(ranking.loss)
    kernels = [_kernel(model.get_layer(name)) for name in chosen]
    worth = {name: np.zeros(kernel.shape[-1]) for name, kernel in zip(chosen, kernels)}
    for start in range(0, len(x), BATCH):
        batch = slice(start, start + BATCH)
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(y[batch], model(x[batch], training=False)))
        gradients = tape.gradient(value, [kernel.value for kernel in kernels])
        for name, kernel, gradient in zip(chosen, kernels, gradients):
            product = keras.ops.convert_to_numpy(kernel) * keras.ops.convert_to_numpy(gradient)
            worth[name] += _by_channel(product, np.sum) ** 2
    return worth


def _by_channel(values: np.ndarray, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    return reduce(values.reshape(-1, values.shape[-1]), axis=0)


def _kernel(layer: keras.Layer) -> keras.Variable:
    return layer.pointwise_kernel if isinstance(layer, SEPARABLE) else layer.kernel
