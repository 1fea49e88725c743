"""How long the operators of a net take on a core: instructions, cycles and their range, and what is known of the error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from micro.targets.cores import Core, Runtime, Tflm, static_c, tflm
from micro.targets.work import Work, cost_of

UNCHECKED = "estimate, not checked on a real board"


@dataclass(frozen=True)
class OperatorTime:
    """What one operator takes.

    Attributes:
        op: Its name.
        macs: Steps of its innermost loop.
        instructions: With static C; None with TFLite Micro and on AVR, of which cycles alone are known.
        cycles: The likely number; None where the core has no estimate for this operator.
    """

    op: str
    macs: int
    instructions: float | None
    cycles: float | None


@dataclass(frozen=True)
class Timing:
    """What an inference takes on a core.

    Attributes:
        operators: One by one, in the order in which they run.
        cycles: All of them: the least, the likely and the most; None where there is no estimate.
        basis: What the estimate rests on and how far off it can be, in a sentence; or why there is none.
        checked: Whether it was compared with times of real boards.
    """

    operators: tuple[OperatorTime, ...]
    cycles: tuple[float, float, float] | None
    basis: str
    checked: bool

    def milliseconds(self, mhz: float) -> tuple[float, float, float] | None:
        """The least, the likely and the most milliseconds at a clock."""
        if self.cycles is None:
            return None
        low, likely, high = (each / mhz / 1e3 for each in self.cycles)
        return low, likely, high


def timing(works: Sequence[Work], core: Core, runtime: Runtime, external_flash: bool = False) -> Timing:
    """What the operators of a net take on a core.

    Args:
        works: The size of each operator.
        runtime: 'static' for static C, 'tflm' for TFLite Micro with the fastest kernels that the core has.
        external_flash: Whether weights are read from flash beside the chip.
    """
    if runtime == "static":
        return _of_static_c(works, core, external_flash)
    known = tflm(core.id)
    if core.tflm_kernels == "none":
        return _unknown(works, f"TFLite Micro does not run on {core.title}")
    if known is None:
        return _unknown(works, f"no published time of TFLite Micro on {core.title} was at hand to fit")
    return _of_tflm(works, known)


def _of_static_c(works: Sequence[Work], core: Core, external_flash: bool) -> Timing:
    if core.counted_as is None or core.cycles is None:
        return _unknown(works, f"instructions of static C on {core.title} were not counted")
    known, (least, likely, most) = static_c(core.counted_as), core.cycles
    reading = core.weight_cycles if external_flash else 0.0

    def instructions(work: Work) -> float | None:
        return cost_of(work, known.costs)

    in_cycles = core.counted_in == "simavr"
    operators = _operators(
        works, instructions, lambda count, work: likely * count + reading * work.weight_bytes, counted=not in_cycles
    )
    total, weights = _total(list(map(instructions, works))), reading * sum(work.weight_bytes for work in works)
    low, high = known.error
    basis = (
        f"{UNCHECKED}: {'cycles' if in_cycles else 'instructions'} counted in {core.counted_in}"
        + ("" if core.counted_as == core.id else f" on another core ({core.counted_as})")
        + f", {_percent(low)} to {_percent(high)} off on nets that the fit has not seen"
        + ("" if in_cycles else f"; {least:g} to {most:g} cycles each")
    )
    if total is None:
        return Timing(operators, None, _missing(operators), False)
    # An estimate that is 20 % too high says that the truth may lie 17 % lower.
    cycles = (least * total / (1 + high) + weights, likely * total + weights, most * total / (1 + low) + weights)
    return Timing(operators, cycles, basis, core.checked)


def _of_tflm(works: Sequence[Work], known: Tflm) -> Timing:
    operators = _operators(works, lambda work: cost_of(work, known.costs), lambda count, work: count, counted=False)
    total = _total([each.cycles for each in operators])
    if total is None:
        return Timing(operators, None, _missing(operators), True)
    low, high = known.error
    basis = (
        f"fitted to {len(known.boards)} board{'s' * (len(known.boards) > 1)} with {known.kernels} kernels; "
        f"{_percent(low)} to {_percent(high)} off on nets and boards that were left out"
    )
    return Timing(operators, (total / (1 + high), total, total / (1 + low)), basis, True)


def _operators(
    works: Sequence[Work],
    instructions: Callable[[Work], float | None],
    cycles: Callable[[float, Work], float],
    counted: bool = True,
) -> tuple[OperatorTime, ...]:
    found = []
    for work in works:
        count = instructions(work)
        found.append(
            OperatorTime(work.op, work.macs, count if counted else None, None if count is None else cycles(count, work))
        )
    return tuple(found)


def _total(each: Sequence[float | None]) -> float | None:
    known = [value for value in each if value is not None]
    return sum(known) if len(known) == len(each) else None


def _missing(operators: Sequence[OperatorTime]) -> str:
    names = sorted({each.op for each in operators if each.cycles is None})
    return f"no time is known for {', '.join(names)}"


def _unknown(works: Sequence[Work], why: str) -> Timing:
    return Timing(tuple(OperatorTime(work.op, work.macs, None, None) for work in works), None, why, False)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:+.0f} %"
