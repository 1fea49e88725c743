"""Bytes as they come, cut into lines: the same lines wherever the bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass

# The longest line that is taken for one; what goes on for longer is no table.
LONGEST = 1 << 16


@dataclass(frozen=True)
class Line:
    """A line without its end.

    Attributes:
        text: Characters; None where the bytes are no text.
        begun: Whether its beginning may be missing, as it was the first to come.
    """

    text: str | None
    begun: bool = True


@dataclass
class LineCutter:
    """What has come of a line that is not complete.

    Attributes:
        held: Its bytes.
        partial: Whether its beginning may be missing.
        too_long: Whether it is left out up to its end.

    Examples:
        >>> from micro.live.lines import LineCutter
        >>> cutter = LineCutter()
        >>> [line.text for part in (b"1,2", b"\\r", b"\\n3,4\\n5") for line in cutter.lines(part)]
        ['1,2', '3,4']
    """

    held: bytes = b""
    partial: bool = False
    too_long: bool = False

    def lines(self, content: bytes) -> list[Line]:
        """The lines that end with these bytes."""
        *ended, rest = (self.held + content).split(b"\n")
        found = []
        for each in ended:
            found.append(Line(None if self.too_long or len(each) > LONGEST else _text(each), not self.partial))
            self.partial, self.too_long = False, False
        self.too_long = self.too_long or len(rest) > LONGEST
        self.held = b"" if self.too_long else rest
        return found

    def cut_off(self) -> bool:
        """Forget what is held, as its rest will not come; whether there was anything."""
        there = bool(self.held.strip()) or self.too_long
        self.held, self.too_long = b"", False
        return there


def message_lines(content: bytes) -> list[Line]:
    """The lines of a message that holds whole ones; an end of the last is not needed."""
    return [Line(_text(each)) for each in content.split(b"\n") if each.strip()]


def _text(line: bytes) -> str | None:
    try:
        text = line.decode("utf-8").strip("\r\ufeff").strip()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
