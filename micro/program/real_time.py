"""Whether a program keeps up with its sensor: instructions of a hop and of the longest push against clock, hop and rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from micro.support.wording import percent
from micro.targets.boards import Board
from micro.targets.cores import Core

# As tables of instructions have it where nobody says a clock.
USUAL_MHZ = 64.0


@dataclass(frozen=True)
class Pace:
    """How samples come, and what they cost.

    Attributes:
        rate: Samples of each channel in a second.
        hop: Samples from the start of one window to the start of the next.
        push: Instructions of the longest call that takes a sample: that which completes a window.
        hop_instructions: Instructions of all calls of a hop.
        counted_on: The core that they were counted on.
        fixed: Whether the front end computes in integers.
        window: Samples of a window.
    """

    rate: float
    hop: int
    push: int
    hop_instructions: int
    counted_on: str
    fixed: bool
    window: int = 0


@dataclass(frozen=True)
class RealTime:
    """A program on a core at a clock; of each triple the least, the likely and the most, as cycles for an instruction have it.

    Attributes:
        where: The board or core.
        mhz: The clock.
        load: Fractions of the time that the core computes.
        push_ms: Milliseconds of the longest push.
        arriving: Samples of each channel that come meanwhile, at the most.
        soft_float: Whether the front end computes in float32 on a core without an FPU.
    """

    where: str
    mhz: float
    load: tuple[float, float, float]
    push_ms: tuple[float, float, float]
    arriving: int
    soft_float: bool

    @property
    def queue(self) -> int:
        """Samples that a queue has to hold for those that arrive, a power of two."""
        return queue_of(self.arriving)

    @property
    def holds(self) -> bool:
        """Whether it likely keeps up."""
        return self.load[1] <= 1.0

    def __str__(self) -> str:
        at = f"real time on {self.where} at {self.mhz:g} MHz"
        if not self.holds:
            return f"{at}: does not hold: needs about {self.load[1]:.2g} times the clock; take {self._remedies()}"
        load = f"{percent(self.load[1])} load ({percent(self.load[0])} to {percent(self.load[2])})"
        sure = "" if self.load[2] <= 1.0 else "likely "
        push = f"the longest push takes {self.push_ms[1]:.2g} ms"
        if self.arriving < 2:
            return f"{at}: {sure}holds, {load}; {push}, less than from one sample to the next"
        return (
            f"{at}: {sure}holds, {load}; {push}, in which at most {self.arriving:,} samples arrive: collect samples by "
            f"interrupt into a queue of at least {self.queue:,}"
        )

    def _remedies(self) -> str:
        others = "a longer hop, a smaller model or a faster board"
        return f"features.arithmetic = 'fixed' (this core has no FPU), {others}" if self.soft_float else others


def real_time(pace: Pace, core: Core, mhz: float, where: str | None = None) -> RealTime | None:
    """Whether a program keeps up on a core at a clock; None where its instructions are not known to be those of the core.

    Args:
        pace: Instructions, of a core whose counts hold for this one, and how samples come.
        core: The core.
        mhz: Its clock.
        where: What messages call it; its title where None.

    Examples:
        >>> from micro.program.real_time import Pace, real_time
        >>> from micro.targets.cores import core_of
        >>> pace = Pace(rate=12800.0, hop=512, push=150_000, hop_instructions=180_000, counted_on="m4f", fixed=False)
        >>> found = real_time(pace, core_of("m4f"), 64.0)
        >>> found.holds, found.arriving, found.queue
        (True, 81, 128)
        >>> print(real_time(pace, core_of("m4f"), 4.0))
        real time on Cortex-M4F at 4 MHz: does not hold: needs about 1.9 times the clock; take a longer hop, ...
    """
    if core.cycles is None or core.counted_as != pace.counted_on:
        return None
    # Float32 of a core with an FPU is no count for one without.
    if core.id != pace.counted_on and not core.fpu and not pace.fixed and pace.counted_on != "m0":
        return None
    each = core.cycles
    hertz = 1e6 * mhz
    load = tuple(cycles * pace.hop_instructions / hertz * pace.rate / pace.hop for cycles in each)
    push = tuple(1e3 * cycles * pace.push / hertz for cycles in each)
    arriving = math.ceil(push[2] / 1e3 * pace.rate)
    return RealTime(
        where or core.title,
        mhz,
        (load[0], load[1], load[2]),
        (push[0], push[1], push[2]),
        arriving,
        not (core.fpu or pace.fixed),
    )


def hop_ms(pace: Pace, core: Core, mhz: float) -> tuple[float, float, float]:
    """Milliseconds of all calls of a hop on a core whose cycles are known: the least, the likely and the most."""
    assert core.cycles is not None
    low, likely, high = (cycles * pace.hop_instructions / mhz / 1e3 for cycles in core.cycles)
    return low, likely, high


def current_of(found: RealTime, pace: Pace, board: Board) -> str | None:
    """What a board draws, without a break and with a window a minute, in a sentence; None where its currents are not known."""
    if board.active_ma is None or board.sleep_ua is None or not found.holds:
        return None
    # A slower clock draws less for longer.
    active = board.active_ma * found.mhz / board.mhz
    awake = found.load[1] * pace.window / pace.rate / 60
    drawn = [1e3 * share * active + (1 - share) * board.sleep_ua for share in (found.load[1], min(1.0, awake))]
    return (
        f"current of {board.id} alone: about {_microamperes(drawn[0])} without a break, {_microamperes(drawn[1])} with a "
        "window a minute and sleep in between (APP_EVERY); sensor, radio and regulator come on top"
    )


def _microamperes(value: float) -> str:
    return f"{value / 1e3:.2g} mA" if value >= 1000 else f"{value:.2g} uA" if value < 100 else f"{value:.0f} uA"


def queue_of(arriving: int) -> int:
    """The size of a queue, a power of two, for the samples that arrive during a push and the one that is being taken."""
    return 1 << math.ceil(math.log2(arriving + 1)) if arriving > 1 else 2
