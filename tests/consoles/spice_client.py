"""A small SPICE client that keeps to no rules of a page: enough to link, to hear, and to say anything."""

from __future__ import annotations

import struct
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from websockets.sync.client import ClientConnection

from tests.consoles import spice_bytes as spice

PING, SET_ACK, MAIN_INIT, CHANNELS_LIST = 4, 3, 103, 104
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303, what SPICE's protocol asks for


class SpiceChannel:
    """One channel, linked to a real server.

    Raises:
        ConnectionClosed: the proxy does not let it through.
        AssertionError: the server refuses it.
    """

    def __init__(self, console: ClientConnection, channel: int, *, connection: int = 0, mini: bool = True) -> None:
        self._console = console
        self._buffer = b""
        self._mini = mini
        word = spice.AUTH_SELECTION | (spice.MINI_HEADER if mini else 0)
        console.send(spice.link(channel, connection=connection, capabilities=(word,), special=()))
        _magic, _major, _minor, size = struct.unpack("<4sIII", self.read(16))
        reply = self.read(size)
        assert reply[:4] == bytes(4), "the server refuses the link"
        key = load_der_public_key(reply[4:166])
        assert isinstance(key, rsa.RSAPublicKey)
        console.send(spice.MECHANISM + key.encrypt(b"\0", _OAEP))
        assert self.read(4) == bytes(4), "the server refuses the password"

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._console.recv(timeout=10)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def say(self, kind: int, body: bytes = b"") -> None:
        self._console.send(spice.message(kind, body, mini=self._mini))

    def hear(self, kind: int) -> bytes:
        """Read messages until one of this kind has come, as a client must that wants to stay; return its body."""
        while True:
            head = "<HI" if self._mini else "<8xHI4x"
            came, size = struct.unpack(head, self.read(struct.calcsize(head)))
            body = self.read(size)
            if came == PING:
                self.say(3, body[:12])
            elif came == SET_ACK:
                self.say(1, body[:4])
            if came == kind:
                return body

    def type(self, codes: bytes) -> None:
        """Press and let go keys by their scancodes."""
        for code in codes:
            self.say(101, spice.key_down(code))
            self.say(102, spice.key_down(code | 0x80))
            time.sleep(0.02)
