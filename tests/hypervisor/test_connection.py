"""A connection's life, and what it reads, on libvirt's test driver and on hosts that cannot be reached."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from pathlib import Path
from uuid import uuid4

import pytest

from demo.libvirtd import PrivateLibvirtd
from hypervisor import connection as connection_module
from hypervisor import eventloop
from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.errors import BadDefinition, DomainNotFound, HostUnreachable
from hypervisor.events import Event, EventKind
from hypervisor.states import DomainState
from tests.hypervisor.conftest import TEST_DOMAIN, TEST_DRIVER, Heard, domain_xml, eventually


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_host_says_what_it_is(driver: Connection) -> None:
    facts = driver.host_facts()
    assert facts.hostname == os.uname().nodename
    assert facts.libvirt_version.count(".") == 2
    assert (facts.cpus, facts.cpu_model, facts.memory_bytes) == (16, "i686", 3 * 2**30)
    assert facts.capabilities_xml.startswith("<capabilities")
    assert 0 < facts.free_memory_bytes < 3 * 2**30
    assert (facts.domain_types, facts.machine_types) == (("test",), ())


def test_one_domain_is_read_with_its_definition(driver: Connection) -> None:
    reading = driver.read(TEST_DOMAIN)
    assert reading
    assert (reading.uuid, reading.name, reading.state) == (TEST_DOMAIN, "test", DomainState.RUNNING)
    assert (reading.persistent, reading.autostart, reading.has_saved_image) == (True, False, False)
    assert (reading.snapshot_count, reading.agent_connected) == (0, False)
    assert reading.definition
    assert (reading.definition.vcpus, reading.definition.memory_bytes) == (2, 2 * 2**30)


def test_a_domain_that_libvirt_does_not_know_is_read_as_none(driver: Connection) -> None:
    assert driver.read(uuid4()) is None


def test_a_domain_that_libvirt_does_not_know_cannot_be_acted_on(driver: Connection) -> None:
    with pytest.raises(DomainNotFound):
        driver.domain(uuid4())


def test_all_domains_are_read_as_each_one_is(driver: Connection, domain: Domain) -> None:
    driver.define(domain_xml("second"))
    domain.suspend()
    domain.set_autostart(True)
    readings = driver.read_all()
    assert {reading.name for reading in readings} == {"test", "second"}
    for reading in readings:
        alone = driver.read(reading.uuid)
        assert alone
        assert {**vars_of(alone), "cpu_time_ns": 0} == {**vars_of(reading), "cpu_time_ns": 0}


def vars_of(reading: object) -> dict[str, object]:
    return {name: getattr(reading, name) for name in reading.__slots__}


def test_definitions_are_read_only_where_asked_for(driver: Connection) -> None:
    second = driver.define(domain_xml("second"))
    readings = {reading.uuid: reading for reading in driver.read_all({second})}
    assert readings[second].definition
    assert readings[second].agent_connected is False
    assert readings[TEST_DOMAIN].definition is None
    assert readings[TEST_DOMAIN].agent_connected is None
    assert all(reading.definition is None for reading in driver.read_all(frozenset()))


@pytest.mark.parametrize("name", ["plain", "a<b", "x&y", "it's", 'say "hi"', "Müller 🚀", "a b", "-rf", "&lt;", "]]>"])
def test_odd_names_come_back_as_they_were_given(driver: Connection, name: str) -> None:
    uuid = driver.define(domain_xml(name))
    reading = driver.read(uuid)
    assert reading
    assert reading.name == driver.domain(uuid).name == name
    driver.domain(uuid).undefine()


@pytest.mark.parametrize(
    "xml",
    [
        "no xml",
        "<network/>",
        "<!DOCTYPE domain [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><domain><name>&f;</name></domain>",
        "<domain type='test'/>",
        "<domain type='test'><name>a/b</name><memory>1</memory><os><type>hvm</type></os></domain>",
        "<domain type='test'><name></name><memory>1</memory><os><type>hvm</type></os></domain>",
        "<domain type='test'><name>a</name><memory>lots</memory><os><type>hvm</type></os></domain>",
        "<domain type='test'><name>a</name><uuid>x</uuid><memory>1</memory><os><type>hvm</type></os></domain>",
    ],
)
def test_a_definition_that_cannot_be_is_refused(driver: Connection, xml: str) -> None:
    with pytest.raises(BadDefinition):
        driver.define(xml)
    assert len(driver.read_all()) == 1


def test_a_name_that_another_domain_has_is_refused(driver: Connection) -> None:
    with pytest.raises(BadDefinition) as caught:
        driver.define(domain_xml("test"))
    assert caught.value.code
    assert caught.value.text


def test_what_happens_to_domains_is_told(driver: Connection, domain: Domain) -> None:
    heard = Heard(driver)
    domain.suspend()
    heard.wait_for(TEST_DOMAIN, EventKind.CHANGED)
    uuid = driver.define(domain_xml("second"))
    heard.wait_for(uuid, EventKind.DEFINITION)
    driver.domain(uuid).undefine()
    heard.wait_for(uuid, EventKind.DEFINITION)


def test_what_another_connection_does_is_told(driver: Connection) -> None:
    heard = Heard(driver)
    other = Connection(TEST_DRIVER)
    other.open()
    other.domain(TEST_DOMAIN).suspend()
    heard.wait_for(TEST_DOMAIN, EventKind.CHANGED)
    other.close()


def test_a_receiver_that_fails_loses_its_event_and_nothing_else(
    driver: Connection, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    received: list[Event] = []

    def fail_once(event: Event) -> None:
        received.append(event)
        if len(received) == 1:
            raise ZeroDivisionError

    driver.watch(fail_once)
    domain.suspend()
    domain.resume()
    eventually(lambda: len(received) == 2)
    assert "its receiver failed" in caplog.text


def test_the_event_loop_is_started_once() -> None:
    for _ in range(3):
        eventloop.start()
    assert [thread.name for thread in threading.enumerate()].count("libvirt-events") == 1


def test_a_closed_connection_is_not_alive_and_says_so_to_every_call(driver: Connection, domain: Domain) -> None:
    assert driver.alive
    driver.close()
    driver.close()
    assert not driver.alive
    for call in (driver.host_facts, driver.read_all, domain.suspend, domain.is_active, domain.destroy):
        with pytest.raises(HostUnreachable):
            call()


def test_a_connection_that_was_never_opened_says_so_and_can_be_closed() -> None:
    connection = Connection(TEST_DRIVER)
    assert not connection.alive
    with pytest.raises(HostUnreachable):
        connection.read_all()
    connection.close()


def test_closing_is_not_told_as_a_loss() -> None:
    lost: list[bool] = []
    connection = Connection(TEST_DRIVER, on_close=lambda: lost.append(True))
    connection.open()
    connection.close()
    time.sleep(0.1)
    assert not lost


def test_no_event_comes_after_closing(driver: Connection) -> None:
    closed = Connection(TEST_DRIVER)
    closed.open()
    heard, still = Heard(closed), Heard(driver)
    closed.close()
    driver.domain(TEST_DOMAIN).suspend()
    still.wait_for(TEST_DOMAIN, EventKind.CHANGED)
    assert heard.drain() == []


def test_opening_and_closing_leaves_no_file_and_no_connection_behind() -> None:
    def cycle() -> weakref.ref[object]:
        connection = Connection(TEST_DRIVER, on_close=lambda: None)
        connection.open()
        connection.watch(lambda _event: None)
        connection.read_all()
        line = weakref.ref(connection._calls.first)
        connection.close()
        return line

    first = cycle()
    before = open_files()
    for _ in range(50):
        last = cycle()
    assert open_files() == before
    gc.collect()
    assert first() is None
    eventually(lambda: last() is None)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+unix:///system?socket=/nonexistent/libvirt-sock",
        "nonsense://",
        "qemu+tcp://127.0.0.1:1/system",
        "test:///nonexistent.xml",
        "qemu+ssh://",
        "%%%",
        "http://127.0.0.1/",
    ],
)
def test_a_host_that_cannot_be_reached_says_why_to_the_administrator(uri: str) -> None:
    connection = Connection(uri)
    with pytest.raises(HostUnreachable) as caught:
        connection.open()
    assert caught.value.sentence.startswith("The host")
    assert caught.value.text
    assert not connection.alive


def test_a_host_that_never_answers_is_given_up(silent_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "OPEN_SECONDS", 0.2)
    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises(HostUnreachable):
            Connection(silent_uri).open()
    assert time.monotonic() - begun < 5
    assert [thread.name for thread in threading.enumerate()].count(f"open {silent_uri}") == 1


def test_a_definition_that_is_edited_without_its_secrets_keeps_the_displays_password(
    host: Connection, libvirtd: PrivateLibvirtd
) -> None:
    display = "<graphics type='vnc' passwd='secret' listen='127.0.0.1'/>"
    described = (
        f"<domain type='qemu'><name>kvmportal-test-{uuid4().hex[:8]}</name><memory>1024</memory>"
        f"<os><type>hvm</type></os><devices>{display}</devices></domain>"
    )
    uuid = host.define(described)
    try:
        shown = host.domain(uuid).xml()
        assert "secret" not in shown
        host.define(shown.replace("<memory unit='KiB'>1024<", "<memory unit='KiB'>2048<"))
        now = libvirtd.virsh("dumpxml", str(uuid), "--security-info")
        assert ("passwd='secret'" in now, "2048" in now) == (True, True)
        host.define(shown.replace("<graphics type='vnc'", "<graphics passwd='other' type='vnc'"))
        assert "passwd='other'" in libvirtd.virsh("dumpxml", str(uuid), "--security-info")
    finally:
        host.domain(uuid).undefine()
