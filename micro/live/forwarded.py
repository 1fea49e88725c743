"""The lines of firmware that forwards: what its first line says, and the check at the end of each.

A board sends a line such as `# keras-kd forward 1, samples, 100 Hz, 25107`, a header that begins with `seq` and ends with
`check`, and then rows. `seq` counts rows (of windows or of samples) from 0, and `check` is a CRC-16 (polynomial 0x1021, from
0xFFFF) of the row up to and including the comma before it; the number of the first line is that of this line up to its last
comma and of the header. Both lines come again from time to time, for whoever listens later.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

FIRST, LAST = "seq", "check"
# Beside the parts: samples are counts of the converter, not values in a unit.
COUNTS = "counts"
# Values of a window in the row of the sample that ends it; channels cannot be called so.
STATUS, SCORE = "status", "score"
# Of several numbers or labels each has one.
SCORES = re.compile(rf"{SCORE}[0-9]*")
ABOUT = re.compile(r"(# keras-kd forward 1, ([a-z, ]+?)(?:, ([0-9.e+-]+) Hz)?,) ([0-9]+)")
# Rows are counted in 32 bits.
TURN = 1 << 32


@dataclass(frozen=True)
class Forward:
    """What firmware says of the rows that it sends: `parts` such as 'samples' and 'scores', and rows a second, if it knows.

    'counts' among the parts says that samples are the converter's counts, as firmware in fixed point takes them.
    """

    parts: tuple[str, ...]
    rate: float | None


def about(parts: Sequence[str], rate: float | None, header: str) -> str:
    """The line above a header.

    Examples:
        >>> from micro.live.forwarded import about
        >>> about(["samples"], 100.0, "seq,x,check")
        '# keras-kd forward 1, samples, 100 Hz, 45625'
    """
    line = f"# keras-kd forward 1, {', '.join(parts)},{'' if rate is None else f' {rate:.9g} Hz,'}"
    return f"{line} {check((line + header).encode())}"


def said(line: str, header: str) -> Forward | None:
    """What a line says of the rows below a header; None for any other line, or where one of both is not as it was sent.

    Examples:
        >>> from micro.live.forwarded import about, said
        >>> said(about(["samples"], 100.0, "seq,x,check"), "seq,x,check")
        Forward(parts=('samples',), rate=100.0)
        >>> said(about(["samples"], 100.0, "seq,x,check"), "seq,y,check")
    """
    found = ABOUT.fullmatch(line)
    if found is None or int(found[4]) != check((found[1] + header).encode()):
        return None
    try:
        rate = None if found[3] is None else float(found[3])
    except ValueError:
        return None
    return Forward(tuple(part.strip() for part in found[2].split(",")), rate)


def is_header(names: Sequence[str]) -> bool:
    """Whether names are those of forwarded rows."""
    return len(names) > 2 and (names[0], names[-1]) == (FIRST, LAST)


def window_places(said: Forward | None, names: Sequence[str]) -> tuple[int, ...]:
    """Places of what rows of samples say of the windows that they end: status, scores, class and features, no channels."""
    if said is None or "samples" not in said.parts or STATUS not in names:
        return ()
    return tuple(range(names.index(STATUS), len(names) - 1))


def score_places(said: Forward | None, names: Sequence[str]) -> tuple[int, ...] | None:
    """Those of the status and of the scores, one or several, where rows of samples have them.

    Examples:
        >>> from micro.live.forwarded import Forward, score_places
        >>> names = ["seq", "x", "status", "score0", "score1", "f0", "check"]
        >>> score_places(Forward(("samples", "scores", "features"), 100.0), names)
        (2, 3, 4)
    """
    if said is None or "scores" not in said.parts:
        return None
    places = window_places(said, names)
    return tuple(place for place in places if names[place] == STATUS or SCORES.fullmatch(names[place])) or None


def check(content: bytes) -> int:
    """CRC-16 of bytes, 0 to 65535, as the firmware computes it.

    Source: CRC-16/IBM-3740 of the CRC catalogue, formerly called CRC-CCITT.

    Examples:
        >>> from micro.live.forwarded import check
        >>> hex(check(b"123456789"))
        '0x29b1'
    """
    return binascii.crc_hqx(content, 0xFFFF)


def is_whole(line: str) -> bool:
    """Whether a row's check is that of what stands before it."""
    rest, comma, last = line.rpartition(",")
    return last.isascii() and last.isdecimal() and int(last) == check((rest + comma).encode())
