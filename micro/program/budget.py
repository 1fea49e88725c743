"""Whether a model with its runtime fits a budget of flash, RAM, time and energy, and if not, what exceeds it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args

from micro.program.size import KERNEL_NAMES, Kernels, Model, Program, program_of
from micro.support.notebook import table
from micro.support.wording import excerpt
from micro.targets.boards import Board, board_of
from micro.targets.cores import Core, Runtime, core_of
from micro.targets.timing import Timing, timing
from micro.targets.units import Latency, parse_energy, parse_latency
from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import Footprint
from micro.tflite.graph import TfliteLike

# Named in what is said of time where neither a board nor a core was given.
CORE = "m4f"
_COUNTED = "the firmware takes {:,} bytes, {:,} over {:,} (as `keras-kd emulate` counted it)"


@dataclass(frozen=True)
class Budget:
    """What a program may take; None where there is no limit.

    Attributes:
        flash, ram: Bytes.
        latency: Seconds of an inference, and the clock.
        energy: Microjoules of an inference.
        board: The board that it is for.
        core: The core that time is judged on.
        runtime: 'static' for static C, 'tflm' for TFLite Micro.
        kernels: Kernels of TFLite Micro; 'any' takes those with the largest arena.
        table: Bytes of a table in flash besides the model.
    """

    flash: int | None
    ram: int | None
    latency: Latency | None
    energy: float | None
    board: Board | None
    core: Core
    runtime: Runtime
    kernels: Kernels

    @property
    def limited(self) -> bool:
        """Whether anything is limited."""
        return any(each is not None for each in (self.flash, self.ram, self.latency, self.energy))


@dataclass(frozen=True)
class Check:
    """A model compared with a budget.

    Attributes:
        model: The model.
        flash, ram: The budget in bytes; None where there is no limit.
        broken: One sentence for each part that does not fit; empty if all fits.
        arena_bytes: The arena that RAM was compared with.
        kernels: The kernels of TFLite Micro with which the arena is that large; '' for static C.
        program: What the model takes with its runtime, and of a run what is around it.
        milliseconds: An inference as estimated: the least, the likely and the most; None where none was asked for or is known.
        microjoules: Its energy as estimated; None as above.
        basis: What time and energy rest on; '' where none was asked for.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> result = micro.check(tflite, flash=256)
        >>> print(result.fits, result.broken[0])
        False flash: the program takes ... bytes, ... over 256 (kernels of static C ..., estimated; constants 29...
    """

    model: Model = field(repr=False)
    flash: int | None
    ram: int | None
    broken: tuple[str, ...]
    arena_bytes: int
    kernels: str
    program: Program
    milliseconds: tuple[float, float, float] | None
    microjoules: float | None
    basis: str

    @property
    def fits(self) -> bool:
        """Whether the model fits the budget."""
        return not self.broken

    @property
    def footprint(self) -> Footprint:
        """What the model needs in TFLite Micro, as `measure` gives it, and raises; measured once."""
        return self.model.footprint

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = [
            ("flash, bytes", self.program.flash, "" if self.flash is None else self.flash),
            ("RAM, bytes", self.program.ram, "" if self.ram is None else self.ram),
        ]
        if self.milliseconds is not None:
            rows.append(("an inference, ms, estimated", self.milliseconds[1], ""))
        if self.microjoules is not None:
            rows.append(("its energy, uJ, estimated", self.microjoules, ""))
        note = "It fits." if self.fits else " ".join(self.broken)
        return table("Budget", rows, ("", "Needed", "Budget"), note=note)


def check(
    tflite: TfliteLike | Model,
    *,
    flash: str | int | None = None,
    ram: str | int | None = None,
    kernels: Kernels = "any",
    runtime: Runtime = "static",
    latency: str | None = None,
    energy: str | None = None,
    board: str | None = None,
    core: str | None = None,
) -> Check:
    """Compare a .tflite, with the runtime that it is emitted for, with a budget of flash, RAM, time and energy.

    Args:
        tflite: Bytes, a path, what `convert` returns, or a `micro.program.size.Model`, such as that of a run's firmware.
        flash, ram: Bytes, or a size such as '64KiB'; None for no limit. Compared with what the model takes alone: kernels and
            interpreter, constants, tensors; of a run with front end and last stage. Start-up code, drivers and the stack come
            on top.
        kernels: The kernels that TFLite Micro is built with: 'reference', 'cmsis-nn' (Cortex-M0 to M33) or 'cmsis-nn-mve'
            (M55, M85); 'any' takes those of the board, and without one the largest arena of the three. Arenas with CMSIS-NN are
            estimated. Of static C, which has its own kernels, only 'any' is accepted.
        runtime: 'static' for static C, or 'tflm' for TFLite Micro.
        latency: Time of an inference, without its features, and the clock, such as '20ms@64MHz'; without a clock that of the
            board.
        energy: Energy of an inference, such as '50uJ'; needs a board.
        board: A board of the table: its flash and RAM are the limit where none is given.
        core: The core that time is judged on, a Cortex-M4F by default; of a board it is known.

    Returns:
        A `Check`; `fits` says whether the model fits, `broken` what does not.

    Raises:
        ValueError: For what cannot be parsed, or without any budget.
        MicroError: If the runtime does not run it: as `measure` of TFLite Micro, as `aot.static_size` of static C.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.check(tflite, flash="64KiB", ram="16KiB", latency="20ms@64MHz").fits
        True
    """
    if kernels not in get_args(Kernels):
        raise ValueError(f"check: kernels must be one of {', '.join(get_args(Kernels))}, got {kernels!r}")
    if runtime not in get_args(Runtime):
        raise ValueError(f"check: runtime must be one of {', '.join(get_args(Runtime))}, got {runtime!r}")
    if runtime == "static" and kernels != "any":
        raise ValueError(
            f"check: kernels {kernels!r} are TFLite Micro's, and the runtime is static C, which has its own"
        )
    budget = budget_of(flash, ram, latency, energy, board, core)
    if not budget.limited:
        raise ValueError("check: give a budget: flash, ram, latency or energy, or a board")
    model = tflite if isinstance(tflite, Model) else Model.read(tflite)
    return compare(model, replace(budget, runtime=runtime, kernels=kernels))


def budget_of(
    flash: str | int | None,
    ram: str | int | None,
    latency: str | None,
    energy: str | None,
    board: str | None,
    core: str | None,
    within: str = "",
) -> Budget:
    """A budget from what is typed; `within` stands before each name in messages, such as 'budget.'.

    Raises:
        ValueError: Names what cannot be parsed, or cannot be judged without a board or a clock.
    """
    on = None if board is None else board_of(board)
    if on is not None and core is not None and core != on.core:
        raise ValueError(f"{within}core is {core!r}, and board {on.id!r} has {on.core!r}; leave the core out")
    time = None if latency is None else parse_latency(latency, f"{within}latency")
    if time is not None and time.mhz is None and on is None:
        raise ValueError(f"{within}latency needs a clock, such as {latency}@64MHz, or a board")
    if time is not None and time.mhz is not None and on is not None and time.mhz > on.mhz:
        raise ValueError(f"{within}latency is at {time.mhz:g} MHz, and {on.id} runs at {on.mhz:g} MHz at most")
    joules = None if energy is None else parse_energy(energy, f"{within}energy")
    if joules is not None and (on is None or on.active_ma is None or on.volts is None):
        which = (
            "a board, whose current is known"
            if on is None
            else f"the current of {on.id}, which no document at hand gives"
        )
        raise ValueError(f"{within}energy needs {which}")
    sizes = [_bytes(flash, f"{within}flash"), _bytes(ram, f"{within}ram")]
    if on is not None:
        sizes = [on.flash if sizes[0] is None else sizes[0], on.ram if sizes[1] is None else sizes[1]]
    return Budget(sizes[0], sizes[1], time, joules, on, core_of(on.core if on else core or CORE), "static", "any")


def compare(model: Model, budget: Budget) -> Check:
    """A model compared with a budget.

    Raises:
        ConversionError: For an operator that static C does not have.
    """
    program = program_within(model, budget)
    broken = []
    if budget.flash is not None and program.flash > budget.flash:
        broken.append(_flash_sentence(model, program, budget.flash))
    if budget.ram is not None and program.ram > budget.ram:
        broken.append(_ram_sentence(model, program, budget.ram))
    time = _time(model, budget)
    clock = budget.latency.mhz if budget.latency is not None and budget.latency.mhz is not None else None
    clock = clock or (budget.board.mhz if budget.board else None)
    milliseconds = None if time is None or clock is None else time.milliseconds(clock)
    joules = _microjoules(budget, milliseconds, clock)
    if time is not None:
        broken += _too_slow(budget, time, milliseconds, clock) + _too_hungry(budget, time, joules)
    return Check(
        model,
        budget.flash,
        budget.ram,
        tuple(broken),
        program.arena,
        program.kernels,
        program,
        milliseconds,
        joules,
        "" if time is None else time.basis,
    )


def program_within(model: Model, budget: Budget) -> Program:
    """Flash and RAM of a model with the budget's runtime, on its core; raises as `compare`."""
    if budget.runtime == "static" or budget.kernels != "any":
        return program_of(model, budget.runtime, budget.core, None if budget.runtime == "static" else budget.kernels)
    return program_of(model, "tflm", None if budget.board is None else budget.core)


def _time(model: Model, budget: Budget) -> Timing | None:
    if budget.latency is None and budget.energy is None and budget.board is None:
        return None
    external = budget.board is not None and budget.board.external_flash
    return timing(model.works(budget.runtime), budget.core, budget.runtime, external)


def _microjoules(budget: Budget, milliseconds: tuple[float, float, float] | None, clock: float | None) -> float | None:
    """Energy of an inference, at whatever clock: a slower one draws less current for longer, which comes to about the same."""
    board = budget.board
    if board is None or milliseconds is None or clock is None or board.volts is None or board.active_ma is None:
        return None
    return board.volts * board.active_ma * milliseconds[1] * clock / board.mhz


def _too_slow(
    budget: Budget, time: Timing, milliseconds: tuple[float, float, float] | None, clock: float | None
) -> list[str]:
    if budget.latency is None:
        return []
    limit, at = 1e3 * budget.latency.seconds, f"on {budget.core.title} at {clock:g} MHz"
    if milliseconds is None:
        return [f"latency: cannot be judged {at}: {time.basis}"]
    low, likely, high = milliseconds
    if likely <= limit:
        return []
    return [
        f"latency: an inference takes about {likely:,.3g} ms {at}, {likely - limit:,.3g} over {limit:,.3g} "
        f"(between {low:,.3g} and {high:,.3g}; {time.basis})"
    ]


def _too_hungry(budget: Budget, time: Timing, microjoules: float | None) -> list[str]:
    if budget.energy is None or budget.board is None:
        return []
    if microjoules is None:
        return [f"energy: cannot be judged on {budget.board.id}: {time.basis}"]
    if microjoules <= budget.energy:
        return []
    return [
        f"energy: an inference takes about {microjoules:,.3g} uJ on {budget.board.id}, {microjoules - budget.energy:,.3g} over "
        f"{budget.energy:,.3g} ({budget.board.current_source}; {time.basis})"
    ]


def _flash_sentence(model: Model, program: Program, budget: int) -> str:
    if program.counted is not None:
        return f"flash: {_COUNTED.format(program.flash, program.flash - budget, budget)}"
    largest = max(model.layers, key=lambda layer: layer.weight_bytes)
    total = program.flash
    if program.runtime == "tflm":
        parts = model.footprint.flash
        code = f"{program.described} {program.code:,}, estimated"
        data = (
            f"the .tflite {len(model.content):,}: weights {parts.weights:,}, quantization {parts.quantization:,}, graph "
            f"{parts.graph:,}"
        )
    else:
        code, data = f"kernels of static C {program.code:,}, estimated", f"constants {program.constants:,}"
    beside = f"; table of characters {program.table:,}" if program.table else ""
    beside += "" if program.around_flash is None else f"; front end and last stage {program.around_flash:,}, estimated"
    return (
        f"flash: the program takes {total:,} bytes, {total - budget:,} over {budget:,} ({code}; {data}{beside}); "
        f"most weights: {largest.op} {_short(largest.name)} with {largest.weight_bytes:,} bytes"
    )


def _ram_sentence(model: Model, program: Program, budget: int) -> str:
    if program.around is not None:
        if program.ram > program.model_ram + program.around:
            return f"ram: {_COUNTED.format(program.ram, program.ram - budget, budget)}"
        return (
            f"ram: the firmware takes {program.ram:,} bytes, {program.ram - budget:,} over {budget:,} (the model "
            f"{program.model_ram:,}; samples, features and state around it {program.around:,})"
        )
    peak = max(model.layers, key=lambda layer: layer.held_bytes)
    total = program.ram
    if program.runtime == "static":
        constants = f", state {program.state:,}" if program.state else ""
        constants += f", constants {program.constants:,}" if program.constants_in_ram else ""
        return (
            f"ram: static C takes {total:,} bytes, {total - budget:,} over {budget:,} (tensors between operators "
            f"{program.arena:,}, input and output {program.buffers:,}{constants})"
        )
    activations = model.footprint.activation_bytes
    scratch = total - model.footprint.arena_bytes_32bit
    sentence = (
        f"ram: the arena takes {total:,} bytes, {total - budget:,} over {budget:,} (activations {activations:,}, "
        f"kept for the model's life {total - activations - scratch:,}"
    )
    sentence += f", buffers of {KERNEL_NAMES[program.kernels]} {scratch:,}, estimated)" if scratch else ")"
    held = ", ".join(map(_short, peak.held))
    if activations > total - activations - scratch:
        return f"{sentence}; at its peak {peak.op} holds {peak.held_bytes:,} bytes in {held}"
    return f"{sentence}; fewer layers, or weights per tensor in Dense layers, shrink the latter"


def _short(name: str) -> str:
    """The first part of a tensor's name: the converter appends the names of everything fused into it."""
    return excerpt(name.split(";")[0])


def _bytes(budget: str | int | None, what: str) -> int | None:
    return None if budget is None else parse_bytes(str(budget), what)
