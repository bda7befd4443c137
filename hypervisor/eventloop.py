"""The one libvirt event loop of a process: events and keepalive of every connection run in its thread."""

from __future__ import annotations

import logging
import threading
import time

import libvirt

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_thread: threading.Thread | None = None


def start() -> None:
    """Start the loop's daemon thread; once it runs, do nothing.

    libvirt wants this before a connection is opened: one that was opened earlier has neither events nor keepalive
    (virEventRegisterDefaultImpl). libvirt's own printing of errors to stderr is silenced here too; they are raised.
    """
    global _thread
    with _lock:
        if _thread is not None:
            return
        libvirt.registerErrorHandler(_swallow, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


def _swallow(_context: object, _error: object) -> None:
    """Print nothing: every error reaches its caller as an exception."""


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except Exception:
            logger.exception("An iteration of libvirt's event loop failed")
            time.sleep(0.1)
