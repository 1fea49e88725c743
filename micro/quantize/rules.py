"""Which layers' kernels get which width and how many scales, as a list of rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from micro.quantize.program import Node

Granularity = Literal["auto", "per_channel", "per_tensor"]


@dataclass(frozen=True)
class Rule:
    """How the kernels of some layers are quantized; what it leaves None stays as earlier rules or the defaults have it.

    Args:
        pattern: A layer's name, or a pattern in which `*` is any text, `?` a letter and `[ab]` one of some: 'block_*'.
        bits: Width of the weights, 2 to 8.
        weights: 'per_channel', 'per_tensor' or 'auto'.

    Raises:
        ValueError: For a width or a choice of scales that does not exist.

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
        if self.weights is not None and self.weights not in get_args(Granularity):
            raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {self.weights!r}")
        if self.bits is not None and not 2 <= self.bits <= 8:
            # A pattern that takes all layers is the caller's one number for all of them.
            raise ValueError(
                f"bits must be 2 to 8, got {self.bits}" + (f" for {self.pattern!r}" * (self.pattern != "*"))
            )

    def matches(self, name: str) -> bool:
        """Whether a layer of that name is one of those; a name is taken letter by letter before it is read as a pattern."""
        return name == self.pattern or fnmatchcase(name, self.pattern)


def rules_from(
    weights: Granularity | Mapping[str, Granularity], bits: int | Mapping[str, int], rules: Sequence[Rule]
) -> tuple[Rule, ...]:
    """The rules that two settings for all layers, or by layer, stand for; `rules` come after them.

    Raises:
        ValueError: As `Rule`.
    """
    widths = bits.items() if isinstance(bits, Mapping) else [("*", bits)]
    scales = weights.items() if isinstance(weights, Mapping) else [("*", weights)]
    own = [Rule(name, bits=int(width)) for name, width in widths]
    return (*own, *(Rule(name, weights=choice) for name, choice in scales), *rules)


def with_rules(nodes: Iterable[Node], rules: Sequence[Rule]) -> tuple[Node, ...]:
    """The nodes, with the width and the scales of each kernel; of several rules that set one thing, the last counts.

    Raises:
        ValueError: For a rule that no layer with a kernel matches.
    """
    nodes = tuple(nodes)
    known = list(dict.fromkeys(node.source for node in nodes if node.kernel))
    for rule in rules:
        if rule.pattern != "*" and not any(rule.matches(name) for name in known):
            what = "bits" if rule.weights is None else "weights" if rule.bits is None else "rules"
            raise ValueError(f"{what}: no layer {rule.pattern!r} with a kernel; there are: {', '.join(known)}")
    return tuple(_ruled(node, rules) if node.kernel else node for node in nodes)


def _ruled(node: Node, rules: Sequence[Rule]) -> Node:
    """The node as the rules have it; 'auto' is per channel for 8-bit convolutions alone."""
    matching = [rule for rule in rules if rule.matches(node.source)]
    bits = next((rule.bits for rule in reversed(matching) if rule.bits is not None), 8)
    weights = next((rule.weights for rule in reversed(matching) if rule.weights is not None), "auto")
    automatic = node.op != "FULLY_CONNECTED" and bits == 8
    return dataclasses.replace(
        node, bits=bits, per_channel=automatic if weights == "auto" else weights == "per_channel"
    )
