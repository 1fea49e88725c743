"""Where samples come from: what is typed for a serial port, a UDP or MQTT sender, a file or standard input."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Kind = Literal["serial", "udp", "mqtt", "file", "stdin"]
USUAL_BAUD = 115_200
MQTT_PORT, MQTTS_PORT = 1883, 8883
SHAPES = (
    "serial:/dev/ttyUSB0?baud=115200, udp://127.0.0.1:5005, mqtt://host:1883/topic, a file, or - for standard input"
)


@dataclass(frozen=True)
class Source:
    """Where samples come from.

    Attributes:
        text: As it was typed, without a password.
        kind: Of its connection.
        place: A device, a host, a file; empty for standard input.
        port: Of UDP and MQTT.
        topic: Of MQTT.
        baud: Of a serial port.
        tls: Whether MQTT is encrypted, and the broker's certificate checked.
        user, password: With which a broker is asked; None for none.
    """

    text: str
    kind: Kind
    place: str = ""
    port: int = 0
    topic: str = ""
    baud: int = USUAL_BAUD
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def has_clock(self) -> bool:
        """Whether samples come as they are measured, so that the time at which they come says how fast."""
        return self.kind in ("serial", "udp", "mqtt")

    @property
    def in_order(self) -> bool:
        """Whether what comes later was sent later; datagrams may overtake each other."""
        return self.kind != "udp"


def parse_source(text: str, *, anywhere: bool = False, user: str | None = None, password: str | None = None) -> Source:
    """A source as it is typed.

    Args:
        text: As in `SHAPES`.
        anywhere: Whether UDP may be received from other machines; otherwise the address must be of this one.
        user: With which an MQTT broker is asked; it and the password are no part of `Source.text`.
        password: Of the user.

    Raises:
        ValueError: Says what was meant and what is wrong with it.

    Examples:
        >>> from micro.live.source import parse_source
        >>> parse_source("serial:/dev/ttyACM0?baud=9600").baud
        9600
        >>> parse_source("udp://127.0.0.1:5005").port
        5005
        >>> parse_source("udp://5005")
        Traceback (most recent call last):
        ValueError: udp://5005 has no port; a source is serial:/dev/ttyUSB0?baud=115200, udp://127.0.0.1:5005, ...
    """
    if text == "-":
        return Source(text, "stdin")
    if text.startswith("serial:"):
        return _serial(text)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme is None:
        return Source(text, "file", text)
    if scheme[1] not in ("udp", "mqtt", "mqtts"):
        raise ValueError(f"{text}: {scheme[1]} is not known; a source is {SHAPES}")
    source = _of_network(text, anywhere)
    return replace(source, user=user, password=password) if source.kind == "mqtt" else source


def _serial(text: str) -> Source:
    place, _, query = text.removeprefix("serial:").partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    baud = given.pop("baud", str(USUAL_BAUD))
    if given:
        raise ValueError(f"{text}: {next(iter(given))!r} is no setting of a serial port; baud is, as in ?baud=115200")
    if not place:
        raise ValueError(f"{text} names no port; a source is {SHAPES}")
    if not baud.isascii() or not baud.isdecimal() or not 50 <= int(baud) <= 20_000_000:
        raise ValueError(f"{text}: baud must be 50 to 20000000, got {baud!r}")
    return Source(text, "serial", place, baud=int(baud))


def _of_network(text: str, anywhere: bool) -> Source:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"{text}: {error}; a source is {SHAPES}") from None
    if not host:
        raise ValueError(f"{text} names no host; a source is {SHAPES}")
    if parts.username is not None or parts.password is not None:
        # It would be seen by all who list processes, and stand in the file beside the recording.
        raise ValueError(
            f"{host}: a name or password cannot stand in the source; give --user, and the password in KERAS_KD_MQTT_PASSWORD"
        )
    if parts.scheme == "udp":
        if port is None:
            raise ValueError(f"{text} has no port; a source is {SHAPES}")
        if not anywhere and not _of_this_machine(host):
            raise ValueError(
                f"{text}: {host} may receive from other machines, whoever they are; add --anywhere if that is meant, or take "
                "127.0.0.1"
            )
        return Source(text, "udp", host, port)
    topic = unquote(parts.path.removeprefix("/")) + (f"?{parts.query}" if parts.query else "")
    topic += f"#{parts.fragment}" if parts.fragment else ""
    if not topic or "#" in text or "+" in topic:
        raise ValueError(f"{text} must name one topic, without wildcards, as in mqtt://host:1883/pump/acceleration")
    tls = parts.scheme == "mqtts"
    usual = MQTTS_PORT if tls else MQTT_PORT
    return Source(text, "mqtt", host, usual if port is None else port, topic, tls=tls)


def _of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
