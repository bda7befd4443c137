"""Real faults: QEMU processes and daemons that stop, die or come back. What still works keeps its speed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.libvirtd import PrivateLibvirtd
from hypervisor import connection as connection_module
from hypervisor import opening
from hypervisor.connection import Connection
from hypervisor.errors import AgentUnavailable, DomainBusy, DomainInWrongState, HostUnreachable
from hypervisor.events import EventKind
from hypervisor.pool import Pool
from hypervisor.states import DomainState
from tests.guest import Guest
from tests.hypervisor.conftest import Heard, eventually

pytestmark = pytest.mark.guest

BRISK = 2.0
"""Seconds that a call takes at most, also on a busy machine, if it waits for nobody. Waiting in libvirt takes 5 s."""


def seconds(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def impatient(libvirtd: PrivateLibvirtd) -> Iterator[Connection]:
    """A connection whose calls wait half a second for their turn."""
    connection = Connection(libvirtd.uri, patience=0.5)
    connection.open()
    yield connection
    connection.close()


def test_a_guest_whose_process_is_stopped_holds_up_no_reading(
    make_guest: Callable[..., Guest], host: Connection
) -> None:
    guest, other = make_guest(wait=False), make_guest(start=False)
    with stopped(guest.qemu_pid):
        for _ in range(20):
            assert seconds(lambda: host.read(guest.uuid)) < BRISK
            assert seconds(host.read_all) < BRISK
            assert seconds(lambda: host.read(other.uuid)) < BRISK
        reading = host.read(guest.uuid)
        assert reading
        assert (reading.state, reading.name) == (DomainState.RUNNING, guest.name)
        assert host.domain(guest.uuid).live_xml()


def test_a_hanging_verb_holds_up_no_other_guest_and_force_off_ends_it(
    make_guest: Callable[..., Guest], impatient: Connection
) -> None:
    guest, other = make_guest(wait=False), make_guest(wait=False)
    domain, unharmed = impatient.domain(guest.uuid), impatient.domain(other.uuid)
    os.kill(guest.qemu_pid, signal.SIGSTOP)  # for good: destroying it ends it
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(domain.suspend)
        time.sleep(0.3)
        for verb in (domain.resume, lambda: domain.open_graphics("vnc")):
            with pytest.raises(DomainBusy):
                verb()
        for _ in range(20):
            assert seconds(unharmed.suspend) < BRISK
            assert seconds(unharmed.resume) < BRISK
            assert seconds(lambda: unharmed.open_graphics("vnc").close()) < BRISK
            assert seconds(lambda: impatient.read(guest.uuid)) < BRISK
            assert seconds(impatient.read_all) < BRISK
        assert not hanging.done()
        domain.destroy()  # libvirt gives the process 10 s before it kills it
        with pytest.raises(DomainInWrongState):
            hanging.result(5)
    assert guest.state == "shut off"
    domain.start()
    assert guest.state == "running"


def test_the_agent_of_a_stopped_guest_is_given_up(make_guest: Callable[..., Guest], host: Connection) -> None:
    guest = make_guest()
    with stopped(guest.qemu_pid), pytest.raises(AgentUnavailable):
        host.domain(guest.uuid).addresses()


def test_a_restarted_libvirtd_is_noticed_at_once_and_the_pool_connects_again(
    libvirtd: PrivateLibvirtd, make_guest: Callable[..., Guest]
) -> None:
    guest = make_guest(wait=False)
    lost: list[bool] = []
    watching = Connection(libvirtd.uri, on_close=lambda: lost.append(watching.alive))
    watching.open()
    watching.watch(lambda _event: None)
    pool = Pool()
    pooled = pool.connection(libvirtd.uri)
    libvirtd.restart()
    eventually(lambda: lost)
    assert lost == [False]
    with pytest.raises(HostUnreachable):
        watching.read_all()
    watching.close()
    assert lost == [False]
    eventually(lambda: not pooled.alive)
    again = pool.connection(libvirtd.uri)
    assert again is not pooled
    heard = Heard(again)
    reading = again.read(guest.uuid)
    assert reading
    assert reading.state is DomainState.RUNNING
    guest.virsh("suspend")
    heard.wait_for(guest.uuid, EventKind.CHANGED)
    pool.close()


def test_a_call_under_way_when_libvirtd_ends_says_that_the_host_is_gone(
    libvirtd: PrivateLibvirtd, make_guest: Callable[..., Guest], host: Connection
) -> None:
    guest = make_guest(wait=False)
    with ThreadPoolExecutor(1) as threads, stopped(guest.qemu_pid):
        hanging = threads.submit(host.domain(guest.uuid).suspend)
        time.sleep(0.3)
        libvirtd.end()
        try:
            with pytest.raises(HostUnreachable):
                hanging.result(10)
        finally:
            libvirtd.start()


def test_an_owner_that_fails_when_it_is_told_of_the_end_harms_nobody(
    libvirtd: PrivateLibvirtd, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    connection = Connection(libvirtd.uri, on_close=fail)
    connection.open()
    libvirtd.restart()
    eventually(lambda: "failed when it was told" in caplog.text)
    connection.close()
    again = Connection(libvirtd.uri)
    again.open()
    assert again.read_all() is not None
    again.close()


def test_a_libvirtd_that_hangs_is_noticed_by_keepalive_and_given_up(
    libvirtd: PrivateLibvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(opening, "KEEPALIVE_COUNT", 1)
    monkeypatch.setattr(connection_module, "OPEN_SECONDS", 0.5)
    lost = threading.Event()
    connection = Connection(libvirtd.uri, on_close=lost.set)
    connection.open()
    with stopped(libvirtd.pid):
        with pytest.raises(HostUnreachable):
            Connection(libvirtd.uri).open()
        with pytest.raises(HostUnreachable):
            connection.read_all()
        assert lost.wait(5)
        assert seconds(connection.close) < BRISK
    again = Connection(libvirtd.uri)
    eventually(lambda: opens(again))
    again.close()


def test_a_connection_that_comes_too_late_is_given_back(
    libvirtd: PrivateLibvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[bool] = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(connection_module, "OPEN_SECONDS", 0.2)
    for _ in range(3):
        with stopped(libvirtd.pid), pytest.raises(HostUnreachable):
            Connection(libvirtd.uri, on_close=lambda: lost.append(True)).open()
        eventually(lambda: not any(thread.name.startswith("open ") for thread in threading.enumerate()))
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
    libvirtd.restart()
    assert not lost


def opens(connection: Connection) -> bool:
    try:
        connection.open()
    except HostUnreachable:
        return False
    return True


def test_closing_does_not_wait_for_a_libvirtd_that_hangs(libvirtd: PrivateLibvirtd) -> None:
    connection = Connection(libvirtd.uri)
    connection.open()
    connection.watch(lambda _event: None)
    with stopped(libvirtd.pid):
        assert seconds(connection.close) < connection_module.CLOSE_SECONDS + BRISK
        assert not connection.alive


def test_connections_leave_no_file_and_no_thread_behind(libvirtd: PrivateLibvirtd) -> None:
    def cycle() -> None:
        connection = Connection(libvirtd.uri, on_close=lambda: None)
        connection.open()
        connection.watch(lambda _event: None)
        with ThreadPoolExecutor(4) as threads:
            assert all(readings is not None for readings in threads.map(lambda _: connection.read_all(), range(4)))
        connection.close()

    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    cycle()
    before = left()
    for _ in range(50):
        cycle()
    eventually(lambda: left() <= before, limit=5)


def test_lost_connections_leave_no_file_behind(libvirtd: PrivateLibvirtd) -> None:
    def cycle() -> None:
        connections = [Connection(libvirtd.uri) for _ in range(5)]
        for connection in connections:
            connection.open()
            connection.watch(lambda _event: None)
        libvirtd.restart()
        for connection in connections:
            eventually(lambda connection=connection: not connection.alive)
            connection.close()

    def left() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    cycle()
    before = left()
    for _ in range(3):
        cycle()
    eventually(lambda: left() <= before, limit=5)
