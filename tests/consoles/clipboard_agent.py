"""A clipboard agent in a guest: vdagent.c, built here and carried in through the guest's other agent."""

from __future__ import annotations

import base64
import gzip
import subprocess
from pathlib import Path

from tests.guest import Guest

SOURCE = Path(__file__).with_name("vdagent.c")
PIECE = 60_000  # bytes; an argument of a program has at most 128 KiB, and base64 makes it a third longer
PORT = "/dev/virtio-ports/com.redhat.spice.0"


class ClipboardAgent:
    """Runs in a guest that has a channel for it (guest_xml's `clipboard`), until the guest ends."""

    def __init__(self, guest: Guest, directory: Path) -> None:
        self._guest = guest
        put_file(guest, gzip.compress(build(directory).read_bytes()), "/tmp/vdagent.gz")
        said = guest.run("gunzip /tmp/vdagent.gz && chmod 755 /tmp/vdagent && mkdir -p /tmp/clipboard")
        assert said == "", said
        guest.run(f"cd /tmp/clipboard && setsid /tmp/vdagent {PORT} offered received >said 2>&1 </dev/null &")

    def copy(self, text: str) -> None:
        """Copy a text in the guest."""
        put_file(self._guest, text.encode(), "/tmp/clipboard/new")
        self._guest.run("mv /tmp/clipboard/new /tmp/clipboard/offered")

    @property
    def pasted(self) -> str:
        """What the guest got last."""
        return self._guest.run("cat /tmp/clipboard/received 2>/dev/null || true")

    @property
    def complaints(self) -> str:
        """What it died of."""
        return self._guest.run("cat /tmp/clipboard/said")


def build(directory: Path) -> Path:
    """Compile it into this directory, without libraries."""
    program = directory / "vdagent"
    subprocess.run(["gcc", "-Wall", "-Werror", "-Os", "-static", "-s", "-o", program, SOURCE], check=True)
    return program


def put_file(guest: Guest, content: bytes, path: str) -> None:
    """Write a file in the guest through its agent."""
    handle = guest.agent("guest-file-open", path=path, mode="w")
    for start in range(0, len(content), PIECE):
        piece = base64.b64encode(content[start : start + PIECE]).decode()
        guest.agent("guest-file-write", **{"handle": handle, "buf-b64": piece})
    guest.agent("guest-file-close", handle=handle)
