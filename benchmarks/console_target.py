"""What stands for a machine's display in the benchmarks of consoles: `python -m benchmarks.console_target PORT`.

A TCP server in a process of its own, so that it costs neither the proxies nor the measuring client time. It says the
RFB banner, takes the handshake, sends `BULK` bytes for each update request, and gives any other message back.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from threading import Thread

BANNER = b"RFB 003.008\n"
HELLO = BANNER + b"\x01\x01"
UPDATE_REQUEST = b"\x03" + bytes(9)
TEXT = b"\x06\0\0\0\0\0\0\x5c" + b"x" * 92
"""A message of 100 bytes that passes in control mode."""
CHUNK = 64 * 1024
BULK = 256 * 1024 * 1024
"""Bytes that an update request is answered with."""


def main(port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=_serve, args=(peer,), daemon=True).start()


def _serve(peer: socket.socket) -> None:
    chunk = memoryview(bytes(CHUNK))
    with peer, suppress(OSError):
        peer.sendall(BANNER)
        left = len(HELLO)
        while left and (data := peer.recv(left)):
            left -= len(data)
        while data := peer.recv(CHUNK):
            if data[:1] != UPDATE_REQUEST[:1]:
                peer.sendall(data)
                continue
            for _ in range(BULK // CHUNK):
                peer.sendall(chunk)


if __name__ == "__main__":
    main(int(sys.argv[1]))
