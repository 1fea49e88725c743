"""How many lines came, and how many of them were no samples, and why."""

from __future__ import annotations

from dataclasses import dataclass

from micro.support.wording import counted


@dataclass
class Counts:
    """What came of a source.

    Attributes:
        samples: Lines that were samples.
        lost: Samples that did not come or could not be read, as far as that is known: by sequence numbers or damaged lines.
        damaged: Lines that could not be read.
        cut: Lines whose beginning or end was missing, and headers that are not as they were sent.
        unnamed: Rows of firmware that came before it said what they hold.
        text: Lines of words, as a board prints them when it starts.
        late: Datagrams that came twice, or behind a later one.
        dropped: Datagrams that came while this machine had no room for them.
        restarts: How often the board or the connection began again.
        first_damaged: What was wrong with the first damaged line.
    """

    samples: int = 0
    lost: int = 0
    damaged: int = 0
    cut: int = 0
    unnamed: int = 0
    text: int = 0
    late: int = 0
    dropped: int = 0
    restarts: int = 0
    first_damaged: str = ""

    def words(self) -> str:
        """All of them in a sentence, without what did not happen.

        Examples:
            >>> from micro.live.counts import Counts
            >>> Counts(samples=200, lost=3, damaged=1, first_damaged="'1,x' is no number").words()
            "200 samples; 3 samples lost; 1 damaged line (the first: '1,x' is no number)"
        """
        found = [counted(self.samples, "sample")]
        found += [f"{counted(self.lost, 'sample')} lost"] if self.lost else []
        if self.damaged:
            found.append(f"{counted(self.damaged, 'damaged line')} (the first: {self.first_damaged})")
        for number, what in (
            (self.cut, "line cut off"),
            (self.unnamed, "row before its header"),
            (self.text, "line of text"),
            (self.late, "datagram twice or too late"),
            (self.dropped, "datagram dropped, as this machine was too slow"),
            (self.restarts, "restart"),
        ):
            if number:
                one, _, rest = what.partition(" ")
                found.append(f"{counted(number, one)}{' ' + rest if rest else ''}")
        return "; ".join(found)
