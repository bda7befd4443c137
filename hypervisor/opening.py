"""Opening a libvirt connection with a limit: virConnectOpen itself has none and may hang for ever."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

import libvirt

from hypervisor import eventloop
from hypervisor.errors import HostUnreachable
from hypervisor.translation import UNREACHABLE, unreachable

logger = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3

_guard = threading.Lock()
_gates: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One attempt for each URI at a time: a host that hangs costs one thread, however often it is tried."""


OnLost = Callable[[Any, int, None], None]
"""libvirt's close callback: its connection, why (VIR_CONNECT_CLOSE_REASON_*), nothing."""


def open_handle(uri: str, seconds: float, on_lost: OnLost | None = None) -> Any:
    """Return libvirt's connection to a URI, with keepalive (virConnectOpen, virConnectSetKeepAlive).

    Args:
        uri: libvirt's.
        seconds: how long to wait.
        on_lost: called in the event loop's thread when the connection dies; holds it until it is unregistered.

    Raises:
        HostUnreachable: for whatever reason it could not be opened within so many seconds.
    """
    eventloop.start()
    with _guard:
        gate = _gates[uri]
    if not gate.acquire(timeout=seconds):
        raise HostUnreachable(UNREACHABLE[1], text="an earlier attempt to open it still hangs")
    attempt: Future[Any] = Future()
    threading.Thread(target=_attempt, args=(uri, on_lost, attempt, gate), name=f"open {uri}", daemon=True).start()
    try:
        return _result(attempt, seconds)
    except FutureTimeout:
        raise HostUnreachable(UNREACHABLE[1], text=f"no answer within {seconds:.0f} s") from None
    except libvirt.libvirtError as error:
        raise unreachable(error) from error


def _result(attempt: Future[Any], seconds: float) -> Any:
    try:
        return attempt.result(seconds)
    except FutureTimeout:
        if attempt.cancel():
            raise
        return attempt.result()  # it came in this very moment


def _attempt(uri: str, on_lost: OnLost | None, attempt: Future[Any], gate: threading.Lock) -> None:
    try:
        handle = _opened(uri, on_lost)
        if attempt.set_running_or_notify_cancel():
            attempt.set_result(handle)
        else:
            release(handle)
    except Exception as error:
        if attempt.set_running_or_notify_cancel():
            attempt.set_exception(error)
    finally:
        gate.release()


def release(handle: Any) -> None:
    """Remove the close callback, which holds the connection: libvirt closes it with the last reference."""
    try:
        handle.unregisterCloseCallback()
    except libvirt.libvirtError as error:
        logger.debug("The close callback could not be removed: %s", error)


def _opened(uri: str, on_lost: OnLost | None) -> Any:
    handle = libvirt.open(uri)
    try:
        handle.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        if on_lost:
            handle.registerCloseCallback(on_lost, None)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:  # a driver inside this process is never lost
            raise
    return handle
