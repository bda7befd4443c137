"""A domain's serial console: what it says comes by callbacks from the event loop's thread, `write` types into it.

A blocking stream with a thread that reads would be simpler. But while that thread waits, what another one sends on the
same libvirt connection may lose its wake-up and stand still until the next keepalive packet (tried with libvirt 9.0:
one echo in a hundred came 5 s late). So the event loop reads, and nobody else uses the connection of a console: what
is written to a machine that does not read (a paused one) waits there, and takes no other machine's console down.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt

from hypervisor.errors import HypervisorError
from hypervisor.translation import from_libvirt

OnOutput = Callable[[bytes], None]
OnEnd = Callable[[], None]

_MOST = 256 * 1024
"""Bytes of one read; libvirt's packets are smaller."""
_EVENTS = libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_NOTHING_YET = -2


class SerialConsole:
    """One open console (virDomainOpenConsole). libvirt lets only one program have it at a time.

    open -> ended (the machine is off, another program took it over, the host is gone: `on_end` is called once)
    ended -> closed
    open -> closed
    """

    def __init__(self, domain: Any, on_output: OnOutput, on_end: OnEnd, *, take_over: bool) -> None:
        """Open it. Made by `Domain.open_console`, which translates libvirt's errors.

        Args:
            domain: libvirt's, on a connection that nobody else uses.
            on_output: called in the event loop's thread with what the machine said; it must not block.
            on_end: called there when it is over.
            take_over: throw out the program that has it.
        """
        self._line = domain.connect()
        self._stream = self._line.newStream(libvirt.VIR_STREAM_NONBLOCK)
        self._ears = _Ears(on_output, on_end)
        force = libvirt.VIR_DOMAIN_CONSOLE_FORCE if take_over else 0
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_SAFE | force)
        with suppress(libvirt.libvirtError):  # a driver inside this process is never lost
            self._line.registerCloseCallback(_on_lost, self._ears)
        self._stream.eventAddCallback(_EVENTS, _on_event, self._ears)

    def write(self, data: bytes) -> None:
        """Type something; from one thread at a time (virStreamSend).

        It returns when it is on its way, and waits while the machine does not read what was typed before (some 80 KB
        wait for a paused one). That lasts until the machine goes on, or until keepalive gives the connection up.

        Raises:
            HypervisorError: the console has ended.
        """
        try:
            while data:
                sent = self._stream.send(data)
                if sent < 0:
                    raise HypervisorError("The serial console takes nothing now.")
                data = data[sent:]
        except libvirt.libvirtError as error:
            raise from_libvirt(error) from error

    def close(self) -> None:
        """Give the console back, not while `write` has yet to return (virStreamAbort). Closing twice is fine."""
        stream, self._stream = self._stream, None
        line, self._line = self._line, None
        if stream is None:
            return
        self._ears.stop()
        for leave in (stream.eventRemoveCallback, stream.abort, line.unregisterCloseCallback):
            with suppress(libvirt.libvirtError):  # it has ended before, perhaps together with its host
                leave()
        _free(stream)


class _Ears:
    """Whom to tell. libvirt 9.0 never lets go of what a stream's callback was given, so it is emptied in the end."""

    def __init__(self, on_output: OnOutput, on_end: OnEnd) -> None:
        self._whom: tuple[OnOutput, OnEnd] | None = (on_output, on_end)

    def stop(self) -> None:
        """Hear nothing any more."""
        self._whom = None

    def hear(self, data: bytes) -> None:
        """Hand on what the machine said."""
        if whom := self._whom:
            whom[0](data)

    def end(self) -> None:
        """Hand on that it is over, once."""
        whom, self._whom = self._whom, None
        if whom:
            whom[1]()


def _on_event(stream: Any, events: int, ears: _Ears) -> None:
    try:
        data = stream.recv(_MOST)
    except libvirt.libvirtError:
        data = b""
    if data == _NOTHING_YET:
        if not events & (libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP):
            return
        data = b""
    if data:
        ears.hear(data)
        return
    with suppress(libvirt.libvirtError):  # otherwise it is told the same again at once, for ever
        stream.eventRemoveCallback()
    ears.end()


def _on_lost(_line: Any, _reason: int, ears: _Ears) -> None:
    ears.end()


def _free(stream: Any) -> None:
    """Free libvirt's stream now: the binding's object lives as long as its callback's data, that is for ever."""
    stream.__del__()
    stream._conn = None
