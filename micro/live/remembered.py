"""The windows that later results still follow from, so that hours of a stream take no more memory or time than minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from micro.detection.detector import Detector, Status
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import Recognition, Recognizer

Window = TypeVar("Window")


@dataclass
class Remembered(Generic[Window]):
    """Windows of a stream without those that no later result follows from.

    A decider that starts with `windows` and goes on gives the results of one that has seen all of them.

    Attributes:
        decider: Whose results they are.
        windows: In their order, without those in which the sensor is at fault: these change nothing.
    """

    decider: Decider
    windows: list[Window] = field(default_factory=list)
    _event: int | None = None

    def add(self, window: Window, result: IntEnum, *, faulty: bool) -> None:
        """Remember a window, with the result at its end."""
        if faulty:
            return
        self.windows.append(window)
        decider = self.decider
        if isinstance(decider, Detector):
            self._add_to_alarm(decider, result == Status.ALARM)
        elif isinstance(decider, Recognizer) and decider.suppression:
            self._add_to_suppression(decider, result == Recognition.RECOGNIZED)
        else:
            keep = decider.history if isinstance(decider, Labeler | Recognizer) else 0
            del self.windows[: max(0, len(self.windows) - keep)]

    def forget(self) -> None:
        """The decider was reset."""
        self.windows, self._event = [], None

    def _add_to_alarm(self, detector: Detector, alarm: bool) -> None:
        if not alarm and self._event is not None:
            self.forget()  # an alarm that ends leaves the detector as it was at first
        elif not alarm:
            self.windows = self.windows[-detector.history :]
        elif self._event is None:
            self._event = len(self.windows)
        else:
            # What began the alarm, and the windows of which enough that are quiet end it.
            later = self.windows[self._event :]
            self.windows = self.windows[: self._event] + later[-detector.clear_after :]

    def _add_to_suppression(self, recognizer: Recognizer, recognized: bool) -> None:
        if recognized:
            self._event = len(self.windows)
        elif self._event is None:
            self.windows = self.windows[-recognizer.history :]
        elif len(self.windows) - self._event >= recognizer.suppression:
            self.forget()
