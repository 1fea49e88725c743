"""Whether a run's firmware keeps up with its sensor, in sentences, by what was counted on emulated cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from micro.program.real_time import USUAL_MHZ, Pace, RealTime, current_of, real_time
from micro.targets.boards import Board, board_of
from micro.targets.cores import core_of
from micro.targets.units import parse_latency

if TYPE_CHECKING:
    from micro.config import Config
    from micro.runs.emulated import Emulated
    from micro.runs.run_report import RunReport
    from micro.signal.bearing_monitor import BearingMonitor


def real_times(
    report: RunReport,
    config: Config,
    emulated: Sequence[Emulated] | None = None,
    board: str | None = None,
    mhz: float | None = None,
) -> tuple[RealTime | str, ...]:
    """Whether a run's firmware keeps up: on a board, or where none is known on each core that was emulated.

    Args:
        report, config: Of a finished run.
        emulated: What was counted; None for what the report has.
        board: A board of `micro.targets.boards`; None for the config's.
        mhz: A clock; None for that of the config's latency, or the board's highest, or 64 MHz where there is no board.

    Returns: For each its real time, of a board also its current in a sentence, or a sentence that says why it is not known;
    empty for text, pictures and recordings without a sample rate.

    Raises:
        ValueError: For an unknown board, or a clock above the board's.
    """
    name = board or config.budget.board
    on = None if name is None else board_of(name)
    if mhz is None and board in (None, config.budget.board) and config.budget.latency is not None:
        mhz = parse_latency(config.budget.latency, "budget.latency").mhz
    if on is not None and mhz is not None and mhz > on.mhz:
        raise ValueError(f"the clock is {mhz:g} MHz, and {on.id} runs at {on.mhz:g} MHz at most")
    if not _is_timed(report):
        return ()
    if uncounted := _uncounted(report):
        return (uncounted,)
    counted = report.emulated if emulated is None else emulated
    if on is not None:
        return _on_board(report, on, mhz or on.mhz, counted)
    known = (real_time(pace_of(report, each), core_of(each.core), mhz or USUAL_MHZ) for each in counted)
    return tuple(each for each in known if each is not None)


def paces_of(report: RunReport) -> dict[str, Pace]:
    """What samples cost a run's whole firmware, by the core that it was counted on; none where what is counted is not all."""
    if not _is_timed(report) or _uncounted(report):
        return {}
    return {each.core: pace_of(report, each) for each in report.emulated}


def _is_timed(report: RunReport) -> bool:
    """Whether samples come at a rate: not those of text, pictures and recordings without one."""
    return report.features is not None and report.features.sample_rate is not None and report.data.image_size is None


def _uncounted(report: RunReport) -> str:
    """Why what is counted is not all that a run's firmware computes; '' where it is."""
    if report.bearing is not None and report.bearing.monitor is not None:
        return _with_diagnosis(report.bearing.monitor, report.vibration is not None)
    if report.vibration is not None:
        return "real time: not known, as what [vibration] measures beside the rest is not counted"
    return ""


def _with_diagnosis(monitor: BearingMonitor, vibration: bool) -> str:
    """Why real time is not known of firmware that diagnoses a bearing, and what that takes."""
    also = " and what [vibration] measures" if vibration else ""
    return (
        f"real time: not known, as the diagnosis of [bearing]{also} beside the rest is not counted: every "
        f"{monitor.block / monitor.sample_rate:.3g} s one sample takes {monitor.steps:,} more steps of a multiplication and "
        f"two additions in float, and without an FPU each is software; samples that come meanwhile need a queue. RAM "
        f"{monitor.ram_bytes:,} bytes"
    )


def _on_board(report: RunReport, board: Board, mhz: float, counted: Sequence[Emulated]) -> tuple[RealTime | str, ...]:
    """Real time on a board and the current that it draws, or why they are not known."""
    core = core_of(board.core)
    unknown = f"real time on {board.id} at {mhz:g} MHz: not known"
    if core.counted_in != "QEMU" or core.counted_as not in ("m0", "m4f", "m33", "m55"):
        return (f"{unknown}: the firmware's instructions on {core.title} are not counted",)
    found = next((each for each in counted if each.core == core.counted_as), None)
    if found is None:
        return (f"{unknown}: `keras-kd emulate RUN --core {core.counted_as}` counts what it takes",)
    pace = pace_of(report, found)
    known = real_time(pace, core, mhz, board.id)
    if known is None:
        return (
            f"{unknown}: {core.title} has no FPU, and its instructions of a front end in float32 are not counted; with "
            "features.arithmetic = 'fixed' they are",
        )
    current = current_of(known, pace, board)
    return (known,) if current is None else (known, current)


def pace_of(report: RunReport, counted: Emulated) -> Pace:
    """How samples come and what they cost; of reports without counts of pushes, features and model together."""
    front_end = report.features
    assert front_end is not None
    assert front_end.sample_rate is not None
    window = counted.front_end_instructions + counted.inference_instructions
    return Pace(
        front_end.sample_rate,
        front_end.sensor_hop,
        counted.longest_push_instructions or window,
        counted.hop_instructions or window,
        counted.core,
        front_end.arithmetic == "fixed",
        front_end.sensor_window,
    )
