"""The guest's end of SPICE's agent channel, spoken by a shell in the small guest: no desktop is needed for it.

Messages as in spice-protocol's vd_agent.h, each behind the header of the virtio port (destination, length).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from tests.guest import Guest

PORT = "/dev/virtio-ports/com.redhat.spice.0"
MOUSE_STATE, MONITORS_CONFIG, CLIPBOARD, ANNOUNCE, GRAB, REQUEST = 1, 2, 4, 6, 7, 8
CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6
"""Mouse, monitors, reply, clipboard by demand, selections."""
UTF8 = 1
_LISTEN = (
    f"(exec 3<>{PORT}; cat <&3 >/tmp/agent-in & while :; do if [ -e /tmp/agent-out ]; then cat /tmp/agent-out >&3;"
    " rm /tmp/agent-out; fi; sleep 0.05; done) </dev/null >/dev/null 2>&1 &"
)
_CHUNK, _HEAD = struct.Struct("<II"), struct.Struct("<IIQI")


class SpiceAgent:
    """Speaks for a guest that has the channel."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        guest.run(_LISTEN)
        self.send(ANNOUNCE, struct.pack("<II", 1, CAPABILITIES))

    def send(self, kind: int, body: bytes) -> None:
        """Send one message."""
        message = _HEAD.pack(1, kind, 0, len(body)) + body
        encoded = base64.b64encode(_CHUNK.pack(1, len(message)) + message).decode()
        self._guest.run(f"echo {encoded} | base64 -d >/tmp/agent-next; mv /tmp/agent-next /tmp/agent-out")
        self._guest.run("while [ -e /tmp/agent-out ]; do sleep 0.05; done")

    def grab(self, *types: int) -> None:
        """Say that the guest's clipboard holds something new."""
        self.send(GRAB, struct.pack(f"<I{len(types)}I", 0, *types))

    def give(self, text: str) -> None:
        """Give what the guest's clipboard holds."""
        self.send(CLIPBOARD, struct.pack("<II", 0, UTF8) + text.encode())

    def ask(self) -> None:
        """Ask for the client's clipboard."""
        self.send(REQUEST, struct.pack("<II", 0, UTF8))

    def heard(self, kind: int) -> list[bytes]:
        """Return the bodies of all messages of this kind so far."""
        data = base64.b64decode(self._guest.run("base64 /tmp/agent-in"))
        return [body for number, body in _messages(data) if number == kind]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body; long messages come in several chunks."""
    stream = b""
    while len(data) >= _CHUNK.size:
        _port, size = _CHUNK.unpack_from(data)
        stream += data[_CHUNK.size : _CHUNK.size + size]
        data = data[_CHUNK.size + size :]
    while len(stream) >= _HEAD.size:
        _protocol, kind, _opaque, size = _HEAD.unpack_from(stream)
        yield kind, stream[_HEAD.size : _HEAD.size + size]
        stream = stream[_HEAD.size + size :]
