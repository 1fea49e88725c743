"""A broker of MQTT 3.1.1 as small as a test needs it: it takes one topic's subscribers and gives them what it is told to."""

import contextlib
import socket
import threading


def length(count):
    """A remaining length as MQTT writes it."""
    made = b""
    while True:
        count, low = count >> 7, count & 127
        made += bytes([low | (128 if count else 0)])
        if not count:
            return made


def text(words):
    return len(words).to_bytes(2, "big") + words


class Broker:
    """Listens on a port of this machine, to those with `login`, a name and a password, and with `tls`.

    `publish` sends to all that have subscribed, `drop` ends their connections.
    """

    def __init__(self, port=0, login=None, tls=None):
        self.listening = socket.create_server(("127.0.0.1", port))
        self.login, self.tls = login, tls
        self.port = self.listening.getsockname()[1]
        self.subscribed, self.topics = threading.Event(), []
        self.clients = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError):
            self._talk(client if self.tls is None else self.tls.wrap_socket(client, server_side=True))

    def _talk(self, client):
        with client, client.makefile("rb") as coming:
            while kind := coming.read(1):
                count, shift = 0, 0
                while True:
                    byte = coming.read(1)[0]
                    count, shift = count | (byte & 127) << shift, shift + 7
                    if not byte & 128:
                        break
                body = coming.read(count)
                if kind[0] >> 4 == 1:  # CONNECT
                    good = self.login is None or body.endswith(b"".join(map(text, self.login)))
                    client.sendall(b"\x20\x02\x00" + (b"\x00" if good else b"\x05"))
                elif kind[0] >> 4 == 8:  # SUBSCRIBE
                    self.topics.append(body[4 : 4 + int.from_bytes(body[2:4], "big")].decode())
                    self.clients.append(client)
                    client.sendall(b"\x90\x03" + body[:2] + b"\x00")
                    self.subscribed.set()
                elif kind[0] >> 4 == 12:  # PINGREQ
                    client.sendall(b"\xd0\x00")

    def publish(self, topic, payload, retain=False):
        body = text(topic.encode()) + payload
        for client in self.clients:
            client.sendall(bytes([0x31 if retain else 0x30]) + length(len(body)) + body)

    def drop(self):
        self.subscribed.clear()
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.clients = []

    def close(self):
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)  # or the thread that waits would accept one more
        self.listening.close()
        self.drop()
