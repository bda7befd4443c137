"""What tests of operations share: a watcher in this process, domains of libvirt's test driver, real workers."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from lxml import etree
from lxml.builder import E

from demo.libvirtd import PrivateLibvirtd
from demo.portal import Process, programs
from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.errors import HypervisorError
from lifecycle import operations
from lifecycle.connections import Purpose, pool
from lifecycle.models import OPEN, Operation, Status
from machines.models import Grant, GrantRole, Host, Machine
from machines.watcher import Watcher
from tests.conftest import MakeGuest
from tests.guest import Guest
from tests.lifecycle import walked


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what became of each cell, where the walks were asked to leave none out."""
    if config.getoption("--full") and walked.RESULTS:
        terminalreporter.section("states and operations, walked on a real guest: docs/every-cell.md")
        for line in walked.table():
            terminalreporter.write_line(line)


TEST_DRIVER = "test:///default"

Ask = Callable[..., Operation]
MakeOperation = Callable[..., Operation]
MakeDomain = Callable[..., tuple[Domain, Machine]]
MakeVm = Callable[..., tuple[Guest, Machine]]
StartWorker = Callable[..., Process]
Watch = Callable[[str], Host]


def eventually(what: Callable[[], object], limit: float = 20.0) -> object:
    """Return the first truthy answer; fail when there is none in time."""
    until = time.monotonic() + limit
    while not (answer := what()):
        assert time.monotonic() < until, f"not within {limit} s; at last {answer!r}"
        time.sleep(0.02)
    return answer


def fresh(operation: Operation) -> Operation:
    """Return the row as it is now."""
    return Operation.objects.select_related("machine__host").get(pk=operation.pk)


def ended(operation: Operation, limit: float = 30.0) -> Operation:
    """Wait for the end of an operation and return it."""
    eventually(lambda: fresh(operation).status not in OPEN, limit)
    return fresh(operation)


@pytest.fixture
def ask(owner: User) -> Ask:
    """A function with which the owner asks for an operation."""

    def ask(machine: Machine, kind: str, **parameters: object) -> Operation:
        return operations.request(machine, kind, by=owner, parameters=parameters)

    return ask


@pytest.fixture
def watch(transactional_db: None) -> Iterator[Watch]:
    """A function that has a host of this URI watched, by a watcher in this process."""
    watcher, stop = Watcher(f"tests-{os.getpid()}"), threading.Event()
    thread = threading.Thread(target=watcher.run, args=[stop])

    def watch(uri: str) -> Host:
        host = Host.objects.create(name="watched", uri=uri)
        thread.start()
        return host

    yield watch
    stop.set()
    thread.join(10)


def known(identity: uuid.UUID, owner: User) -> Machine:
    """Wait until the watcher has found a machine, and give it to the owner."""
    eventually(lambda: Machine.objects.filter(pk=identity, host__reachable=True).exists())
    Machine.objects.filter(pk=identity).update(owner=owner)
    return Machine.objects.select_related("host").get(pk=identity)


@pytest.fixture
def make_domain(watch: Watch, owner: User) -> Iterator[MakeDomain]:
    """A function that makes a domain of libvirt's test driver, running unless told otherwise, and its Machine."""
    watch(TEST_DRIVER)
    libvirt: Connection = pool(Purpose.QUICK).connection(TEST_DRIVER)
    made: list[Domain] = []

    def make(*, start: bool = True) -> tuple[Domain, Machine]:
        domain = libvirt.domain(libvirt.define(_test_xml()))
        made.append(domain)
        if start:
            domain.start()
        machine = known(domain.uuid, owner)
        eventually(lambda: Machine.objects.get(pk=domain.uuid).state == ("running" if start else "shutoff"))
        return domain, machine

    yield make
    for domain in made:
        with suppress(HypervisorError):
            domain.destroy()
        with suppress(HypervisorError):
            domain.undefine(saved_image=True)


@pytest.fixture
def make_vm(watch: Watch, libvirtd: PrivateLibvirtd, make_guest: MakeGuest, owner: User) -> MakeVm:
    """A function that makes a real guest, with the options of `make_guest`, and its Machine."""
    watch(libvirtd.uri)

    def make(**options: object) -> tuple[Guest, Machine]:
        guest = make_guest(**options)
        machine = known(guest.uuid, owner)
        wanted = "running" if options.get("start", True) else "shutoff"
        eventually(lambda: Machine.objects.get(pk=guest.uuid).state == wanted)
        return guest, machine

    return make


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[StartWorker]:
    """A function that starts a real worker process of a queue on this test's database and Redis.

    It takes more environment variables for the process.
    """
    started: list[Process] = []
    workers = {program.name: program for program in programs(0)}
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "kvmportal.settings", "DATABASE_URL": _database_url()}

    def start(queue: str, **extra: str) -> Process:
        log = tmp_path / f"{queue}-{len(started)}.log"
        process = Process(workers[f"worker-{queue}"], log, environment | extra)
        process.start()
        started.append(process)
        eventually(lambda: "ready" in process.log.read_text())
        return process

    yield start
    for process in started:
        process.ask_to_stop()
    for process in started:
        process.wait_stopped(time.monotonic() + 15)


def _database_url() -> str:
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return f"postgresql://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


def _test_xml() -> str:
    domain = E.domain(
        E.name(f"ops-{uuid.uuid4()}"), E.memory("65536", unit="KiB"), E.os(E.type("hvm")), E.vcpu("1"), type="test"
    )
    return etree.tostring(domain, encoding="unicode")


@pytest.fixture
def operator(machine: Machine) -> User:
    """Somebody who may run `machine` but does not own it."""
    person = User.objects.create_user("operator")
    Grant.objects.create(machine=machine, user=person, role=GrantRole.OPERATOR)
    return person


@pytest.fixture
def make_operation(machine: Machine, owner: User) -> MakeOperation:
    """A function that makes an operation row, a running save of `machine` unless told otherwise."""

    def make(**fields: object) -> Operation:
        defaults = {"machine": machine, "kind": "save", "status": Status.RUNNING, "requested_by": owner}
        return Operation.objects.create(**(defaults | fields))

    return make
