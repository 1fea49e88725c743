"""Whether a .tflite fits a budget of flash and RAM, and if not, what exceeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import Footprint, measure
from micro.tflite.graph import TfliteLike

# Kernels of TFLite Micro that firmware can be built with.
Kernels = Literal["any", "reference", "cmsis-nn", "cmsis-nn-mve"]


@dataclass(frozen=True)
class Check:
    """A model compared with a budget.

    Attributes:
        footprint: What the model needs, as `measure` gives it.
        flash, ram: The budget in bytes; None where there is no limit.
        broken: One sentence for each part that does not fit; empty if all fits.
        arena_bytes: The arena that RAM was compared with.
        kernels: The kernels of TFLite Micro with which the arena is that large.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> result = micro.check(tflite, flash=512)
        >>> print(result.fits, result.broken[0])
        False flash: the model takes ... bytes, ... over 512 (weights ..., quantization ..., graph ...); most weights: ...
    """

    footprint: Footprint
    flash: int | None
    ram: int | None
    broken: tuple[str, ...]
    arena_bytes: int
    kernels: str

    @property
    def fits(self) -> bool:
        """Whether the model fits the budget."""
        return not self.broken


def check(
    tflite: TfliteLike, *, flash: str | int | None = None, ram: str | int | None = None, kernels: Kernels = "any"
) -> Check:
    """Compare a .tflite with a budget of flash for the model's bytes and of RAM for its tensor arena.

    Args:
        tflite: Bytes, a path, or what `convert` returns.
        flash, ram: Bytes, or a size such as '64KiB'; None for no limit.
        kernels: The kernels that the firmware is built with: 'reference', 'cmsis-nn' (Cortex-M0 to M33) or 'cmsis-nn-mve'
            (M55, M85); 'any' takes the largest arena of the three. Arenas with CMSIS-NN are estimated.

    Returns:
        A `Check`; `fits` says whether the model fits, `broken` what does not.

    Raises:
        ValueError: For sizes that cannot be parsed, or without any budget.
        MicroError: As `measure`.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.check(tflite, flash="64KiB", ram="16KiB").fits
        True
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
    """The kernels with the largest arena among those asked for, and that arena."""
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
    """The first part of a tensor's name: the converter appends the names of everything fused into it."""
    return repr(name.split(";")[0])


def _bytes(budget: str | int | None, what: str) -> int | None:
    return None if budget is None else parse_bytes(str(budget), what)
