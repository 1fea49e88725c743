"""Whether a .tflite fits a board, and if not, what breaks the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import Footprint, measure
from micro.tflite.graph import TfliteLike

# Kernels of TFLite Micro that a firmware is built with.
Kernels = Literal["any", "reference", "cmsis-nn", "cmsis-nn-mve"]


@dataclass(frozen=True)
class Check:
    """A model beside a budget; `broken` says in a sentence each what does not fit, and is empty where all does.

    `arena_bytes` is what RAM was compared with, and `kernels` those that need it.
    """

    footprint: Footprint
    flash: int | None
    ram: int | None
    broken: tuple[str, ...]
    arena_bytes: int
    kernels: str

    @property
    def fits(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken


def check(
    tflite: TfliteLike, *, flash: str | int | None = None, ram: str | int | None = None, kernels: Kernels = "any"
) -> Check:
    """Hold a .tflite against a budget of flash for the model's bytes and of RAM for its tensor arena.

    Args:
        flash, ram: Bytes, or a size such as '64KiB'; None does not limit.
        kernels: Which kernels of TFLite Micro the firmware has: 'reference', 'cmsis-nn' (Cortex-M0 to M33),
            'cmsis-nn-mve' (M55, M85), or 'any' of them, whose largest arena is compared. That with CMSIS-NN is estimated.

    Raises:
        ValueError: For sizes that do not parse or no budget at all; as `measure` for models that do not run.
    """
    if kernels not in get_args(Kernels):
        raise ValueError(f"check: kernels must be one of {', '.join(get_args(Kernels))}, got {kernels!r}")
    budgets = {"flash": _bytes(flash, "flash"), "ram": _bytes(ram, "ram")}
    if budgets["flash"] is None and budgets["ram"] is None:
        raise ValueError("check: give a budget, flash or ram or both")
    footprint = measure(tflite)
    broken = []
    if budgets["flash"] is not None and footprint.model_bytes > budgets["flash"]:
        broken.append(_flash_sentence(footprint, budgets["flash"]))
    with_kernels, arena = _arena(footprint, kernels)
    if budgets["ram"] is not None and arena > budgets["ram"]:
        broken.append(_ram_sentence(footprint, budgets["ram"], with_kernels, arena))
    return Check(footprint, budgets["flash"], budgets["ram"], tuple(broken), arena, with_kernels)


def _flash_sentence(footprint: Footprint, budget: int) -> str:
    largest = max(footprint.layers, key=lambda layer: layer.weight_bytes)
    parts = footprint.flash
    return (
        f"flash: the model takes {footprint.model_bytes:,} bytes, {footprint.model_bytes - budget:,} over {budget:,} "
        f"(weights {parts.weights:,}, quantization {parts.quantization:,}, graph {parts.graph:,}); most weights: "
        f"{largest.op} {_short(largest.name)} with {largest.weight_bytes:,} bytes"
    )


def _arena(footprint: Footprint, kernels: Kernels) -> tuple[str, int]:
    """The kernels that need most among those asked for, and the arena with them."""
    arenas = {
        "reference": footprint.arena_bytes_32bit,
        "cmsis-nn": footprint.arena_bytes_cmsis_nn,
        "cmsis-nn-mve": footprint.arena_bytes_cmsis_nn_mve,
    }
    chosen = max(arenas, key=lambda name: arenas[name]) if kernels == "any" else kernels
    return chosen, arenas[chosen]


def _ram_sentence(footprint: Footprint, budget: int, kernels: str, total: int) -> str:
    peak = max(footprint.layers, key=lambda layer: layer.held_bytes)
    activations = footprint.activation_bytes
    scratch = total - footprint.arena_bytes_32bit
    sentence = (
        f"ram: the arena takes {total:,} bytes, {total - budget:,} over {budget:,} (activations {activations:,}, "
        f"kept for the model's life {total - activations - scratch:,}"
    )
    sentence += f", buffers of {kernels} kernels {scratch:,}, estimated)" if scratch else ")"
    held = ", ".join(map(_short, peak.held))
    if activations > total - activations - scratch:
        return f"{sentence}; at its peak {peak.op} holds {peak.held_bytes:,} bytes in {held}"
    return f"{sentence}; fewer layers, or weights per tensor in Dense layers, shrink the latter"


def _short(name: str) -> str:
    """A tensor's name by its first part: the converter strings together all that were fused into it."""
    return repr(name.split(";")[0])


def _bytes(budget: str | int | None, what: str) -> int | None:
    return None if budget is None else parse_bytes(str(budget), what)
