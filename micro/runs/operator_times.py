"""The time of each operator of a student on the core that it is for, as a report shows it."""

from __future__ import annotations

from dataclasses import asdict

from micro.config import BudgetConfig
from micro.program.operators import operator_shares
from micro.program.size import Model
from micro.runs.chip_report import OperatorTime, TimeReport
from micro.targets.boards import board_of
from micro.targets.cores import core_of
from micro.targets.units import parse_latency

# What time is shown for where the budget names neither a board nor a core and its clock.
CORE, MHZ = "m4f", 64.0


def time_report(model: Model, budget: BudgetConfig) -> TimeReport:
    """The time of each operator with the budget's runtime, on its board or core; a Cortex-M4F at 64 MHz where it names none."""
    board = None if budget.board is None else board_of(budget.board)
    core = core_of(board.core if board else budget.core or CORE)
    clock = None if budget.latency is None else parse_latency(budget.latency, "budget.latency").mhz
    mhz = clock or (board.mhz if board else MHZ)
    shares, time = operator_shares(model, budget.runtime, core, mhz)
    return TimeReport(
        core=core.title,
        mhz=mhz,
        runtime=budget.runtime,
        milliseconds=time.milliseconds(mhz),
        basis=time.basis,
        operators=tuple(OperatorTime(**asdict(each)) for each in shares.values()),
    )
