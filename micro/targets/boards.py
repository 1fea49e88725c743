"""The table of boards, read from boards.toml."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

Basis = Literal["measured", "table", "headline"]
KIB = 1024


@dataclass(frozen=True)
class Board:
    """A board or chip, and what documents say of it. None is unknown.

    Attributes:
        id: As it is typed.
        board, chip: Names.
        core: A core of `micro.targets.cores`.
        flash: Bytes of flash for a program.
        external_flash: Whether that flash lies beside the chip and is read through a cache.
        ram: Bytes of the largest array that a program can have.
        mhz: The highest clock.
        volts: Supply at which the currents hold.
        active_ma: Current in mA while the CPU computes at `mhz`.
        basis: What `active_ma` rests on: 'measured' on the board in inference, the data sheet's 'table' for that clock, or the
            'headline' of its first page, which boards that were measured exceed by a factor of two to five.
        sleep_ua: Current in uA between windows, RAM kept, woken by a timer.
        memory_source, current_source: The documents.
        memory_checked: A page that was opened and has the same flash, RAM and clock; None where `memory_source` is cited by
            name alone.
    """

    id: str
    board: str
    chip: str
    core: str
    flash: int
    external_flash: bool
    ram: int
    mhz: float
    volts: float | None
    active_ma: float | None
    basis: Basis | None
    sleep_ua: float | None
    memory_source: str
    current_source: str | None
    memory_checked: str | None


@cache
def all_boards() -> tuple[Board, ...]:
    """Every board of the table, in its order."""
    raw = tomllib.loads((resources.files("micro.targets") / "boards.toml").read_text(encoding="utf-8"))
    return tuple(
        Board(
            id=each["id"],
            board=each["board"],
            chip=each["chip"],
            core=each["core"],
            flash=round(each["flash_kib"] * KIB),
            external_flash=each.get("flash") == "external",
            ram=each["ram_kib"] * KIB,
            mhz=each["mhz"],
            volts=each.get("volts"),
            active_ma=each.get("active_ma"),
            basis=each.get("basis"),
            sleep_ua=each.get("sleep_ua"),
            memory_source=each["memory_source"],
            current_source=each.get("current_source"),
            memory_checked=each.get("checked"),
        )
        for each in raw["board"]
    )


def board_of(name: str) -> Board:
    """The board with that id, in upper or lower case.

    Raises:
        ValueError: Names similar boards, or all of them.

    Examples:
        >>> from micro.targets.boards import board_of
        >>> board_of("nRF52840").mhz
        64
    """
    known = {board.id: board for board in all_boards()}
    if name.lower() in known:
        return known[name.lower()]
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5) or list(known)
    raise ValueError(
        f"there is no board {name!r}; {'did you mean' if len(close) < 4 else 'known are'} {', '.join(close)}"
    )
