"""A front end as one whose model takes the rows of a hop: windows cut shorter, which end where the whole ones do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from micro.signal.front_end import FrontEnd


@dataclass(frozen=True)
class Hops:
    """Windows of a front end, hop by hop.

    Attributes:
        whole: The front end of whole windows; of raw samples without frames with frames that hops and windows consist of.
        each: The front end of a hop: its windows are the newest rows of whole ones.
        warm_up: Hops until the first whole window is complete. Of the first hop some rows may be before the first sample.

    Examples:
        >>> front_end = micro.FrontEnd("spectrum", window=128, hop=32, bands=4, frame=32, frame_hop=16)
        >>> hops = Hops.of(front_end)
        >>> front_end.shape, hops.each.shape, hops.warm_up, hops.first_rows
        ((7, 4), (2, 4), 4, 1)
    """

    whole: FrontEnd
    each: FrontEnd
    warm_up: int

    @classmethod
    def of(cls, front_end: FrontEnd) -> Hops:
        """The hops of a front end of frames, or of raw samples as they are."""
        if front_end.frame is None:
            length = math.gcd(front_end.window, front_end.hop)
            front_end = replace(front_end, frame=length, frame_hop=length)
        assert front_end.frame_hop is not None
        rows = front_end.hop // front_end.frame_hop
        each = replace(front_end, window=front_end.length + (rows - 1) * front_end.frame_hop)
        return cls(front_end, each, -(-front_end.frames // rows))

    @property
    def first_rows(self) -> int:
        """Rows of the first hop that are not before the first sample."""
        return self.whole.frames - (self.warm_up - 1) * self.each.frames
