"""What a log holds of one device, gathered while it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from micro.monitoring.lines import Rows
from micro.monitoring.sessions import Session, extend
from micro.monitoring.statuses import CALIBRATING, LEARNING, chosen, plain, without_faultless


@dataclass
class Gathered:
    """What has been read of one device; grows while the log is read.

    Attributes:
        sessions: Of windows that the device judged.
        first: Of the windows that it calibrated its threshold on, in stretches.
        left_out: Windows without a score though the sensor was in order, by status.
        forgotten: Windows with a score from before it learned its machine again.
    """

    sessions: list[Session] = field(default_factory=list)
    first: list[Session] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0


def gather(gathered: Gathered, rows: Rows, block: int) -> None:
    """Add rows of one device; those of before it learned its machine again are forgotten."""
    if (rows.statuses != "").any():
        learning = np.flatnonzero(plain(rows.statuses) == LEARNING)
        if len(learning):
            before = rows.scores[: learning[-1]]
            both = (*gathered.sessions, *gathered.first)
            gathered.forgotten += sum(one.windows for one in both) + int(np.isfinite(before).sum())
            gathered.sessions.clear()
            gathered.first.clear()
            gathered.left_out.update([LEARNING] * len(learning))
            rows = chosen(rows, np.arange(len(rows.scores)) > learning[-1])
        rows = without_faultless(rows, gathered.left_out)
        own = (plain(rows.statuses) == CALIBRATING) if len(rows.statuses) else np.zeros(0, bool)
        if own.any():
            calibrating = chosen(rows, own)
            calibrating.sessions[:] = ""
            extend(gathered.first, calibrating, block)
            rows = chosen(rows, ~own)
    extend(gathered.sessions, rows, block)
