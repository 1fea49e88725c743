"""What an emitted project says of the channels that its sensor gives."""

from __future__ import annotations

from dataclasses import dataclass

from micro.runs.report_parts import DataReport


@dataclass(frozen=True)
class Channel:
    """A channel by its name in the training data, and its unit there; '' where no file names one."""

    name: str
    unit: str = ""


def channels_of(data: DataReport) -> list[list[Channel]]:
    """Of the main source and of each further one, in the order in which a sample holds them."""
    sources = [(data.channels, data.units), *((source.channels, source.units) for source in data.sources)]
    return [[Channel(name, units.get(name, "")) for name in names] for names, units in sources]
