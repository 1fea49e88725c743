"""The last row of a text file that ends in the middle of it, as that of a logger that lost power does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets.lines import COMMENTED, Block, records

# Rows before the last that say how long its last value would be, the fewest of them, and the lines in which they stand.
NEIGHBORS, FEWEST, LINES = 50, 8, 200


@dataclass
class CutRow:
    """Takes the row in which a file ends off its last block; `said` is a sentence on it, '' where there is none."""

    names: Sequence[str]
    config: FilesData
    said: str = ""
    before: str = ""

    def whole(self, block: Block) -> Block:
        """A block without the row in which the file ends; blocks come in their order."""
        if not block.last:
            self.before = block.text
            return block
        if block.ended:
            return block
        width = len(self.names)
        # A quoted cell may go over lines, and begin in any of them.
        lines = block.text.split("\n")[:-1]
        first = 0 if '"' in block.text else max(0, len(lines) - LINES)
        near = list(records("\n".join(lines[first:]) + "\n", block.line + first, self.config, width))
        if not near or lines[-1] == COMMENTED:
            return block
        line, _, cells = near[-1]
        near = near[:-1]
        if len(near) < NEIGHBORS and '"' not in self.before:
            earlier = "\n".join(self.before.split("\n")[-LINES:])
            near = [*records(earlier, 0, self.config, width), *near]
        why = self._why(cells, [row for _, _, row in near[-NEIGHBORS:] if len(row) == width])
        if not why:
            return block
        self.said = f"it ends in the middle of a row, line {line}: {why}; that row is left out"
        return replace(block, text="".join(f"{text}\n" for text in lines[: line - block.line]))

    def _why(self, cells: Sequence[str], near: Sequence[Sequence[str]]) -> str:
        """What shows that a row is cut off; '' where nothing does."""
        width = len(self.names)
        if len(cells) < width:
            # A separator at the end of every row begins no column.
            wanted = width - (not self.names[-1])
            if len(cells) < wanted:
                return f"{len(cells)} of {wanted} values"
            return "its last value may be cut off"
        if len(cells) > width or len(near) < FEWEST:
            return ""
        last = cells[-1].strip()
        return f"its last value, {last!r}, seems cut off" if _seems_cut(last, [row[-1].strip() for row in near]) else ""


def _seems_cut(last: str, near: Sequence[str]) -> bool:
    """Whether the last value of a file is a beginning of one such as those before it: nothing where they have something, a
    sign, fewer decimals, a number of far fewer digits, or a part of a word."""
    if last in near or not all(near):
        return False
    if not last:
        return True
    decimals = [_decimals(text) for text in near]
    if None not in decimals:
        fewest, own = min(each for each in decimals if each is not None), _decimals(last)
        if own is None:
            return not any(letter.isalpha() for letter in last.lower().replace("e", ""))
        if fewest >= 2:
            return own < fewest
        return len(last) <= min(map(len, near)) - 2
    return any(text.startswith(last) for text in near)


def _decimals(text: str) -> int | None:
    """Digits behind the decimal mark, point or comma, of a plain number, with those of its exponent; None for other text."""
    plain = text.replace(",", ".", 1)
    if not cell.NUMBER.fullmatch(plain):
        return None
    return len(plain.partition(".")[2])
