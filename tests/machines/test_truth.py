"""What the portal says of machines that libvirt moves under its feet: transient, vanished, renamed, seen twice.

Domains of a real libvirt, started paused: a QEMU process that needs no processor.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from tempfile import NamedTemporaryFile

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import etree
from lxml.builder import E

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from machines import host_watch, leases
from machines.host_watch import HostWatch
from machines.models import Grant, GrantRole, Host, Machine
from machines.watcher import Watcher
from tests.cast import ClientOf
from tests.guest import Guest, unused_name
from tests.machines.conftest import Pushes, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.guest]

BY_A_LOOK = host_watch.PASS_EVERY + 25
"""Seconds within which a change is seen for which libvirt sends no event, on a busy machine."""
MIB = 2**20

MakeDomain = Callable[..., Guest]


def domain_xml(name: str, identity: uuid.UUID, *, title: str = "", memory_mib: int = 16) -> str:
    """Return a machine that does nothing."""
    domain = E.domain(
        E.name(name),
        E.uuid(str(identity)),
        *([E.title(title)] if title else []),
        E.memory(str(memory_mib), unit="MiB"),
        E.os(E.type("hvm", arch="x86_64", machine="q35")),
        E.on_crash("preserve"),
        E.devices(E.emulator("/usr/bin/qemu-system-x86_64"), E.graphics(E.listen(type="none"), type="vnc")),
        type="qemu",
    )
    return etree.tostring(domain, encoding="unicode")


def tell(libvirtd: PrivateLibvirtd, xml: str, *command: str) -> None:
    with NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(xml)
        file.flush()
        libvirtd.virsh(*command, file.name)


@pytest.fixture
def make_domain(libvirtd: PrivateLibvirtd) -> Iterator[MakeDomain]:
    """A function that defines a domain, or with `transient` creates one; by default on the tests' libvirt."""
    made: list[Guest] = []

    def make(
        *,
        on: PrivateLibvirtd = libvirtd,
        name: str = "",
        identity: uuid.UUID | None = None,
        transient: bool = False,
        **options: object,
    ) -> Guest:
        guest = Guest(on, name or unused_name(), identity or uuid.uuid4())
        made.append(guest)
        command = ("create", "--paused") if transient else ("define",)
        tell(on, domain_xml(guest.name, guest.uuid, **options), *command)
        return guest

    yield make
    for guest in made:
        with suppress(LibvirtFailed):
            guest.name = guest.libvirtd.virsh("domname", str(guest.uuid))
        guest.remove()


@pytest.fixture
def second_libvirtd() -> Iterator[PrivateLibvirtd]:
    """Another libvirt, for another host."""
    with PrivateLibvirtd() as libvirtd:
        yield libvirtd


def row(guest: Guest) -> Machine:
    return Machine.objects.select_related("host", "conflict_host", "owner").get(pk=guest.uuid)


def wait(guest: Guest, limit: float = BY_A_LOOK, **fields: object) -> Machine:
    until(lambda: Machine.objects.filter(pk=guest.uuid, **fields).exists(), limit)
    return row(guest)


def look_away(watch: HostWatch) -> None:
    """Have nobody follow a host for a while."""
    watch.stop()
    watch.join(20)
    leases.give_back([watch.held])


def give(guest: Guest, owner: User, viewer: User) -> None:
    """Make someone the owner and someone else a viewer, once it is known."""
    until(lambda: Machine.objects.filter(pk=guest.uuid).exists())
    Machine.objects.filter(pk=guest.uuid).update(owner=owner)
    Grant.objects.create(machine_id=guest.uuid, user=viewer, role=GrantRole.VIEWER)


class Eyes:
    """What one person sees of machines: by the API, in the list and on pages."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def machine(self, guest: Guest) -> dict:
        answer = self.client.get(f"/api/v1/machines/{guest.uuid}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def found(self, **filters: str) -> dict[str, str]:
        """Return UUID and name of each machine that the list shows."""
        items = self.client.get("/api/v1/machines", filters).json()["items"]
        return {item["uuid"]: item["name"] for item in items}

    def page(self, guest: Guest) -> str:
        answer = self.client.get(f"/machines/{guest.uuid}/")
        assert answer.status_code == 200
        return answer.content.decode()

    def list_page(self, **filters: str) -> str:
        return self.client.get("/", filters).content.decode()

    def sees_nothing_of(self, guest: Guest, *names: str) -> bool:
        """Say whether every way to it ends in a 404 and no list shows it."""
        api, page = (
            self.client.get(f"{path}/{guest.uuid}{end}") for path, end in (("/api/v1/machines", ""), ("/machines", "/"))
        )
        assert {api.status_code, page.status_code} == {404}
        assert self.found() == {}
        seen = self.list_page() + api.content.decode() + page.content.decode()
        return not any(word in seen for word in (guest.name, *names))


@pytest.fixture
def eyes(client_of: ClientOf) -> Callable[[User], Eyes]:
    return lambda person: Eyes(client_of(person))


# Transient machines


def test_a_transient_machine_vanishes_and_comes_back_as_the_same(
    follow, libvirt_host, libvirtd, make_domain, owner, viewer, stranger, eyes
):
    follow(libvirt_host)
    guest = make_domain(transient=True, title="For one day")
    give(guest, owner, viewer)
    first = wait(guest, state="paused", persistent=False)
    mine = eyes(owner)
    shown = mine.machine(guest)
    assert (shown["state"], shown["persistent"], shown["title"]) == ("paused", False, "For one day")
    assert "transient" in mine.page(guest)
    assert str(guest.uuid) in mine.found(persistent="false")
    assert mine.found(persistent="true") == {}
    assert not {"undefine", "autostart", "define"} & set(shown["allowed_operations"])

    live = guest.virsh("dumpxml")
    guest.virsh("destroy")
    gone = wait(guest, state="undefined")
    assert (gone.definition_xml.strip(), gone.title) == (first.definition_xml.strip(), "For one day")
    assert f"<uuid>{guest.uuid}</uuid>" in live and f"<uuid>{guest.uuid}</uuid>" in gone.definition_xml
    assert (gone.owner, gone.host, gone.domain_id) == (owner, libvirt_host, None)
    shown = mine.machine(guest)
    assert (shown["state"], shown["name"], shown["my_right"]) == ("undefined", guest.name, "owner")
    assert {"define", "create"} <= set(shown["allowed_operations"])
    assert mine.found(state="undefined") == {str(guest.uuid): guest.name}
    assert 'data-state="undefined"' in mine.page(guest)
    theirs = eyes(viewer)
    assert (theirs.machine(guest)["state"], theirs.machine(guest)["allowed_operations"]) == ("undefined", [])
    assert eyes(stranger).sees_nothing_of(guest, "For one day")

    tell(libvirtd, gone.definition_xml, "create", "--paused")
    back = wait(guest, state="paused", persistent=False)
    assert (back.owner, back.runs, Machine.objects.count()) == (owner, 2, 1)
    assert back.grants.get().user == viewer
    assert back.version > gone.version > first.version
    assert eyes(stranger).sees_nothing_of(guest)


def test_a_transient_machine_that_is_defined_stays_when_it_stops(follow, libvirt_host, make_domain, libvirtd):
    follow(libvirt_host)
    guest = make_domain(transient=True)
    wait(guest, state="paused", persistent=False)
    tell(libvirtd, guest.virsh("dumpxml"), "define")
    wait(guest, state="paused", persistent=True)
    guest.virsh("destroy")
    wait(guest, state="shutoff", state_reason="destroyed", persistent=True)


def test_a_running_machine_that_is_undefined_is_transient_and_goes_when_it_stops(follow, libvirt_host, make_domain):
    follow(libvirt_host)
    guest = make_domain()
    wait(guest, state="shutoff", persistent=True)
    guest.virsh("start", "--paused")
    wait(guest, state="paused", persistent=True)
    guest.virsh("undefine")
    wait(guest, state="paused", persistent=False)
    guest.virsh("destroy")
    wait(guest, state="undefined")


def test_a_transient_machine_that_went_while_nobody_looked_is_undefined(follow, libvirt_host, make_domain):
    watch = follow(libvirt_host)
    guest = make_domain(transient=True)
    wait(guest, state="paused")
    look_away(watch)
    guest.virsh("destroy")
    assert row(guest).state == "paused"
    follow(libvirt_host)
    wait(guest, state="undefined")


# Renamed, defined anew, replaced


def test_a_renamed_machine_is_the_same_with_its_new_name_everywhere(
    follow, libvirt_host, make_domain, owner, viewer, stranger, eyes, pushes: Pushes
):
    follow(libvirt_host)
    guest = make_domain()
    give(guest, owner, viewer)
    old, new = guest.name, unused_name()
    wait(guest, name=old, state="shutoff")
    guest.virsh("domrename", new)
    guest.name = new
    renamed = wait(guest, name=new, state="shutoff")
    assert (renamed.owner, renamed.grants.get().user, Machine.objects.count()) == (owner, viewer, 1)
    assert f"<name>{new}</name>" in renamed.definition_xml
    for person in (owner, viewer):
        seen = eyes(person)
        assert seen.machine(guest)["name"] == new
        assert (seen.found(q=new), seen.found(q=old)) == ({str(guest.uuid): new}, {})
        assert new in seen.page(guest) and old not in seen.page(guest)
        assert new in seen.list_page() and old not in seen.list_page()
    assert eyes(stranger).sees_nothing_of(guest, old)
    assert pushes.machines()[guest.uuid]["name"] == new


def test_a_machine_renamed_while_nobody_looked_has_its_new_name(follow, libvirt_host, make_domain):
    guest = make_domain()
    watch = follow(libvirt_host)
    wait(guest, name=guest.name)
    look_away(watch)
    new = unused_name()
    guest.virsh("domrename", new)
    guest.name = new
    follow(libvirt_host)
    assert f"<name>{new}</name>" in wait(guest, name=new).definition_xml


def test_what_is_defined_again_with_the_same_uuid_is_the_same_machine_as_it_is_now(
    follow, libvirt_host, libvirtd, make_domain, owner, viewer
):
    follow(libvirt_host)
    guest = make_domain(title="Before")
    give(guest, owner, viewer)
    wait(guest, state="shutoff")
    guest.virsh("undefine")
    wait(guest, state="undefined", title="Before")
    guest.name = unused_name()
    tell(libvirtd, domain_xml(guest.name, guest.uuid, title="After", memory_mib=32), "define")
    now = wait(guest, state="shutoff", name=guest.name, title="After", memory_bytes=32 * MIB)
    assert (now.owner, now.grants.get().user, Machine.objects.count()) == (owner, viewer, 1)


def test_another_machine_of_the_same_name_is_another_machine(
    follow, libvirt_host, make_domain, owner, viewer, admin, eyes
):
    follow(libvirt_host)
    first = make_domain()
    give(first, owner, viewer)
    wait(first, state="shutoff")
    first.virsh("undefine")
    second = make_domain(name=first.name)
    wait(second, state="shutoff", owner=None)
    assert wait(first, state="undefined").owner == owner
    assert eyes(owner).found() == {str(first.uuid): first.name}
    assert eyes(owner).client.get(f"/machines/{second.uuid}/").status_code == 404
    assert eyes(admin).found() == {str(first.uuid): first.name, str(second.uuid): first.name}


# The same UUID on two hosts


@pytest.fixture
def watcher(libvirt_host: Host) -> Iterator[None]:
    """A watcher of every host of the table, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=Watcher("test-truth").run, args=[stop])
    thread.start()
    yield
    stop.set()
    thread.join(20)


@pytest.fixture
def twice(watcher, make_domain, second_libvirtd, owner, viewer) -> tuple[Guest, Guest]:
    """A machine that both hosts have: shut off on the first, whose it is, and paused on the second."""
    guest = make_domain(title="The one")
    give(guest, owner, viewer)
    wait(guest, state="shutoff")
    other = make_domain(on=second_libvirtd, identity=guest.uuid, title="The other", memory_mib=32)
    other.virsh("start", "--paused")
    wait(guest, conflict_host=Host.objects.create(name="second", uri=second_libvirtd.uri))
    return guest, other


@pytest.fixture
def second_host(twice: tuple[Guest, Guest]) -> Host:
    return Host.objects.get(name="second")


def test_a_uuid_on_two_hosts_is_a_conflict_and_the_second_is_not_written(
    twice, owner, viewer, stranger, admin, eyes, client_of, libvirt_host, second_host
):
    guest, other = twice
    other.virsh("resume")
    other.virsh("suspend")
    until(lambda: Host.objects.get(pk=second_host.pk).seen_at > row(guest).state_since)
    machine = row(guest)
    assert (machine.host, machine.state, machine.title, machine.name) == (
        libvirt_host,
        "shutoff",
        "The one",
        guest.name,
    )
    assert (machine.memory_bytes, Machine.objects.count()) == (16 * MIB, 1)
    for person in (owner, viewer):
        shown = eyes(person).machine(guest)
        assert (shown["state"], shown["host"]) == ("shutoff", "real")
        assert "another host" in shown["conflict"]
        assert "second" not in shown["conflict"] + eyes(person).page(guest)
        assert shown["conflict"] in eyes(person).page(guest)
    assert eyes(stranger).sees_nothing_of(guest, other.name)
    assert "second" in client_of(admin).get(f"/admin/machines/machine/{guest.uuid}/change/").content.decode()
    guest.virsh("start", "--paused")
    assert wait(guest, state="paused").host == libvirt_host


def test_a_conflict_ends_when_the_second_goes(twice, owner, eyes):
    guest, other = twice
    other.virsh("destroy")
    other.virsh("undefine")
    machine = wait(guest, conflict_host=None)
    assert (machine.state, machine.title, eyes(owner).machine(guest)["conflict"]) == ("shutoff", "The one", "")


def test_when_the_first_goes_the_machine_is_the_seconds_as_it_is_there(
    twice, owner, viewer, eyes, libvirt_host, second_host
):
    guest, other = twice
    guest.virsh("undefine")
    machine = wait(guest, host=second_host, state="paused")
    assert (machine.conflict_host, machine.owner, machine.grants.get().user) == (None, owner, viewer)
    machine = wait(guest, title="The other", memory_bytes=32 * MIB)
    assert (machine.name, machine.runs) == (other.name, 2)  # it may have run on either, where nobody looked
    assert f"<name>{other.name}</name>" in machine.definition_xml
    shown = eyes(owner).machine(guest)
    assert (shown["host"], shown["state"], shown["conflict"]) == ("second", "paused", "")
    other.virsh("destroy")
    wait(guest, state="shutoff", host=second_host)
