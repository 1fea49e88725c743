"""One file as a survey sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from micro.look.channels import Channel, Curve


@dataclass(frozen=True)
class Surveyed:
    """One file: rows, sample rate in Hz where it is known, gaps in time, channels, and rows of each label or run; a picture's
    height and width; the column that a regression predicts; the rows of the longest stretch of each label; and curves of the
    first channels where they are to be drawn."""

    name: str
    path: Path
    rows: int
    rate: float | None
    gaps: int
    channels: tuple[Channel, ...]
    labels: Mapping[str, int]
    image_size: tuple[int, int] | None = None
    target: Channel | None = None
    stretches: Mapping[str, int] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
