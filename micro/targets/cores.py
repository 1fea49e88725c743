"""Cores, and the fitted costs of operators on them: cores.toml, static_c.json and tflm.json."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from micro.targets.work import Cost

Runtime = Literal["static", "tflm"]
TflmKernels = Literal["reference", "cmsis-nn", "cmsis-nn-mve", "esp-nn", "none"]


@dataclass(frozen=True)
class Core:
    """A processor core.

    Attributes:
        id: As boards.toml names it.
        title: As documents do.
        fpu, simd: Whether it computes in floating point, and on several integers at once: 'none', 'dsp', 'mve' or 'pie'.
        counted_as: The core whose instructions of static C were counted; None where no count is near.
        cycles: Cycles for one of those instructions: the least, the likely and the most.
        cycles_source: What these rest on.
        checked: Whether the time of any net on a real board went into them.
        weight_cycles: Cycles for a byte of weights from flash beside the chip.
        tflm_kernels: Kernels that TFLite Micro has for it; 'none' where it does not run.
        constants_in_ram: Whether C compilers copy constant arrays to RAM.
        counted_in: What `counted_as` was counted in: 'QEMU' counts instructions, 'simavr' cycles.
        code_factor: Code of kernels that were not compiled for this core, as a multiple of a Cortex-M4F's.
    """

    id: str
    title: str
    fpu: bool
    simd: str
    counted_as: str | None
    cycles: tuple[float, float, float] | None
    cycles_source: str | None
    checked: bool
    weight_cycles: float
    tflm_kernels: TflmKernels
    constants_in_ram: bool
    counted_in: str
    code_factor: float


@dataclass(frozen=True)
class StaticC:
    """What static C costs on a core, fitted to counts in QEMU by scripts/bench/cycle_model.py.

    Attributes:
        costs: Instructions of each kernel.
        code: Bytes of code: 'base' and each kernel.
        error: The least and the largest error of the instructions of nets that the fit has not seen, as fractions.
        code_error: The same of code.
    """

    costs: dict[str, Cost]
    code: dict[str, int]
    error: tuple[float, float]
    code_error: tuple[float, float]


@dataclass(frozen=True)
class Tflm:
    """Cycles of TFLite Micro on a core, fitted to published times by scripts/bench/board_times.py.

    Attributes:
        kernels: The kernels that were measured.
        costs: Cycles of each.
        error: The least and the largest error of a net's time that was predicted from other nets and boards, as fractions.
        boards: The boards that were measured.
    """

    kernels: str
    costs: dict[str, Cost]
    error: tuple[float, float]
    boards: tuple[str, ...]


@cache
def all_cores() -> dict[str, Core]:
    """Every core by its id."""
    raw = tomllib.loads(_text("cores.toml"))
    return {
        name: Core(
            id=name,
            title=each["title"],
            fpu=each["fpu"],
            simd=each["simd"],
            counted_as=each.get("counted_as"),
            cycles=(each["cycles"][0], each["cycles"][1], each["cycles"][2]) if "cycles" in each else None,
            cycles_source=each.get("cycles_source"),
            checked=each.get("checked", False),
            weight_cycles=each.get("weight_cycles", 0.0),
            tflm_kernels=each["tflm_kernels"],
            constants_in_ram=each.get("constants") == "ram",
            counted_in=each.get("counted_in", "QEMU"),
            code_factor=each.get("code_factor", 1.0),
        )
        for name, each in raw.items()
    }


def core_of(name: str) -> Core:
    """The core with that id.

    Raises:
        ValueError: Names all of them.
    """
    if name not in all_cores():
        raise ValueError(f"there is no core {name!r}; known are {', '.join(all_cores())}")
    return all_cores()[name]


@cache
def static_c(counted_as: str) -> StaticC:
    """What static C costs on a core whose instructions were counted."""
    plain = json.loads(_text("static_c.json"))["cores"][counted_as]
    return StaticC(_costs(plain["costs"]), plain["code"], _pair(plain["error"]), _pair(plain["code_error"]))


@cache
def tflm(core: str) -> Tflm | None:
    """Cycles of TFLite Micro on a core; None where no published time was at hand."""
    plain = json.loads(_text("tflm.json"))
    if core not in plain["cores"]:
        return None
    found = plain["cores"][core]
    costs = _costs(plain["costs"][found["like"]], found["factor"])
    return Tflm(found["kernels"], costs, _pair(found["error"]), tuple(found["boards"]))


def _costs(plain: dict[str, dict[str, float]], factor: float = 1.0) -> dict[str, Cost]:
    return {name: Cost(**{key: factor * value for key, value in each.items()}) for name, each in plain.items()}


def _pair(plain: list[float]) -> tuple[float, float]:
    return plain[0], plain[1]


def _text(name: str) -> str:
    return (resources.files("micro.targets") / name).read_text(encoding="utf-8")
