"""What a model takes of flash and RAM with its runtime: kernels, interpreter, constants, tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import micro.tflite.footprint as footprints
from micro.aot import StaticSize, static_size
from micro.aot.decode import unpacked
from micro.errors import ConversionError
from micro.program.real_time import Pace
from micro.targets.cores import Core, Runtime, all_cores, core_of, static_c
from micro.targets.firmware_code import constants_of, flash_of
from micro.targets.work import Work
from micro.tflite.code_size import code_with
from micro.tflite.cost import LayerCost, bytes_of, layer_costs
from micro.tflite.footprint import Footprint
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.interpreter import require_runnable
from micro.tflite.work import works_of

Kernels = Literal["any", "reference", "cmsis-nn", "cmsis-nn-mve"]
# What kernels of TFLite Micro are called in sentences.
KERNEL_NAMES = {
    "reference": "reference kernels",
    "cmsis-nn": "CMSIS-NN's kernels",
    "cmsis-nn-mve": "CMSIS-NN's kernels for MVE",
    "esp-nn": "ESP-NN's kernels",
}
# Code of static C is counted on Arm cores; other instruction sets are taken to be as dense as this one.
DENSE = "m4f"


@dataclass(frozen=True)
class Around:
    """What the firmware of a run holds around its model.

    Attributes:
        ram: Bytes of samples, features, work buffers and state on a core of 32 bits.
        ram_avr: The same on an AVR, with smaller pointers and no padding.
        parts: Parts of front end and last stage, as `micro.emission.flash.parts_of` counts them.
        table: Bytes of a table of characters, which is constant; 0 where no text is predicted.
        counted: Flash and RAM of the whole program, by the core that `keras-kd emulate` counted them on.
        paces: What samples cost the whole program, by that core.
    """

    ram: int
    ram_avr: int
    parts: Mapping[str, float] = field(default_factory=dict)
    table: int = 0
    counted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)

    def ram_on(self, core: Core) -> int:
        """Bytes of RAM on a core, with constants where compilers copy them there."""
        constants = constants_of(self.parts, core) + (self.table if core.constants_in_ram else 0)
        return (self.ram_avr if core.id == "avr" else self.ram) + constants

    def flash_on(self, core: Core) -> int:
        """Bytes of flash on a core, estimated, without the table of characters."""
        return flash_of(self.parts, core)

    def counted_on(self, core: Core) -> tuple[int, int] | None:
        """Flash and RAM of the whole program where they were counted on this core, or on one that runs the same code."""
        like = all_cores().get(core.counted_as or "")
        same = like.id if like is not None and like.fpu == core.fpu else core.id
        return self.counted.get(core.id) or self.counted.get(same)

    def pace_on(self, core: Core) -> Pace | None:
        """What samples cost the whole program, where that was counted for this core."""
        return self.paces.get(core.counted_as or core.id)


@dataclass(frozen=True)
class Program:
    """Bytes of a model with its runtime, and of the firmware around it where that is known.

    Start-up code, drivers and the stack come on top, unless the whole program has been counted.

    Attributes:
        runtime: 'static' or 'tflm'.
        kernels: The kernels of TFLite Micro that were counted; '' for static C.
        code: Estimated code: kernels, and TFLite Micro's interpreter.
        constants: The .tflite, or static C's constant arrays.
        arena: Tensors between operators, and with TFLite Micro its bookkeeping.
        buffers: Input and output, where they lie outside the arena.
        state: What static C keeps from one inference to the next.
        constants_in_ram: Whether constants take RAM as well, as on AVR.
        stood_for: The kernels that the core has, where those of `kernels` are counted in their place; '' elsewhere.
        around: RAM of what the firmware holds around the model; None of a model alone.
        around_flash: Flash of front end and last stage, estimated; None of a model alone.
        table: Flash of a table of characters; 0 where there is none.
        counted: Flash and RAM of the whole program, with the stack, as `keras-kd emulate` counted them; None elsewhere.
    """

    runtime: Runtime
    kernels: str
    code: int
    constants: int
    arena: int
    buffers: int
    state: int = 0
    constants_in_ram: bool = False
    stood_for: str = ""
    around: int | None = None
    around_flash: int | None = None
    table: int = 0
    counted: tuple[int, int] | None = None

    @property
    def described(self) -> str:
        """The runtime in words: 'static C', or TFLite Micro with its kernels."""
        if self.runtime == "static":
            return "static C"
        names = KERNEL_NAMES[self.kernels]
        if self.stood_for:
            return f"TFLite Micro with {KERNEL_NAMES[self.stood_for]}, whose sizes are unknown and counted as {names},"
        return f"TFLite Micro with {names}"

    @property
    def flash(self) -> int:
        """Bytes of flash: of the whole program where they were counted, else of the model and of what is around it."""
        return self.estimated_flash if self.counted is None else self.counted[0]

    @property
    def ram(self) -> int:
        """Bytes of RAM: of the model, of what the firmware holds around it, or more where more were counted."""
        return max(self.estimated_ram, 0 if self.counted is None else self.counted[1])

    @property
    def estimated_flash(self) -> int:
        """Bytes of flash of the model and of what is around it, whatever was counted."""
        return self.model_flash + (self.around_flash or 0) + self.table

    @property
    def estimated_ram(self) -> int:
        """Bytes of RAM of the model and of what is around it, whatever was counted."""
        return self.model_ram + (self.around or 0)

    @property
    def model_flash(self) -> int:
        """Bytes of flash of the model with its runtime."""
        return self.code + self.constants

    @property
    def model_ram(self) -> int:
        """Bytes of RAM of the model with its runtime."""
        return self.arena + self.buffers + self.state + (self.constants if self.constants_in_ram else 0)


@dataclass(frozen=True)
class Model:
    """A .tflite, read once for all boards and runtimes.

    Attributes:
        content: Its bytes.
        graph: Its operators and tensors.
        measured: What it takes in TFLite Micro, where that is known already.
        around: What the firmware of its run holds around it; None of a model alone.
    """

    content: bytes
    graph: Graph
    measured: Footprint | None = None
    around: Around | None = None

    @classmethod
    def read(cls, tflite: TfliteLike) -> Model:
        """Read a .tflite.

        Raises:
            ModelError: If the file cannot be read.
            InterpreterError: If it holds or computes more than any microcontroller.
        """
        content = content_of(tflite)
        graph = read(content)
        require_runnable(graph)
        return cls(content, graph)

    @cached_property
    def footprint(self) -> Footprint:
        """What it takes in TFLite Micro, which runs it for that: static C needs it not; raises as `measure`."""
        return self.measured or footprints.measure(self.content)

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        """What each operator takes, in the order in which they run."""
        return layer_costs(self.graph)

    @cached_property
    def as_static(self) -> StaticSize:
        """What it takes as static C, on any core; raises as `static_size`."""
        return static_size(self.content)

    def works(self, runtime: Runtime) -> tuple[Work, ...]:
        """The size of each operator that a runtime runs: static C has none that decodes packed weights."""
        return works_of(unpacked(self.graph) if runtime == "static" else self.graph)


def program_of(model: Model, runtime: Runtime, core: Core | None = None, kernels: Kernels | None = None) -> Program:
    """Flash and RAM of a model with a runtime.

    Args:
        core: The core that it runs on; without one a Cortex-M4F, and of TFLite Micro's kernels the largest.
        kernels: Kernels of TFLite Micro; by default those that the core has.

    Raises:
        ConversionError: For an operator that static C does not have, or a core on which TFLite Micro does not run.
    """
    on = core or core_of(DENSE)
    around = None if model.around is None else model.around.ram_on(on)
    around_flash = None if model.around is None else model.around.flash_on(on)
    table = 0 if model.around is None else model.around.table
    ends = (*model.graph.inputs, *model.graph.outputs)
    buffers = sum(bytes_of(model.graph.tensors[index]) for index in ends)
    if runtime == "static":
        size, works = model.as_static, model.works("static")
        return Program(
            "static",
            "",
            static_code(tuple(works[number] for number, _ in size.called), on),
            size.constants,
            size.arena,
            buffers,
            size.state,
            on.constants_in_ram,
            around=around,
            around_flash=around_flash,
            table=table,
            counted=None if model.around is None else model.around.counted_on(on),
        )
    if on.tflm_kernels == "none":
        raise ConversionError(f"TFLite Micro does not run on {on.title}")
    stood_for = ""
    if kernels is None:
        kernels = "any" if core is None else _kernels_of(on)
        stood_for = on.tflm_kernels if core is not None and kernels != on.tflm_kernels else ""
    chosen, arena = arena_of(model.footprint, kernels)
    code = code_with(model.footprint.code, chosen)
    # The arena holds inputs and outputs, and firmware copies them.
    copies = 0 if around is None else buffers
    sizes = chosen, code, model.footprint.model_bytes, arena, copies
    return Program("tflm", *sizes, stood_for=stood_for, around=around, around_flash=around_flash, table=table)


def static_code(works: tuple[Work, ...], core: Core) -> int:
    """Estimated bytes of static C's code on a core, of operators that it calls."""
    own, dense = static_c(core.counted_as or DENSE).code, static_c(DENSE).code
    families = [work.family for work in works if work.family != "RESHAPE"]
    # Kernels that were not compiled for this core are larger than a Cortex-M4F's by as much as others are.
    known = [family for family in families if family in own or core.counted_as is None or core.code_factor == 1]
    other = [family for family in families if family not in known]
    return _code(known, own) + round(core.code_factor * _code(other, dense))


def _code(families: Sequence[str], sizes: Mapping[str, int]) -> int:
    """Bytes of each call and of each kernel."""
    return sizes["each"] * len(families) + sum(sizes.get(family, 0) for family in set(families))


def arena_of(footprint: Footprint, kernels: Kernels) -> tuple[str, int]:
    """The kernels with the largest arena among those asked for, and that arena in bytes."""
    arenas = {
        "reference": footprint.arena_bytes_32bit,
        "cmsis-nn": footprint.arena_bytes_cmsis_nn,
        "cmsis-nn-mve": footprint.arena_bytes_cmsis_nn_mve,
    }
    chosen = max(arenas, key=lambda name: arenas[name]) if kernels == "any" else kernels
    return chosen, arenas[chosen]


def _kernels_of(core: Core) -> Kernels:
    """The kernels whose sizes stand for a core's: ESP-NN's were not measured, and count as CMSIS-NN's."""
    stand_in: dict[str, Kernels] = {"esp-nn": "cmsis-nn", "cmsis-nn": "cmsis-nn", "cmsis-nn-mve": "cmsis-nn-mve"}
    return stand_in.get(core.tflm_kernels, "reference")
