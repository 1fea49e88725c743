"""Which layers' kernels get which width and how many scales, as a list of rules."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from micro.quantize.gate_scales import LSTM, RECURRENT
from micro.quantize.program import Node

Granularity = Literal["auto", "per_channel", "per_tensor"]


@dataclass(frozen=True)
class Rule:
    """How the kernels of some layers are quantized; what it leaves None stays as earlier rules or the defaults have it.

    Args:
        pattern: A layer's name, or a pattern in which `*` is any text, `?` any one character and `[ab]` one of some: 'block_*'.
        bits: Width of the weights, 2 to 8.
        weights: 'per_channel', 'per_tensor' or 'auto'.

    Raises:
        ValueError: For a width or a choice of scales that does not exist, and for a rule that sets neither.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> hidden = [keras.layers.Dense(8, "relu", name=f"hidden_{k}") for k in range(2)]
        >>> model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(2, name="logits")])
        >>> rules = [micro.Rule("*", bits=4), micro.Rule("logits", bits=8, weights="per_channel")]
        >>> [node.bits for node in micro.quantize_aware(model, x, rules=rules).program.nodes]
        [4, 4, 8]
    """

    pattern: str
    bits: int | None = None
    weights: Granularity | None = None

    def __post_init__(self) -> None:
        if self.bits is None and self.weights is None:
            raise ValueError(f"a rule sets bits, weights or both; that for {self.pattern!r} sets neither")
        if self.weights is not None:
            _require_granularity(self.weights)
        if self.bits is not None:
            # A plain int, as it is saved with the model; one of NumPy's becomes one.
            object.__setattr__(self, "bits", _width(self.bits, f" for {self.pattern!r}"))


def with_rules(
    nodes: Iterable[Node],
    weights: Granularity | Mapping[str, Granularity],
    bits: int | Mapping[str, int],
    rules: Sequence[Rule],
) -> tuple[Node, ...]:
    """The nodes, each kernel with its width and scales: from `weights` and `bits`, for all or by layer, and rules over them.

    Raises:
        ValueError: For a layer or a pattern that no layer with a kernel has, and widths or scales that do not exist.
    """
    nodes = tuple(nodes)
    known = list(dict.fromkeys(node.source for node in nodes if node.kernel))
    for what, choice in (("weights", weights), ("bits", bits)):
        for name in choice if isinstance(choice, Mapping) else ():
            if name not in known:
                raise ValueError(f"{what}: no layer {name!r} with a kernel; there are: {', '.join(known)}")
    for rule in rules:
        if not any(fnmatchcase(name, rule.pattern) for name in known):
            raise ValueError(f"rules: no layer {rule.pattern!r} with a kernel; there are: {', '.join(known)}")
    of_layer = {name: [rule for rule in rules if fnmatchcase(name, rule.pattern)] for name in known}
    return tuple(_ruled(node, weights, bits, of_layer[node.source]) if node.kernel else node for node in nodes)


def _ruled(
    node: Node,
    weights: Granularity | Mapping[str, Granularity],
    bits: int | Mapping[str, int],
    rules: Sequence[Rule],
) -> Node:
    """The node as asked for; 'auto' is per channel for 8-bit convolutions alone."""
    scales = weights.get(node.source, "auto") if isinstance(weights, Mapping) else weights
    _require_granularity(scales)
    width = bits.get(node.source, 8) if isinstance(bits, Mapping) else bits
    width = _width(width, f" for {node.source!r}" if isinstance(bits, Mapping) else "")
    for rule in rules:
        scales, width = rule.weights or scales, rule.bits or width
    if node.op in RECURRENT:
        # Each gate has two scales, and TFLite Micro's LSTM takes no others.
        if isinstance(weights, Mapping) and weights.get(node.source) == "per_channel":
            raise ValueError(
                f"weights: {node.source!r} is {'an LSTM' if node.op == LSTM else 'a GRU'}, in which each gate has one scale; "
                "leave it out"
            )
        return dataclasses.replace(node, bits=width)
    automatic = node.op != "FULLY_CONNECTED" and width == 8
    return dataclasses.replace(node, bits=width, per_channel=automatic if scales == "auto" else scales == "per_channel")


def _require_granularity(weights: str) -> None:
    if weights not in get_args(Granularity):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {weights!r}")


def _width(bits: int, what: str) -> int:
    """The width as a plain int; ValueError for one that there is not."""
    try:
        width = operator.index(bits)
    except TypeError:
        raise ValueError(f"bits must be an integer from 2 to 8, got {bits!r}{what}") from None
    if not 2 <= width <= 8:
        raise ValueError(f"bits must be 2 to 8, got {bits}{what}")
    return width
