"""Every verb on libvirt's test driver: what it does, what it refuses, what it does not mind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest
from lxml import etree
from lxml.builder import E, ElementMaker

from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.errors import AgentUnavailable, DomainInWrongState, DomainNotFound, HypervisorError, NotSupported
from hypervisor.readings import JobProgress, Reading
from hypervisor.states import DomainState, reason_word
from tests.hypervisor.conftest import TEST_DOMAIN, TEST_DRIVER, domain_xml

TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"
TESTS = ElementMaker(namespace=TEST_NAMESPACE, nsmap={"test": TEST_NAMESPACE})
CRASHED = "6"


def read(driver: Connection) -> Reading:
    reading = driver.read(TEST_DOMAIN)
    assert reading
    return reading


def why(driver: Connection) -> tuple[DomainState, str]:
    reading = read(driver)
    return reading.state, reason_word(reading.state, reading.reason)


def test_suspend_and_resume(driver: Connection, domain: Domain) -> None:
    domain.suspend()
    assert why(driver) == (DomainState.PAUSED, "user")
    domain.resume()
    assert why(driver) == (DomainState.RUNNING, "unpaused")


def test_destroy_and_start(driver: Connection, domain: Domain) -> None:
    domain.destroy()
    assert why(driver) == (DomainState.SHUTOFF, "destroyed")
    assert not domain.is_active()
    domain.start()
    assert why(driver) == (DomainState.RUNNING, "booted")
    assert domain.is_active()


def test_destroy_of_a_domain_that_is_off_is_fine(domain: Domain) -> None:
    domain.destroy()
    domain.destroy()


def test_shutdown(driver: Connection, domain: Domain) -> None:
    domain.shutdown()
    assert why(driver) == (DomainState.SHUTOFF, "shutdown")


@pytest.mark.parametrize("mode", ["acpi", "agent"])
def test_a_mode_that_the_driver_does_not_know_is_not_supported(driver: Connection, domain: Domain, mode: str) -> None:
    with pytest.raises((NotSupported, AgentUnavailable)):
        domain.shutdown(mode)
    assert why(driver)[0] is DomainState.RUNNING


def test_reboot(driver: Connection, domain: Domain) -> None:
    domain.reboot()
    assert why(driver)[0] in {DomainState.RUNNING, DomainState.SHUTOFF}  # as the definition's on_reboot has it


@pytest.mark.parametrize("verb", [Domain.shutdown, Domain.reboot])
def test_a_mode_that_does_not_exist_is_the_callers_mistake(domain: Domain, verb: Callable[..., None]) -> None:
    with pytest.raises(KeyError):
        verb(domain, "hammer")
    domain.suspend()


def test_managed_save_and_start_from_it(driver: Connection, domain: Domain) -> None:
    domain.save_managed()
    assert why(driver) == (DomainState.SHUTOFF, "saved")
    assert read(driver).has_saved_image
    assert [reading.has_saved_image for reading in driver.read_all()] == [True]
    domain.start()
    assert not read(driver).has_saved_image


def test_a_saved_image_is_removed_and_having_none_is_fine(driver: Connection, domain: Domain) -> None:
    domain.save_managed()
    for _ in range(2):
        domain.remove_saved_image()
        assert not read(driver).has_saved_image


def test_autostart_is_set_and_read(driver: Connection, domain: Domain) -> None:
    for autostart in (True, False):
        domain.set_autostart(autostart)
        assert read(driver).autostart is autostart
        assert [reading.autostart for reading in driver.read_all()] == [autostart]


def test_undefine_forgets_a_domain_that_is_off(driver: Connection) -> None:
    uuid = driver.define(domain_xml("second"))
    domain = driver.domain(uuid)
    domain.undefine()
    assert driver.read(uuid) is None
    for verb in (domain.start, domain.suspend, domain.undefine, domain.is_active, domain.destroy):
        with pytest.raises(DomainNotFound):
            verb()


def test_undefine_leaves_a_running_domain_transient(driver: Connection) -> None:
    uuid = driver.define(domain_xml("second"))
    domain = driver.domain(uuid)
    domain.start()
    domain.undefine()
    reading = driver.read(uuid)
    assert reading
    assert (reading.persistent, reading.state) == (False, DomainState.RUNNING)
    assert reading.definition
    assert {each.uuid: each.persistent for each in driver.read_all()} == {uuid: False, TEST_DOMAIN: True}
    domain.destroy()
    assert driver.read(uuid) is None


def test_undefine_takes_a_saved_image_only_when_told(driver: Connection) -> None:
    domain = driver.domain(driver.define(domain_xml("second")))
    domain.start()
    domain.save_managed()
    with pytest.raises(HypervisorError):
        domain.undefine()
    domain.undefine(saved_image=True)
    assert driver.read(domain.uuid) is None


def test_snapshots_are_counted_and_forgotten_with_the_domain_when_told(driver: Connection) -> None:
    domain = driver.domain(driver.define(domain_xml("second")))
    raw = libvirt.open(TEST_DRIVER).lookupByUUID(domain.uuid.bytes)
    for name in ("a", "b"):
        raw.snapshotCreateXML(etree.tostring(E.domainsnapshot(E.name(name)), encoding="unicode"))
    counts = {reading.uuid: reading.snapshot_count for reading in driver.read_all()}
    assert counts == {domain.uuid: 2, TEST_DOMAIN: 0}
    with pytest.raises(DomainInWrongState):
        domain.undefine()
    domain.undefine(snapshots=True)
    assert driver.read(domain.uuid) is None


def test_the_xml_is_the_definitions(driver: Connection, domain: Domain) -> None:
    definition = read(driver).definition
    assert definition
    assert domain.xml() == definition.xml
    assert domain.live_xml().startswith("<domain type='test' id='")


def test_a_driver_without_jobs_has_none(domain: Domain) -> None:
    domain.abort_job()
    assert domain.job_progress() is None


def test_progress_is_in_percent_and_never_beyond() -> None:
    assert JobProgress("save", 0, 0).percent == 0
    assert JobProgress("save", 1, 3).percent == 33
    assert JobProgress("save", 9, 3).percent == 100


@pytest.mark.parametrize("protocol", ["vnc", "spice", ""])
def test_a_display_that_it_does_not_have_is_not_supported(domain: Domain, protocol: str) -> None:
    with pytest.raises(NotSupported):
        domain.open_graphics(protocol)


def test_without_an_agent_there_are_no_addresses(domain: Domain) -> None:
    with pytest.raises((AgentUnavailable, NotSupported)):
        domain.addresses()
    with pytest.raises((AgentUnavailable, NotSupported)):
        domain.agent_command({"execute": "guest-ping"})


def crashed_driver(path: Path, *, transient: bool) -> Connection:
    """A host of its own whose one domain crashed while its process stayed."""
    facts = [TESTS.runstate(CRASHED), *([TESTS.transient()] if transient else [])]
    domain = E.domain(E.name("crashed"), E.memory("1024"), E.os(E.type("hvm")), *facts, type="test")
    path.write_text(etree.tostring(E.node(domain), encoding="unicode"))
    connection = Connection(f"test://{path}")
    connection.open()
    return connection


def test_a_crashed_domain_is_started_anew(tmp_path: Path) -> None:
    connection = crashed_driver(tmp_path / "node.xml", transient=False)
    [reading] = connection.read_all()
    assert (reading.state, reading.persistent) == (DomainState.CRASHED, True)
    connection.domain(reading.uuid).start()
    [reading] = connection.read_all()
    assert reading.state == DomainState.RUNNING
    connection.close()


def test_a_crashed_domain_that_starting_would_lose_is_left_alone(tmp_path: Path) -> None:
    connection = crashed_driver(tmp_path / "node.xml", transient=True)
    [reading] = connection.read_all()
    with pytest.raises(DomainInWrongState) as caught:
        connection.domain(reading.uuid).start()
    assert "lose" in caught.value.sentence
    assert [reading.state for reading in connection.read_all()] == [DomainState.CRASHED]
    connection.close()
