"""Define, create, undefine and autostart, and machines from XML: what is refused, what is done, what is kept."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import etree
from lxml.builder import E

from hypervisor.connection import Connection
from hypervisor.readings import Reading
from hypervisor.states import DomainState, State
from lifecycle import operations, reconcile, running
from lifecycle.connections import Purpose, pool
from lifecycle.models import Operation, Status
from lifecycle.proofs import proven_ending
from machines.models import Host, Machine
from machines.refused import Refused
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import TEST_DRIVER, Ask, MakeDomain, eventually, fresh

MACHINES = "/api/v1/machines"
on_libvirt = pytest.mark.django_db(transaction=True)


def xml(name: str = "machine", identity: uuid.UUID | None = None, *more: Any, title: str = "") -> str:
    """Return a definition for libvirt's test driver; `more` are its disks."""
    root = E.domain(
        E.name(name),
        *([E.uuid(str(identity))] if identity else []),
        *([E.title(title)] if title else []),
        E.memory("65536", unit="KiB"),
        E.vcpu("1"),
        E.os(E.type("hvm")),
        E.devices(*more),
        type="test",
    )
    return etree.tostring(root, encoding="unicode")


def disk(target: str, path: str, *more: Any, **attributes: str) -> Any:
    return E.disk(E.source(file=path), E.target(dev=target), *more, type="file", **({"device": "disk"} | attributes))


def refusal(machine: Machine, kind: str, by: User, **parameters: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        operations.request(machine, kind, by=by, parameters=parameters)
    return caught.value


def run(operation: Operation) -> Operation:
    running.run(operation.pk)
    return fresh(operation)


def post(client: Client, status: int, **body: Any) -> Any:
    answer = client.post(MACHINES, json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


@pytest.fixture
def gone(machine: Machine) -> Machine:
    """`machine`, undefined, with its last definition."""
    Machine.objects.update(state=State.UNDEFINED, definition_xml=xml("machine", machine.uuid))
    machine.refresh_from_db()
    return machine


@pytest.fixture
def off(machine: Machine) -> Machine:
    """`machine`, off."""
    Machine.objects.update(state=State.SHUTOFF, definition_xml=xml("machine", machine.uuid))
    machine.refresh_from_db()
    return machine


# Which definitions are refused


@pytest.mark.parametrize(
    "given",
    [
        "nonsense",
        "<domain><name>a</domain>",
        "<network><name>a</name></network>",
        "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain><name>&a;</name></domain>",
        "<domain type='test'/>",
        "<domain><name>a</name><uuid>not one</uuid></domain>",
        f"<domain><name>{'x' * 256}</name></domain>",
    ],
)
def test_what_is_no_definition_is_refused(gone: Machine, admin: User, given: str) -> None:
    found = refusal(gone, "define", admin, xml=given)
    assert (found.code, found.status) == ("bad_definition", 400)
    assert refusal(gone, "create", admin, xml=given).code == "bad_definition"
    assert not Operation.objects.exists()


def test_only_administrators_hand_xml_over(gone: Machine, owner: User) -> None:
    assert refusal(gone, "define", owner, xml=gone.definition_xml).status == 403
    assert refusal(gone, "create", owner, xml=gone.definition_xml).status == 403


def test_definition_of_another_machine_is_refused_and_names_it(
    gone: Machine, admin: User, make_machine: MakeMachine
) -> None:
    other = make_machine("other one")
    found = refusal(gone, "define", admin, xml=xml("machine", other.uuid))
    assert (found.code, found.details) == ("uuid_differs", {"uuid": str(other.uuid)})
    assert "other one" in found.sentence
    assert str(other.uuid) in found.sentence
    nobody = uuid.uuid4()
    assert str(nobody) in refusal(gone, "define", admin, xml=xml("machine", nobody)).sentence


def test_other_machine_is_not_named_to_those_who_may_not_see_it(
    gone: Machine, owner: User, make_machine: MakeMachine
) -> None:
    other = make_machine("other one")
    Machine.objects.filter(pk=gone.pk).update(definition_xml=xml("machine", other.uuid))
    found = refusal(gone, "define", owner)
    assert found.code == "uuid_differs"
    assert "other one" not in found.sentence


def test_taken_name_is_refused_and_only_those_who_see_the_other_learn_which(
    gone: Machine, owner: User, admin: User, make_machine: MakeMachine
) -> None:
    other = make_machine("machine")
    assert refusal(gone, "define", admin).details == {"machine": str(other.uuid)}
    found = refusal(gone, "define", owner)
    assert (found.code, found.details) == ("name_taken", {})
    Machine.objects.filter(pk=other.pk).update(state=State.UNDEFINED)
    assert operations.request(gone, "define", by=owner, parameters={})


def test_defined_machine_keeps_its_name(off: Machine, admin: User) -> None:
    assert refusal(off, "define", admin, xml=xml("another")).code == "name_differs"


def test_machine_without_any_definition_cannot_be_defined_again(gone: Machine, owner: User) -> None:
    Machine.objects.update(definition_xml="")
    assert refusal(gone, "define", owner).code == "no_definition"


# What undefining would lose


@pytest.mark.parametrize(
    ("fields", "ticked", "named"),
    [
        ({"has_saved_image": True, "state": State.SAVED}, {}, ["managed-save image"]),
        ({"snapshot_count": 2}, {"saved_image": True}, ["2 snapshots"]),
        (
            {"has_saved_image": True, "state": State.SAVED, "snapshot_count": 1},
            {},
            ["managed-save image", "1 snapshot"],
        ),
    ],
)
def test_undefine_names_what_would_be_lost(
    off: Machine, owner: User, fields: dict[str, Any], ticked: dict[str, bool], named: list[str]
) -> None:
    Machine.objects.update(**fields)
    found = refusal(off, "undefine", owner, **ticked)
    assert found.code == "would_lose"
    assert all(words in found.sentence for words in named)
    everything = {"saved_image": True, "snapshots": True}
    assert operations.request(off, "undefine", by=owner, parameters=everything)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (disk("hda", "/pool/cd.iso", device="cdrom"), "medium"),
        (disk("vda", "/pool/base.img", E.readonly()), "read-only"),
        (disk("vda", "/pool/all.img", E.shareable()), "shared"),
        (E.disk(E.source(pool="p", volume="v"), E.target(dev="vda"), type="volume"), "not a file"),
        (E.disk(E.source(dev="/dev/sda"), E.target(dev="vda"), type="block"), "not a file"),
    ],
)
def test_only_disks_of_its_own_may_go(off: Machine, owner: User, device: Any, words: str) -> None:
    Machine.objects.update(definition_xml=xml("machine", off.uuid, device))
    (target,) = [element.get("dev") for element in device.iter("target")]
    found = refusal(off, "undefine", owner, disks=[target])
    assert found.code == "disk_stays"
    assert words in found.sentence
    assert refusal(off, "undefine", owner, disks=["vdz"]).code == "bad_parameters"


def test_disk_that_another_machine_uses_stays(
    off: Machine, owner: User, admin: User, make_machine: MakeMachine
) -> None:
    path = "/pool/a & b's.qcow2"
    Machine.objects.update(definition_xml=xml("machine", off.uuid, disk("vda", path), disk("vdb", "/pool/b.img")))
    make_machine("other one", definition_xml=xml("o", None, disk("sda", "/pool//a & b's.qcow2")), state="undefined")
    assert "other one" in refusal(off, "undefine", admin, disks=["vdb", "vda"]).sentence
    found = refusal(off, "undefine", owner, disks=["vda"])
    assert (found.code, "other one" in found.sentence) == ("disk_stays", False)
    assert operations.request(off, "undefine", by=owner, parameters={"disks": ["vdb"]})


def test_disk_that_another_host_may_share_stays(off: Machine, make_machine: MakeMachine, owner: User) -> None:
    definition = xml("machine", off.uuid, disk("vda", "/shared/a.img"))
    Machine.objects.update(definition_xml=definition)
    elsewhere = Host.objects.create(name="elsewhere", uri="test:///elsewhere")
    other = make_machine("other one", host=elsewhere, definition_xml=definition)
    off.refresh_from_db()
    assert "share storage" in refusal(off, "undefine", owner, disks=["vda"]).sentence
    other.delete()
    Machine.objects.update(conflict_host=elsewhere)
    off.refresh_from_db()
    assert "Another host" in refusal(off, "undefine", owner, disks=["vda"]).sentence


def test_disks_of_a_machine_that_is_on_stay(off: Machine, owner: User) -> None:
    Machine.objects.update(definition_xml=xml("machine", off.uuid, disk("vda", "/pool/a.img")), domain_id=7)
    assert "off" in refusal(off, "undefine", owner, disks=["vda"]).sentence


# Keys


@pytest.mark.parametrize("keys", [["KEY_LEFTCTRL", "KEY_NONSENSE"], []])
def test_unknown_keys_and_no_keys_are_refused(machine: Machine, admin: User, keys: list[str]) -> None:
    found = refusal(machine, "send-keys", admin, keys=keys)
    assert (found.code, found.details) == ("bad_parameters", {"parameter": "keys"})
    if keys:
        assert "KEY_NONSENSE" in found.sentence


# The API that makes a machine


def test_only_administrators_make_machines(
    script_of: ClientOf, host: Host, owner: User, helpdesk: User, admin: User
) -> None:
    for person in (owner, helpdesk):
        assert post(script_of(person), 403, xml=xml())["error"]["code"] == "forbidden"
    assert Client().post(MACHINES, "{}", content_type="application/json").status_code == 401
    assert not Machine.objects.exists()
    answer = post(script_of(admin), 202, xml=xml("new", title="A title"), owner="owner")
    assert (answer["operation"], answer["status"], answer["parameters"]) == ("define", "queued", {})
    row = Machine.objects.get(pk=answer["machine"])
    assert (row.name, row.title, row.state, row.owner, row.host) == ("new", "A title", "undefined", owner, host)
    assert str(row.uuid) in row.definition_xml


def test_numbers_that_no_column_holds_are_left_for_libvirt_to_refuse(
    script_of: ClientOf, host: Host, admin: User
) -> None:
    absurd = xml().replace("<vcpu>1</vcpu>", f"<vcpu>{'9' * 15}</vcpu><currentMemory unit='EiB'>9999</currentMemory>")
    row = Machine.objects.get(pk=post(script_of(admin), 202, xml=absurd)["machine"])
    assert (row.vcpus, row.memory_bytes) == (2**31 - 1, 2**63 - 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"host": "elsewhere"}, "host"),
        ({"owner": "nobody-known"}, "owner"),
        ({"persistent": False}, "start"),
    ],
)
def test_wrong_parameter_of_a_new_machine_is_named(
    script_of: ClientOf, host: Host, admin: User, body: dict[str, Any], field: str
) -> None:
    error = post(script_of(admin), 400, xml=xml(), **body)["error"]
    assert (error["code"], error["details"]) == ("bad_parameters", {"parameter": field})
    assert post(script_of(admin), 400, xml=xml(), colour="red")["error"]["code"] == "bad_parameters"
    assert post(script_of(admin), 400, xml="<domain>")["error"]["code"] == "bad_definition"
    assert not Machine.objects.exists()


def test_host_has_to_be_named_where_there_are_several(script_of: ClientOf, host: Host, admin: User) -> None:
    Host.objects.create(name="host-2", uri="test:///other", reachable=True)
    assert post(script_of(admin), 400, xml=xml())["error"]["details"] == {"parameter": "host"}
    answer = post(script_of(admin), 202, xml=xml(), host="host-2", start=True, persistent=False)
    assert (answer["operation"], answer["parameters"]) == ("create", {"persistent": False})


def test_machine_that_is_known_is_not_made_again(script_of: ClientOf, machine: Machine, admin: User) -> None:
    error = post(script_of(admin), 409, xml=xml("b", machine.uuid))["error"]
    assert (error["code"], error["details"]["machine"]) == ("machine_exists", str(machine.uuid))
    Machine.objects.update(state=State.UNDEFINED)
    error = post(script_of(admin), 409, xml=xml("b", machine.uuid))["error"]
    assert "undefined now" in error["message"]
    Machine.objects.update(state=State.SHUTOFF)
    assert post(script_of(admin), 409, xml=xml("machine"))["error"]["code"] == "name_taken"


def test_new_machine_of_a_host_that_does_not_answer_leaves_no_row(script_of: ClientOf, host: Host, admin: User) -> None:
    Host.objects.update(reachable=False)
    assert post(script_of(admin), 409, xml=xml())["error"]["code"] == "host_unreachable"
    assert not Machine.objects.exists()


# On libvirt's test driver


@pytest.fixture
def libvirt() -> Connection:
    return pool(Purpose.QUICK).connection(TEST_DRIVER)


def shows(machine: Machine, state: str, **fields: bool) -> None:
    """Wait until the portal shows the machine so."""
    eventually(lambda: Machine.objects.filter(pk=machine.pk, state=state, **fields).exists(), 30)


def succeeds(operation: Operation) -> Operation:
    row = run(operation)
    assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)
    return row


@on_libvirt
def test_machine_is_undefined_and_defined_again_and_created_both_ways(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain(start=False)
    assert "kept here" in succeeds(ask(machine, "undefine")).message
    shows(machine, "undefined")
    succeeds(ask(machine, "define"))
    shows(machine, "shutoff", persistent=True)
    succeeds(ask(machine, "undefine"))
    shows(machine, "undefined")
    succeeds(ask(machine, "create"))
    shows(machine, "running", persistent=False)
    assert refusal(machine, "undefine", machine.owner).sentence.startswith("It is transient")
    succeeds(ask(machine, "destroy"))
    shows(machine, "undefined")
    succeeds(ask(machine, "create", persistent=True))
    shows(machine, "running", persistent=True)
    assert domain.is_active()


@on_libvirt
def test_undefined_while_it_runs_a_machine_goes_on_until_it_is_off(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    assert "goes on until it is off" in succeeds(ask(machine, "undefine")).message
    shows(machine, "running", persistent=False)
    assert domain.is_active()
    succeeds(ask(machine, "destroy"))
    shows(machine, "undefined")


@on_libvirt
def test_administrator_changes_a_definition(make_domain: MakeDomain, admin: User) -> None:
    domain, machine = make_domain()
    changed = xml(machine.name, machine.uuid, title="Another title")
    asked = operations.request(machine, "define", by=admin, parameters={"xml": changed})
    assert "from its next start on" in succeeds(asked).message
    assert "Another title" in domain.xml()


@on_libvirt
def test_definition_is_not_changed_for_someone_who_is_no_administrator_any_more(
    make_domain: MakeDomain, admin: User
) -> None:
    domain, machine = make_domain()
    changed = xml(machine.name, machine.uuid, title="Another title")
    asked = operations.request(machine, "define", by=admin, parameters={"xml": changed})
    Machine.objects.update(owner=admin)
    User.objects.filter(pk=admin.pk).update(is_superuser=False)
    assert run(asked).status == Status.CANCELLED
    assert "Another title" not in domain.xml()


@on_libvirt
def test_autostart_is_turned_on_and_off(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain(start=False)
    for on in (True, False):
        succeeds(ask(machine, "autostart", on=on))
        shows(machine, "shutoff", autostart=on)


@on_libvirt
def test_name_that_only_libvirt_knows_to_be_taken_fails_and_nothing_is_lost(
    make_domain: MakeDomain, ask: Ask, libvirt: Connection
) -> None:
    _domain, machine = make_domain(start=False)
    succeeds(ask(machine, "undefine"))
    shows(machine, "undefined")
    asked = ask(machine, "define")
    other = libvirt.domain(libvirt.define(xml(machine.name)))
    try:
        failed = run(asked)
    finally:
        other.undefine()
    assert (failed.status, failed.error_code) == (Status.FAILED, "bad_definition")
    assert "kept here" in failed.message
    assert Machine.objects.get(pk=machine.pk).definition_xml == machine.definition_xml


@on_libvirt
@pytest.mark.parametrize("kind", ["define", "create"])
def test_machine_that_came_back_meanwhile_is_not_overwritten(
    make_domain: MakeDomain, ask: Ask, libvirt: Connection, kind: str
) -> None:
    domain, machine = make_domain(start=False)
    succeeds(ask(machine, "undefine"))
    shows(machine, "undefined")
    asked = ask(machine, kind)
    libvirt.define(xml(machine.name, machine.uuid, title="Newer"))
    failed = run(asked)
    assert (failed.status, failed.error_code) == (Status.FAILED, "domain_in_wrong_state")
    assert "Newer" in domain.xml()


@on_libvirt
def test_new_machine_is_defined_and_started(
    make_domain: MakeDomain, script_of: ClientOf, admin: User, libvirt: Connection
) -> None:
    make_domain()
    name = f"new-{uuid.uuid4()}"
    answer = post(script_of(admin), 202, xml=xml(name), start=True)
    succeeds(Operation.objects.get(pk=answer["id"]))
    domain = libvirt.domain(uuid.UUID(answer["machine"]))
    try:
        assert (domain.name, domain.is_active()) == (name, True)
        shows(Machine.objects.get(pk=domain.uuid), "running", persistent=True)
    finally:
        domain.destroy()
        domain.undefine()


@on_libvirt
def test_new_machine_whose_definition_fails_stays_undefined_and_can_be_corrected(
    make_domain: MakeDomain, script_of: ClientOf, admin: User, libvirt: Connection
) -> None:
    make_domain()
    wrong = xml(f"new-{uuid.uuid4()}").replace("<vcpu>1</vcpu>", "<vcpu>many</vcpu>")
    failed = run(Operation.objects.get(pk=post(script_of(admin), 202, xml=wrong)["id"]))
    assert (failed.status, failed.error_code) == (Status.FAILED, "bad_definition")
    assert "kept here" in failed.message
    machine = failed.machine
    reads = Host.objects.get().seen_at
    eventually(lambda: Host.objects.get().seen_at > reads, 30)  # a complete reading does not know it and leaves it
    row = Machine.objects.get(pk=machine.pk)
    assert (row.state, row.version, "many" in row.definition_xml) == ("undefined", machine.version, True)
    right = row.definition_xml.replace("many", "1")
    succeeds(operations.request(row, "define", by=admin, parameters={"xml": right}))
    shows(row, "shutoff")
    libvirt.domain(row.uuid).undefine()


# Rows whose worker was lost

KNOWN = Reading(uuid.uuid4(), "machine", DomainState.SHUTOFF, 0, True, True, False, 0)
TRANSIENT = Reading(uuid.uuid4(), "machine", DomainState.RUNNING, 1, False, False, False, 0)


@pytest.mark.parametrize(
    ("kind", "parameters", "reading", "end"),
    [
        ("define", {}, KNOWN, Status.SUCCEEDED),
        ("define", {}, None, None),
        ("define", {}, TRANSIENT, None),
        ("define", {"xml": "<domain/>"}, KNOWN, Status.INTERRUPTED),
        ("undefine", {"disks": []}, None, Status.SUCCEEDED),
        ("undefine", {"disks": []}, TRANSIENT, Status.SUCCEEDED),
        ("undefine", {"disks": ["vda"]}, None, Status.INTERRUPTED),
        ("undefine", {"disks": ["vda"]}, KNOWN, None),
        ("autostart", {"on": True}, KNOWN, Status.SUCCEEDED),
        ("autostart", {"on": False}, KNOWN, None),
        ("autostart", {"on": False}, None, None),
    ],
)
def test_host_shows_whether_it_was_done(
    kind: str, parameters: dict[str, Any], reading: Reading | None, end: Status | None
) -> None:
    ending = proven_ending(Operation(kind=kind, parameters=parameters), reading)
    assert (ending and ending.status) == end


@on_libvirt
def test_orphan_that_was_not_done_fails_and_one_that_was_succeeds(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain(start=False)
    row = operations.advance(ask(machine, "autostart", on=True), status=Status.RUNNING, worker="killed:1")
    assert row
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "worker_lost")
    row = operations.advance(ask(machine, "undefine"), status=Status.RUNNING, worker="killed:1")
    assert row
    domain.undefine()
    reconcile.look(row.pk)
    assert fresh(row).status == Status.SUCCEEDED
