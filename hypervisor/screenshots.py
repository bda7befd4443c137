"""A picture of a domain's screen, bounded in time and size: libvirt bounds neither."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

import libvirt

from hypervisor.errors import DomainBusy, NotSupported

SECONDS = 3.0
"""How long a picture may take; QEMU needs 16 to 150 ms."""
MOST_BYTES = 64 * 2**20
"""A screen of 3840 x 2160 without any compression has 25 MB."""
_CHUNK = 256 * 2**10


def take(domain: Any, screen: int) -> bytes:
    """Read the picture of one screen of a libvirt domain (virDomainScreenshot, virStreamRecv)."""
    stream = domain.connect().newStream(0)
    try:
        domain.screenshot(stream, screen, 0)
        content = _received(stream)
        stream.finish()
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
    return content


def within(seconds: float, call: Callable[[], bytes]) -> bytes:
    """Return what a call returns, or give up; the call itself cannot be ended, and goes on in a thread.

    Raises:
        DomainBusy: it took longer.
    """
    answer: Future[bytes] = Future()
    threading.Thread(target=_answer, args=(answer, call), name="screenshot", daemon=True).start()
    try:
        return answer.result(seconds)
    except FutureTimeout:
        raise DomainBusy("The machine's process on the host does not answer.", text=f"waited {seconds:.1f} s") from None


def _received(stream: Any) -> bytes:
    content = bytearray()
    while chunk := stream.recv(_CHUNK):
        content += chunk
        if len(content) > MOST_BYTES:
            raise NotSupported("The picture of the machine's screen is too large.", text=f"over {MOST_BYTES} bytes")
    return bytes(content)


def _answer(answer: Future[bytes], call: Callable[[], bytes]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:
        answer.set_exception(error)
