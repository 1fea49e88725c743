"""Parts of a report on the chip: the budget, the model of a hop, and the time of each operator on a core."""

from __future__ import annotations

from micro.runs.report_parts import Part


class BudgetReport(Part):
    """The budget of a config, and what exceeds it."""

    flash: str | None
    ram: str | None
    fits: bool
    broken: tuple[str, ...]
    latency: str | None = None
    energy: str | None = None
    board: str | None = None
    core: str | None = None
    runtime: str = "tflm"


class StreamingReport(Part):
    """The student as a model that takes a hop.

    Attributes:
        hop: Steps in time that it takes.
        hops: Hops of a window.
        state: Bytes that it keeps from hop to hop.
        macs, whole_macs: Multiply-accumulates of a hop, and of a whole window.
        stops: Operators that compute a whole window at each hop, and why.
        verified: Test windows on which both models were compared.
    """

    hop: int
    hops: int
    state: int
    macs: int
    whole_macs: int
    stops: tuple[str, ...]
    verified: int


class OperatorTime(Part):
    """What one operator takes: steps of its innermost loop, instructions of static C, fraction of the time, milliseconds."""

    op: str
    steps: int
    instructions: int | None
    share: float | None
    milliseconds: float | None


class TimeReport(Part):
    """What an inference takes on a core, as estimated: the least, the likely and the most milliseconds, and each operator."""

    core: str
    mhz: float
    runtime: str
    milliseconds: tuple[float, float, float] | None
    basis: str
    operators: tuple[OperatorTime, ...]
