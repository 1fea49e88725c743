"""A model on each board of the table: whether it fits, how long an inference takes, what energy, how many days on a battery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from micro.errors import ConversionError
from micro.program.real_time import hop_ms, real_time
from micro.program.size import Model, Program, program_of
from micro.targets.boards import Board
from micro.targets.cores import Core, Runtime, core_of
from micro.targets.timing import Timing, timing


@dataclass(frozen=True)
class Use:
    """How often a window is computed, and from what battery; None is not asked for.

    Attributes:
        every: Seconds from window to window.
        battery: Charge in mAh.
    """

    every: float | None = None
    battery: float | None = None


@dataclass(frozen=True)
class Placement:
    """A model on a board.

    Attributes:
        board: The board.
        program: What it takes there; None where the runtime does not run.
        problems: One sentence for each thing that does not fit, empty if all does.
        timing: Cycles of an inference, and what time rests on.
        milliseconds: Of a window, the least, the likely and the most at the board's clock; None where unknown.
        whole: Whether that is the whole firmware's time, with its features, as it was counted; else the model's alone.
        microjoules: Energy of an inference while the CPU computes; None where time or current are unknown.
        days: How long the battery lasts; None where it was not asked for, or something is unknown.
    """

    board: Board
    program: Program | None
    problems: tuple[str, ...]
    timing: Timing
    milliseconds: tuple[float, float, float] | None
    microjoules: float | None
    days: float | None
    whole: bool = False

    @property
    def fits(self) -> bool:
        """Whether the program fits the board and keeps up with the windows."""
        return not self.problems


def placements(
    model: Model, boards: Sequence[Board], runtime: Runtime, use: Use | None = None
) -> tuple[Placement, ...]:
    """A model on each board: those that it fits first, the smallest of them at the top; then the others, by what is missing.

    Raises:
        ConversionError: For an operator that static C does not have.
    """
    if runtime == "static":
        program_of(model, runtime)  # what static C lacks is the model's problem, not a board's
    found = [place(model, board, runtime, use or Use()) for board in boards]
    return tuple(sorted(found, key=_order))


def place(model: Model, board: Board, runtime: Runtime, use: Use) -> Placement:
    """A model on one board."""
    core = core_of(board.core)
    time = timing(model.works(runtime), core, runtime, board.external_flash)
    milliseconds = time.milliseconds(board.mhz)
    program, problems = None, []
    pace = None if model.around is None or runtime != "static" else model.around.pace_on(core)
    found = None if pace is None else real_time(pace, core, board.mhz)
    if pace is not None and found is not None:
        milliseconds, time = hop_ms(pace, core, board.mhz), replace(time, basis=_counted(core), checked=False)
    try:
        program = program_of(model, runtime, core)
    except ConversionError as error:
        problems.append(str(error))
    if program is not None:
        for what, needed, there in (("flash", program.flash, board.flash), ("RAM", program.ram, board.ram)):
            if needed > there:
                problems.append(f"{what}: {needed:,} bytes, {needed - there:,} more than {there:,}")
    if found is not None and not found.holds:
        problems.append(f"time: keeping up with its sensor needs about {found.load[1]:.2g} times the clock")
    elif use.every is not None and milliseconds is None:
        problems.append(f"time: not known, and one window comes every {1e3 * use.every:,.4g} ms")
    elif use.every is not None and milliseconds is not None and milliseconds[1] > 1e3 * use.every:
        problems.append(f"time: {milliseconds[1]:,.3g} ms a window, one comes every {1e3 * use.every:,.4g} ms")
    energy = None
    if milliseconds is not None and board.volts is not None and board.active_ma is not None:
        energy = board.volts * board.active_ma * milliseconds[1]
    days = None if problems else _days(board, milliseconds, use)
    return Placement(board, program, tuple(problems), time, milliseconds, energy, days, found is not None)


def _counted(core: Core) -> str:
    """What the time of a whole firmware rests on."""
    return (
        f"instructions of a hop with its features, as `keras-kd emulate` counted them; cycles of one on {core.title}: "
        f"{core.cycles_source}"
    )


def _days(board: Board, milliseconds: tuple[float, float, float] | None, use: Use) -> float | None:
    """Days until the charge is drawn, by the chip alone: what self-discharge, sensors and radio take comes on top."""
    known = milliseconds is not None and board.active_ma is not None and board.sleep_ua is not None
    if not known or use.every is None or use.battery is None:
        return None
    assert milliseconds is not None
    assert board.active_ma is not None
    assert board.sleep_ua is not None
    awake = milliseconds[1] / 1e3 / use.every
    drawn = awake * board.active_ma + (1 - awake) * board.sleep_ua / 1e3
    return use.battery / drawn / 24


def _order(placement: Placement) -> tuple[bool, float, int, str]:
    board, program = placement.board, placement.program
    if placement.fits or program is None:
        return not placement.fits, float(program is None), board.ram + board.flash, board.id
    beyond = max(program.flash / board.flash, program.ram / board.ram)
    return True, beyond, board.ram, board.id
