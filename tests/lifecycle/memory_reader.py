"""Meets the QEMU that is about to read a guest's saved memory: kills it, or has it stand still."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from demo.libvirtd import PrivateLibvirtd
from tests.guest import Guest


@contextmanager
def reader_found(libvirtd: PrivateLibvirtd, guest: Guest, number: signal.Signals) -> Iterator[None]:
    """Have the QEMU that is to read this guest's memory get this signal as soon as it is there."""
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(0.005):
            with suppress(LookupError, ProcessLookupError):
                os.kill(libvirtd.qemu_pid(guest.name), number)
                return

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def reads_memory(libvirtd: PrivateLibvirtd, guest: Guest) -> bool:
    """Say whether the QEMU that is to read this guest's memory is there and stands still."""
    with suppress(LookupError, OSError):
        status = Path(f"/proc/{libvirtd.qemu_pid(guest.name)}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"
    return False
