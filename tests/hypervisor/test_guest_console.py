"""The serial console of a real guest, which has a shell there."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypervisor.console import SerialConsole
from hypervisor.errors import ConsoleHeld, DomainInWrongState, HostUnreachable, HypervisorError, NotSupported
from tests.hypervisor.conftest import Real, eventually

pytestmark = pytest.mark.guest

BRISK = 2.0  # seconds; libvirt's lost wake-ups last five


class Ear:
    """What one console said, and whether it has ended."""

    def __init__(self, real: Real, *, take_over: bool = False) -> None:
        self.heard = bytearray()
        self.ends = 0
        self._news = threading.Condition()
        self.console: SerialConsole = real.domain.open_console(self._hear, self._end, take_over=take_over)

    def _hear(self, data: bytes) -> None:
        with self._news:
            self.heard += data
            self._news.notify_all()

    def _end(self) -> None:
        with self._news:
            self.ends += 1
            self._news.notify_all()

    def hears(self, words: bytes, limit: float = 20) -> None:
        """Wait until it has said this, and forget what came before."""
        with self._news:
            assert self._news.wait_for(lambda: words in self.heard, limit), bytes(self.heard[-300:])
            del self.heard[: self.heard.index(words) + len(words)]

    def ended(self) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self.ends, 10) and self.ends == 1

    def has_a_shell(self) -> None:
        """Press Enter until a shell asks for a command."""
        for _ in range(20):
            self.console.write(b"\n")
            with self._news:
                if self._news.wait_for(lambda: b"# " in self.heard or b"$ " in self.heard, 2):
                    return
        raise AssertionError(bytes(self.heard))


@contextmanager
def listening(real: Real, *, take_over: bool = False) -> Iterator[Ear]:
    ear = Ear(real, take_over=take_over)
    try:
        yield ear
    finally:
        ear.console.close()


@contextmanager
def virsh_console(real: Real) -> Iterator[None]:
    """Have virsh hold the console, as an administrator's terminal would."""
    ours, its = pty.openpty()
    uri = real.guest.libvirtd.uri
    virsh = subprocess.Popen(["virsh", "-c", uri, "console", real.guest.name], stdin=its, stdout=its, stderr=its)
    os.close(its)
    try:
        said = b""
        while b"Escape character" not in said:
            said += os.read(ours, 1000)
        yield
    finally:
        virsh.kill()
        virsh.wait()
        os.close(ours)


def open_things() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))


def test_the_serial_console_of_a_guest(make_real: Callable[..., Real]) -> None:
    """One guest for all of it: it takes longer to boot than to test."""
    real = make_real()
    reading = real.read().definition
    assert reading
    assert reading.has_serial
    with listening(real) as ear:
        ear.has_a_shell()
        what_is_typed_reaches_the_shell(real, ear)
        no_echo_is_late(ear)
        a_second_one_is_refused_until_it_takes_over(real, ear)
    fifty_leave_nothing(real)
    with virsh_console(real):
        with pytest.raises(ConsoleHeld) as caught:
            Ear(real)
        assert caught.value.word == "console_held"
        with listening(real, take_over=True) as ear:
            ear.has_a_shell()
    it_lives_through_a_reboot(real)
    a_paused_guest_holds_up_only_who_types(real)
    it_ends_with_the_guest(real)


def what_is_typed_reaches_the_shell(real: Real, ear: Ear) -> None:
    ear.console.write(b"touch /tmp/typed; echo $((6 * 7))\n")
    ear.hears(b"42")
    assert real.guest.run("ls /tmp/typed") == "/tmp/typed"


def no_echo_is_late(ear: Ear) -> None:
    ear.console.write(b"stty -echo; clear; cat\n")
    ear.hears(b"\x1b[J")
    for number in range(300):
        started = time.monotonic()
        ear.console.write(b"%d.\n" % number)
        ear.hears(b"%d.\r\n" % number)
        assert time.monotonic() - started < BRISK
    ear.console.write(b"\x04stty echo\n")


def a_second_one_is_refused_until_it_takes_over(real: Real, ear: Ear) -> None:
    with pytest.raises(ConsoleHeld) as caught:
        Ear(real)
    assert "another program" in caught.value.sentence
    with listening(real, take_over=True) as other:
        assert ear.ended()
        with pytest.raises(HypervisorError):
            ear.console.write(b"x")
        other.has_a_shell()


def fifty_leave_nothing(real: Real) -> None:
    Ear(real).console.close()
    before = open_things()
    for _ in range(50):
        ear = Ear(real)
        ear.console.close()
        ear.console.close()
    eventually(lambda: open_things() <= before)


def it_lives_through_a_reboot(real: Real) -> None:
    with listening(real) as ear:
        ear.has_a_shell()
        real.guest.run("touch /tmp/before")
        real.guest.virsh("reset")
        ear.hears(b"Linux machine of the kvmportal demo", 60)
        ear.has_a_shell()
        assert not ear.ends
    real.guest.wait_for_agent()


def a_paused_guest_holds_up_only_who_types(real: Real) -> None:
    with listening(real) as ear:
        real.guest.virsh("suspend")
        flood = threading.Thread(target=_write_a_lot, args=(ear.console,))
        flood.start()
        flood.join(1)
        assert flood.is_alive()
        started = time.monotonic()
        assert real.read()
        assert time.monotonic() - started < BRISK
        real.guest.virsh("resume")
        flood.join(60)
        assert not flood.is_alive()
    real.guest.wait_for_agent()


def _write_a_lot(console: SerialConsole) -> None:
    for _ in range(50):
        console.write(b"#" * 4095 + b"\n")


def it_ends_with_the_guest(real: Real) -> None:
    with listening(real) as ear:
        real.guest.virsh("destroy")
        assert ear.ended()
    with pytest.raises(DomainInWrongState):
        Ear(real)
    real.guest.virsh("start")
    with listening(real) as ear:
        real.guest.libvirtd.end()
        assert ear.ended()
    real.guest.libvirtd.start()
    with pytest.raises(HostUnreachable):
        Ear(real)


def test_a_guest_without_a_serial_port_says_so(make_real: Callable[..., Real]) -> None:
    real = make_real(serial=False, wait=False)
    definition = real.read().definition
    assert definition
    assert not definition.has_serial
    with pytest.raises(NotSupported) as caught:
        Ear(real)
    assert caught.value.sentence == "The machine has no serial console."
