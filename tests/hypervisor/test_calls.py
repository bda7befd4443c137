"""Turns and lines: each call has a libvirt connection to itself, and verbs that hang leave a place for force off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from uuid import UUID, uuid4

import libvirt
import pytest

from hypervisor.calls import LINES, Calls
from hypervisor.connection import Connection
from hypervisor.errors import DomainBusy, DomainInWrongState, DomainNotFound, HostBusy, HostUnreachable
from tests.hypervisor.conftest import TEST_DOMAIN, TEST_DRIVER, domain_xml

PATIENCE = 0.2


@pytest.fixture
def opened() -> list[Any]:
    """Every line that was opened."""
    return []


@pytest.fixture
def calls(driver: Connection, opened: list[Any]) -> Iterator[Calls]:
    def open_line() -> Any:
        opened.append(libvirt.open(TEST_DRIVER))
        return opened[-1]

    calls = Calls(open_line, patience=PATIENCE)
    calls.open(open_line())
    yield calls
    calls.close()


class Held:
    """Calls that have begun and not returned, each in a thread of its own as in life."""

    def __init__(self) -> None:
        self._go_on = threading.Event()
        self._threads: list[threading.Thread] = []

    def hold(self, context: AbstractContextManager[Any]) -> None:
        inside = threading.Event()
        thread = threading.Thread(target=self._run, args=(context, inside))
        self._threads.append(thread)
        thread.start()
        assert inside.wait(5)

    def release(self) -> None:
        self._go_on.set()
        for thread in self._threads:
            thread.join()

    def _run(self, context: AbstractContextManager[Any], inside: threading.Event) -> None:
        with context:
            inside.set()
            self._go_on.wait(10)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.release()


@pytest.fixture
def domains(calls: Calls) -> list[UUID]:
    """More domains than there are lines."""
    with calls.host() as line:
        made = [line.defineXML(domain_xml(f"d{n}")) for n in range(LINES + 2)]
        return [UUID(bytes=domain.UUID()) for domain in made]


def test_calls_after_each_other_share_one_line(calls: Calls, opened: list[Any]) -> None:
    for _ in range(20):
        with calls.host(), ExitStack():
            pass
        with calls.verb(TEST_DOMAIN) as domain:
            assert domain.name() == "test"
    assert len(opened) == 1


def test_calls_at_the_same_time_have_lines_of_their_own(calls: Calls, opened: list[Any]) -> None:
    with calls.host() as one, calls.host() as two, calls.host() as three:
        assert len({id(line) for line in (one, two, three)}) == 3
    with calls.host(), calls.host():
        assert len(opened) == 3


def test_one_call_too_many_is_refused_after_the_patience(calls: Calls, held: Held) -> None:
    for _ in range(LINES):
        held.hold(calls.host())
    begun = time.monotonic()
    with pytest.raises(HostBusy), calls.host():
        pass
    assert PATIENCE <= time.monotonic() - begun < 2


def test_one_call_too_many_begins_when_another_returns(calls: Calls, held: Held) -> None:
    for _ in range(LINES):
        held.hold(calls.host())
    threading.Timer(PATIENCE / 4, held.release).start()
    with calls.host() as line:
        assert line.getLibVersion()


def test_hanging_verbs_leave_a_line_for_reads_and_force_off(calls: Calls, held: Held, domains: list[UUID]) -> None:
    for uuid in domains[: LINES - 1]:
        held.hold(calls.verb(uuid))
    with pytest.raises(HostBusy), calls.verb(domains[-1]):
        pass
    with pytest.raises(HostBusy), calls.job_query(domains[0]):
        pass
    with calls.read(domains[0]) as domain:
        assert not domain.isActive()


def test_a_domain_has_one_verb_at_a_time(calls: Calls, held: Held, domains: list[UUID]) -> None:
    held.hold(calls.verb(domains[0]))
    with pytest.raises(DomainBusy), calls.verb(domains[0]):
        pass
    with calls.verb(domains[1]), calls.job_query(domains[0]), calls.read(domains[0]), calls.host():
        pass


def test_a_turn_is_given_back_whatever_happens_in_it(calls: Calls, opened: list[Any], domains: list[UUID]) -> None:
    for _ in range(LINES * 2):
        with pytest.raises(ZeroDivisionError), calls.verb(TEST_DOMAIN):
            _ = 1 / 0
        with pytest.raises(DomainNotFound), calls.verb(uuid4()):
            pass
        with pytest.raises(DomainInWrongState), calls.verb(domains[0]) as off:
            off.destroy()
    assert len(opened) == 1


def test_a_turn_is_given_back_when_no_line_can_be_opened(held: Held) -> None:
    def cannot() -> Any:
        raise HostUnreachable("Gone.")

    calls = Calls(cannot, patience=PATIENCE)
    calls.open(libvirt.open(TEST_DRIVER))
    held.hold(calls.host())
    for _ in range(LINES * 2):
        with pytest.raises(HostUnreachable), calls.host():
            pass
    held.release()
    with calls.host():
        pass


def test_nothing_begins_before_opening_or_after_closing(calls: Calls) -> None:
    with pytest.raises(HostUnreachable), Calls(lambda: None).host():
        pass
    calls.close()
    with pytest.raises(HostUnreachable), calls.verb(TEST_DOMAIN):
        pass


def test_closing_returns_the_first_line_first_and_no_line_in_use(calls: Calls, opened: list[Any], held: Held) -> None:
    with calls.host(), calls.host():
        pass
    held.hold(calls.host())
    first, *idle = calls.close()
    assert first is opened[0]
    assert len(idle) == 1
    assert calls.close() == []
    held.release()
    assert calls.close() == []


def test_many_threads_never_share_a_line(calls: Calls, opened: list[Any], domains: list[UUID]) -> None:
    in_use: set[int] = set()
    guard = threading.Lock()
    wrong: list[str] = []
    calls._patience = 30  # the threads wait for each other, on a busy machine for long

    def work(make: Callable[[], AbstractContextManager[Any]]) -> None:
        for _ in range(20):
            with make() as line:
                with guard:
                    if id(line) in in_use:
                        wrong.append("shared")
                    in_use.add(id(line))
                line.getLibVersion()
                with guard:
                    in_use.discard(id(line))

    threads = [threading.Thread(target=work, args=(calls.host,)) for _ in range(LINES * 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(opened) <= LINES
