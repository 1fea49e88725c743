"""A run of the firmware on an emulated core, as a report keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Emulated:
    """A run of the firmware on one emulated core, compared with Python window by window.

    `flash` is .text and .data, `ram` .data, .bss and the stack that was used, in bytes, of the program including its
    semihosting. Instructions are those of one window: of its features, and of one inference.
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

    @property
    def equal(self) -> bool:
        """Whether all results are equal to Python's."""
        return not (
            self.differing_features or self.differing_outputs or self.differing_scores or self.differing_decisions
        )
