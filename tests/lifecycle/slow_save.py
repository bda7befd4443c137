"""Makes a real save slow for real: the process that writes libvirt's image to disk is stopped, and let go on later.

It is stopped once it has written its first megabyte: before that QEMU is still setting up, and libvirt knows no total.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.guest import Guest
from tests.lifecycle.conftest import eventually

_FIRST_BYTES = 1 << 20


class SlowSave:
    """Waits for the writer of one guest's save, and stops it as soon as its first bytes are written."""

    def __init__(self, guest: Guest) -> None:
        self._marks = (f"/{guest.name}.save", f"/{guest.uuid}.")  # a managed image, a file of the portal
        self._over = threading.Event()
        self._still = threading.Event()
        self._thread = threading.Thread(target=self._hunt)
        self.writer = 0

    def caught(self) -> bool:
        """Return whether a save has begun and stands still."""
        return self._still.is_set()

    def creep(self, seconds: float) -> None:
        """Let the save go on for so long, and stop it again."""
        with suppress(ProcessLookupError):
            os.kill(self.writer, signal.SIGCONT)
            time.sleep(seconds)
            os.kill(self.writer, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the save go on at full speed."""
        self._over.set()
        self._thread.join()
        if self.writer:
            with suppress(ProcessLookupError):
                os.kill(self.writer, signal.SIGCONT)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def _hunt(self) -> None:
        while not self._over.wait(0.002) and not self.writer:
            self.writer = self._find()
        if self.writer:
            with suppress(ProcessLookupError):
                self._hold()

    def _hold(self) -> None:
        os.kill(self.writer, signal.SIGSTOP)
        while not self._over.is_set() and _written_by(self.writer) < _FIRST_BYTES:
            os.kill(self.writer, signal.SIGCONT)
            time.sleep(0.002)
            os.kill(self.writer, signal.SIGSTOP)
        self._still.set()

    def _find(self) -> int:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = path.read_bytes().decode(errors="replace").split("\0")
                ours = any(mark in word for word in words for mark in self._marks)
                if ours and words[0].endswith("libvirt_iohelper"):
                    return int(path.parent.name)
        return 0


def _written_by(pid: int) -> int:
    """Return the bytes that a process has passed to write(2) so far; proc(5)."""
    try:
        fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return int(fields["wchar"])


@contextmanager
def slow_save(guest: Guest) -> Iterator[SlowSave]:
    """Hold the next save of this guest until `go_on`, or until the end of the block."""
    slow = SlowSave(guest)
    slow.start()
    try:
        yield slow
    finally:
        slow.go_on()


def wait_until_caught(slow: SlowSave) -> None:
    """Wait until the save stands still."""
    eventually(slow.caught, 15)
