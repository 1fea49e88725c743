"""A run of the firmware on an emulated core, as a report keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorCount:
    """The instructions of one operator of an inference.

    Attributes:
        op: Its name in the schema of TFLite.
        output: The tensor that it computes.
        instructions: As counted.
        estimate: As `keras-kd inspect` estimates them; None where its kernel's cost is not known.
    """

    op: str
    output: str
    instructions: int
    estimate: int | None


@dataclass(frozen=True)
class Emulated:
    """A run of the firmware on one emulated core, compared with Python window by window.

    `flash` is .text and .data, `ram` .data, .bss and the stack that was used, in bytes, of the program including its
    semihosting. Instructions are those of one window: of its features, and of one inference. `operators` has those of each
    operator, counted in a program of its own; reports of earlier versions have none. The longest push is the call that takes
    one sample and takes longest, and a hop's instructions are those of all its pushes; None of text and of earlier reports.
    """

    core: str
    windows: int
    differing_features: int
    differing_outputs: int
    differing_scores: int
    differing_decisions: int
    flash: int
    ram: int
    stack: int
    front_end_instructions: int
    inference_instructions: int
    compiler: str
    operators: tuple[OperatorCount, ...] = ()
    longest_push_instructions: int | None = None
    hop_instructions: int | None = None

    @property
    def equal(self) -> bool:
        """Whether all results are equal to Python's."""
        return not (
            self.differing_features or self.differing_outputs or self.differing_scores or self.differing_decisions
        )
