"""What comes from a source, as it comes: bytes with the time at which they were read, and what became of the connection."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro.errors import DataError
from micro.live.source import Source
from micro.support.extras import required

# Seconds after which nothing is said to have come, so that whoever waits can look at the clock.
PATIENCE = 0.1
# Bytes read at once, and of the largest datagram.
BLOCK, DATAGRAM = 1 << 16, 1 << 16
# Bytes of datagrams that may wait, as far as the machine gives them, and Linux's SO_RXQ_OVFL, which tells what found no room.
ROOM, COUNTS_DROPPED = 1 << 23, 40
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
# Seconds between attempts to connect again, and for how long.
BETWEEN, LONGEST = 0.5, 60.0
# What is said where a broker refuses, and what may be missing then.
REFUSED = "the broker refuses"
LOGIN = "; --user gives a name, and KERAS_KD_MQTT_PASSWORD its password"


@dataclass(frozen=True)
class Arrival:
    """Bytes that came at once, none if nothing has come for a while.

    Attributes:
        content: The bytes.
        when: Seconds of `time.monotonic`.
        whole: Whether they are a message of their own: lines begin and end with it.
        reconnected: Whether the connection was lost before, so that what came earlier has no rest.
        said: A sentence on the connection, to be shown.
        dropped: Messages for which this machine had no room since the one before, as far as it says so.
    """

    content: bytes
    when: float
    whole: bool = False
    reconnected: bool = False
    said: str = ""
    dropped: int = 0


def arrivals(source: Source, reconnect: float = LONGEST) -> Iterator[Arrival]:
    """What comes from a source until it ends, which a file does; a connection that is lost is sought again for a while.

    Args:
        source: Where to read.
        reconnect: Seconds for which a lost connection is sought.

    Raises:
        DataError: Where the source cannot be opened, or is lost for longer.
        RunError: Where a package is missing, with the command that installs it.
    """
    opened = {"serial": _serial, "udp": _udp, "mqtt": _mqtt}.get(source.kind)
    return _file(source) if opened is None else opened(source, reconnect)


def _file(source: Source) -> Iterator[Arrival]:
    """A file, or standard input; either may be a pipe that fills slowly."""
    try:
        # Without a wait for who writes to a pipe, so that Ctrl-C ends that too.
        handle = os.dup(sys.stdin.fileno()) if source.kind == "stdin" else os.open(source.place, _READ)
    except (OSError, ValueError) as error:
        raise DataError(f"{source.text} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    try:
        if source.kind == "file" and os.isatty(handle):
            raise DataError(f"{source.text} is a serial port: serial:{source.text} reads it")
        waits = not stat.S_ISREG(os.fstat(handle).st_mode)
        while True:
            if waits and not select.select([handle], [], [], PATIENCE)[0]:
                yield Arrival(b"", time.monotonic())
                continue
            content = os.read(handle, BLOCK)
            if not content:
                return
            yield Arrival(content, time.monotonic())
    except OSError as error:
        raise DataError(f"{source.text} cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)


def _serial(source: Source, reconnect: float) -> Iterator[Arrival]:
    serial = required("serial", "live")

    def connected() -> Any:
        return serial.Serial(source.place, source.baud, timeout=PATIENCE, exclusive=True)

    try:
        port = connected()
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise DataError(f"{source.text} cannot be opened: {_words(error)}{_permission(source.place)}") from None
    while True:
        try:
            port.reset_input_buffer()  # what waited there is of a time that is not known
            while True:
                content = port.read(max(1, min(port.in_waiting, BLOCK)))
                yield Arrival(content, time.monotonic())
        except (OSError, TypeError) as error:  # pyserial reads from a port that is None while it is being closed
            lost = _words(error)
        finally:
            port.close()
        yield Arrival(b"", time.monotonic(), said=f"{source.place} is lost ({lost}); waiting for it")
        until = time.monotonic() + reconnect
        while True:
            try:
                port = connected()
                break
            except (OSError, ValueError):
                if time.monotonic() > until:
                    raise DataError(
                        f"{source.text} is lost and has not come back in {reconnect:g} s ({lost})"
                    ) from None
            time.sleep(min(BETWEEN, reconnect))
            yield Arrival(b"", time.monotonic())
        yield Arrival(b"", time.monotonic(), reconnected=True, said=f"{source.place} is back")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _permission(place: str) -> str:
    if Path(place).exists() and not os.access(place, os.R_OK | os.W_OK):
        return "; you may not use it: add your user to the group of the port, often dialout"
    return ""


def _udp(source: Source, reconnect: float) -> Iterator[Arrival]:
    """Datagrams, each of whole lines. There is no connection that could be lost."""
    try:
        family = socket.getaddrinfo(source.place, source.port, type=socket.SOCK_DGRAM)[0][0]
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        with receiver:
            receiver.bind((source.place, source.port))
            with contextlib.suppress(OSError):
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
                if sys.platform == "linux":
                    receiver.setsockopt(socket.SOL_SOCKET, COUNTS_DROPPED, 1)
            before = 0
            while True:
                if not select.select([receiver], [], [], PATIENCE)[0]:
                    yield Arrival(b"", time.monotonic(), whole=True)
                    continue
                contents, dropped = _datagrams(receiver, before)
                yield Arrival(
                    b"\n".join(contents), time.monotonic(), whole=True, dropped=(dropped - before) % (1 << 32)
                )
                before = dropped
    except OSError as error:
        raise DataError(f"{source.text} cannot be received from: {_words(error)}") from None


def _datagrams(receiver: socket.socket, before: int) -> tuple[list[bytes], int]:
    """Those that are there, and how many have found no room since the socket was made, by the newest of them."""
    contents, dropped, size = [], before, 0
    receiver.setblocking(False)
    while size < BLOCK:
        try:
            content, about, _, _ = receiver.recvmsg(DATAGRAM, socket.CMSG_SPACE(4))
        except BlockingIOError:
            break
        contents.append(content)
        size += len(content) + 1
        for level, kind, held in about:
            if (level, kind) == (socket.SOL_SOCKET, COUNTS_DROPPED):
                dropped = int.from_bytes(held[:4], sys.byteorder)
    return contents, dropped


def _mqtt(source: Source, reconnect: float) -> Iterator[Arrival]:
    """Payloads of one topic, each of whole lines."""
    import queue

    mqtt = required("paho.mqtt.client", "live")
    events: queue.SimpleQueue[Arrival | str | None] = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)

    def on_connect(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            events.put(f"{REFUSED}: {reason}{'' if source.user else LOGIN}")
        else:
            client.subscribe(source.topic)
            events.put(None)

    def on_subscribe(client: Any, data: Any, number: Any, reasons: Any, properties: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                events.put(f"{REFUSED} the topic: {reason}")

    def on_disconnect(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        events.put(f"the broker is lost ({reason})")

    def on_message(client: Any, data: Any, message: Any) -> None:
        # What the broker has kept is of another time.
        if not message.retain:
            events.put(Arrival(bytes(message.payload), time.monotonic(), whole=True))

    client.on_connect, client.on_disconnect, client.on_message = on_connect, on_disconnect, on_message
    client.on_subscribe = on_subscribe
    if source.user is not None:
        client.username_pw_set(source.user, source.password)
    if source.tls:
        client.tls_set()
    client.reconnect_delay_set(1, 2)
    try:
        client.connect(source.place, source.port, keepalive=10)
    except (OSError, ValueError) as error:
        raise DataError(f"{source.text} cannot be reached: {_words(error)}") from None
    client.loop_start()
    try:
        yield from _mqtt_events(source, events, reconnect)
    finally:
        client.disconnect()
        client.loop_stop()


def _mqtt_events(source: Source, events: Any, reconnect: float) -> Iterator[Arrival]:
    import queue

    begun, lost, since = False, "", time.monotonic()
    while True:
        try:
            event = events.get(timeout=PATIENCE)
        except queue.Empty:
            event = Arrival(b"", time.monotonic(), whole=True)
        if isinstance(event, Arrival):
            yield event
        elif event is None:
            yield Arrival(b"", time.monotonic(), reconnected=begun, said=f"{source.text} is back" if begun else "")
            begun, lost = True, ""
        else:
            if event.startswith(f"{REFUSED} the topic") or (not begun and event.startswith(REFUSED)):
                raise DataError(f"{source.text}: {event}")
            since = since if lost else time.monotonic()
            said = "" if lost else f"{source.text}: {event}; waiting for it"
            lost = event
            yield Arrival(b"", time.monotonic(), said=said)
        if lost and time.monotonic() - since > reconnect:
            raise DataError(f"{source.text}: {lost}, and has not come back in {reconnect:g} s")
