"""The console proxy before a TCP server of this machine: `python -m benchmarks.console_tcp PORT`.

All else is as `python -m consoles.proxy` does it.
"""

from __future__ import annotations

import socket
import sys

from consoles.proxy.__main__ import main
from consoles.proxy.display import OpenDisplay
from consoles.proxy.tickets import Claim
from hypervisor.pool import Pool


def opener(_pool: Pool) -> OpenDisplay:
    """Return the function that connects to the server."""
    port = int(sys.argv[1])

    def open_display(_claim: Claim) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port))

    return open_display


if __name__ == "__main__":
    main(opener)
