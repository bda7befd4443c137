"""The console proxy before a TCP server of this machine: `python -m benchmarks.tcp_console REDIS_URL LISTEN PORT`."""

from __future__ import annotations

import socket
import sys

from consoles.proxy.journal import Journal
from consoles.proxy.redis_client import redis_of
from consoles.proxy.server import ConsoleServer, Desk
from consoles.proxy.sessions import Registry
from consoles.proxy.tickets import Claim


def main(redis_url: str, listen: str, port: str) -> None:
    """Serve until killed."""

    def open_display(_claim: Claim) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(port)))

    redis = redis_of(redis_url)
    desk = Desk(redis, frozenset(), Registry(), Journal(redis), open_display)
    ConsoleServer(listen, desk).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
