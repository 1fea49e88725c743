"""Units in the names of columns, such as 'Vibration X [g]', 'Temp (°C)', 'Druck / bar' and 'Drehzahl in 1/min'."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from micro.support.patterns import matches_name

# What instruments measure in, without what stands before it for thousands or thousandths.
_SCALED = "m|g|gn|g_n|s|sec|Hz|V|Vrms|A|Arms|W|VA|var|VAr|N|Nm|Pa|bar|J|Wh|F|T|H|L|l|Ohm|ohm|Ω|Ω|K|ε|eps|strain|rad|S|C"
_WHOLE = (
    "min|h|d|psi|°|deg|degC|degF|°C|°F|℃|℉|%|‰|ppm|dB|dBA|rpm|RPM|U|Umin|rev|r|in|ips|mil|mils|lb|lbs|lbf|kgf|counts?|"
    "LSB|digits?|mmHg|inHg|mWS|SPM|RH|gE|FS|imp|Imp|pulses?|cycles?"
)
_ONE = rf"(?:(?:[numkMGdchµμ]|da)?(?:{_SCALED})|{_WHOLE}|1)(?:rms|RMS|pp|pk)?(?:\^?\(?-?[1-4]\)?|[²³⁻¹]+)?"
_UNIT = re.compile(rf"{_ONE}(?: ?[/·*. ] ?{_ONE})*(?: ?\(?(?:rms|RMS|pp|pk|peak|A|g|abs|rel)\)?)?")
# How a name ends in a unit: in brackets, behind a slash or a comma with a blank, or behind 'in'.
_ENDINGS = (
    re.compile(r"^(.*?\S)\s*\[([^\[\]]{1,20})\]$"),
    re.compile(r"^(.*?\S)\s*\(((?:[^()]|\([^()]*\)){1,20})\)$"),
    re.compile(r"^(.*?\S)(?:\s+/\s*|,\s+|\s+in\s+)(\S{1,12})$"),
)


def named_unit(name: str) -> str:
    """The unit that a column's name ends in, '' where it ends in none.

    >>> [named_unit(each) for each in ("Vibration X [g]", "Temp (°C)", "Druck / bar", "n in 1/min", "Sensor (left)", "a/b")]
    ['g', '°C', 'bar', '1/min', '', '']
    """
    return _split(name)[1]


def units_in(channels: Sequence[str], header: Sequence[str]) -> dict[str, str]:
    """By channel, the unit that its column's name ends in; none where a letter in brackets tells columns apart.

    Args:
        channels: Names of columns, or patterns of them.
        header: Names of a file's columns.
    """
    called = {channel: _column(channel, header) for channel in channels}
    stems = Counter(_stem(name) for name in dict.fromkeys((*called.values(), *header)))
    found: Mapping[str, tuple[str, str]] = {channel: _split(name) for channel, name in called.items()}
    # Of 'Sensor (A)' and 'Sensor (B)' the letters are no units.
    return {
        channel: unit
        for channel, (stem, unit) in found.items()
        if unit and not (len(unit) == 1 and unit.isupper() and stems[stem] > 1)
    }


def _column(channel: str, header: Sequence[str]) -> str:
    """The column that a channel is, which a pattern may name."""
    matching = [name for name in header if matches_name(name, channel)]
    return channel if channel in header or len(matching) != 1 else matching[0]


def _stem(name: str) -> str:
    """A name without what stands in brackets at its end, whatever that is."""
    return re.sub(r"\s*[\[(][^\[\]()]*[\])]$", "", name.strip())


def _split(name: str) -> tuple[str, str]:
    """A column's name and the unit that it ends in; the whole name and '' where it ends in none."""
    for ending in _ENDINGS:
        match = ending.match(name.strip())
        if match is not None and _is_unit(match[2].strip()):
            return match[1], match[2].strip()
    return name, ""


def _is_unit(text: str) -> bool:
    with contextlib.suppress(UnicodeError):
        text = text.encode("cp1252").decode("utf-8")  # UTF-8 that was read in another encoding
    plain = unicodedata.normalize("NFC", text)
    return plain not in ("1", "d", "h", "S", "C", "U", "r", "in") and _UNIT.fullmatch(plain) is not None
