"""Write the tables of docs/boards.md from the boards and the fitted constants in micro/targets.

Usage: python scripts/board_table.py [--check]. With --check nothing is written: the exit code is 1 where the page is not what
would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from micro.firmware.qemu import EMULATED
from micro.targets.boards import Board, all_boards
from micro.targets.cores import Core, all_cores, static_c, tflm

PAGE = Path(__file__).parents[1] / "docs" / "boards.md"


def board_row(board: Board) -> str:
    core = all_cores()[board.core]
    active = "" if board.active_ma is None else f"{board.active_ma:g} mA at {board.volts:g} V, {board.basis}"
    sleep = "" if board.sleep_ua is None else f"{board.sleep_ua:g} uA"
    outside = " (beside the chip)" if board.external_flash else ""
    checked = "" if board.memory_checked is None else f"checked: {board.memory_checked}"
    sources = "; ".join(filter(None, (board.memory_source, checked, board.current_source)))
    return (
        f"| `{board.id}` | {board.board}: {board.chip} | {core.title} | {board.mhz:g} "
        f"| {board.flash / 1024:,.5g} KiB{outside} | {board.ram / 1024:,.5g} KiB | {active} | {sleep} | {sources} |"
    )


def core_row(core: Core) -> str:
    cycles, error, counted = "", "", ""
    if core.cycles is not None and core.counted_as is not None:
        least, likely, most = core.cycles
        low, high = static_c(core.counted_as).error
        cycles, error = f"{likely:g} ({least:g} to {most:g})", f"{100 * low:+.0f} to {100 * high:+.0f} %"
        counted = (EMULATED.get(core.counted_as) or all_cores()[core.counted_as]).title.partition(",")[0]
    known = tflm(core.id)
    times = ""
    if known is not None:
        low, high = known.error
        times = f"{known.kernels}, {100 * low:+.0f} to {100 * high:+.0f} %: {', '.join(known.boards)}"
    features = f"{'FPU' if core.fpu else 'no FPU'}, {core.simd if core.simd != 'none' else 'no SIMD'}"
    return (
        f"| `{core.id}` | {core.title} | {features} | {counted or 'unknown'} | {error} | {cycles} "
        f"| {core.cycles_source or ''} | {times or 'unknown'} |"
    )


def tables() -> dict[str, str]:
    """What stands between each pair of marks."""
    boards = [
        "| id | board | core | MHz | flash | RAM | active | asleep | sources |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(board_row, all_boards()),
    ]
    cores = [
        "| id | core | has | static C counted on | error of the count | cycles an instruction | from "
        "| TFLite Micro: kernels, error, boards |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(core_row, all_cores().values()),
    ]
    return {"boards": "\n".join(boards), "cores": "\n".join(cores)}


def written(page: str) -> str:
    """The page with its tables as they are now."""
    for name, table in tables().items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = page.partition(start)
        page = before + start + table + end + rest.partition(end)[2]
    return page


def main() -> None:
    page = PAGE.read_text()
    if "--check" in sys.argv:
        raise SystemExit(int(page != written(page)))
    PAGE.write_text(written(page))


if __name__ == "__main__":
    main()
