"""Whether a .tflite fits a board, and if not, what breaks the budget."""

from __future__ import annotations

from dataclasses import dataclass

from micro.cost import parse_bytes
from micro.graph import TfliteLike
from micro.tflm import Footprint, measure


@dataclass(frozen=True)
class Check:
    """A model beside a budget; `broken` says in a sentence each what does not fit, and is empty where all does."""

    footprint: Footprint
    flash: int | None
    ram: int | None
    broken: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken


def check(tflite: TfliteLike, *, flash: str | int | None = None, ram: str | int | None = None) -> Check:
    """Hold a .tflite against a budget of flash for the model's bytes and of RAM for its tensor arena.

    Args:
        flash, ram: Bytes, or a size such as '64KiB'; None does not limit. RAM is compared with `arena_bytes_32bit`.

    Raises:
        ValueError: For sizes that do not parse or no budget at all; as `measure` for models that do not run.
    """
    budgets = {"flash": _bytes(flash, "flash"), "ram": _bytes(ram, "ram")}
    if budgets["flash"] is None and budgets["ram"] is None:
        raise ValueError("check: give a budget, flash or ram or both")
    footprint = measure(tflite)
    broken = []
    if budgets["flash"] is not None and footprint.model_bytes > budgets["flash"]:
        broken.append(_flash_sentence(footprint, budgets["flash"]))
    if budgets["ram"] is not None and footprint.arena_bytes_32bit > budgets["ram"]:
        broken.append(_ram_sentence(footprint, budgets["ram"]))
    return Check(footprint, budgets["flash"], budgets["ram"], tuple(broken))


def _flash_sentence(footprint: Footprint, budget: int) -> str:
    largest = max(footprint.layers, key=lambda layer: layer.weight_bytes)
    parts = footprint.flash
    return (
        f"flash: the model takes {footprint.model_bytes:,} bytes, {footprint.model_bytes - budget:,} over {budget:,} "
        f"(weights {parts.weights:,}, quantization {parts.quantization:,}, graph {parts.graph:,}); most weights: "
        f"{largest.op} {_short(largest.name)} with {largest.weight_bytes:,} bytes"
    )


def _ram_sentence(footprint: Footprint, budget: int) -> str:
    peak = max(footprint.layers, key=lambda layer: layer.held_bytes)
    total, activations = footprint.arena_bytes_32bit, footprint.activation_bytes
    sentence = (
        f"ram: the arena takes {total:,} bytes, {total - budget:,} over {budget:,} (activations {activations:,}, "
        f"kept for the model's life {total - activations:,})"
    )
    held = ", ".join(map(_short, peak.held))
    if activations > total - activations:
        return f"{sentence}; at its peak {peak.op} holds {peak.held_bytes:,} bytes in {held}"
    return f"{sentence}; fewer layers, or weights per tensor in Dense layers, shrink the latter"


def _short(name: str) -> str:
    """A tensor's name by its first part: the converter strings together all that were fused into it."""
    return repr(name.split(";")[0])


def _bytes(budget: str | int | None, what: str) -> int | None:
    return None if budget is None else parse_bytes(str(budget), what)
