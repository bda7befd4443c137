"""Asking for a machine, answering that, and what is made: rows and refusals. No host is asked here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from lxml import etree, html

from audit.models import Entry
from lifecycle.models import NewDisk, Operation
from machines.models import Host, Machine
from machines.refused import Refused
from making import requests
from making.models import MachineRequest, MachineTemplate
from notices.models import Notice
from people.models import Membership, Project, Quota, Role
from tests.cast import ClientOf, MakeMachine
from tests.machines.conftest import Pushes, pushes  # noqa: F401  # a fixture
from tests.sharing.test_giving import call, code

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bees(owner: User, stranger: User) -> Project:
    """A project of owner's in which stranger is a viewer."""
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    Membership.objects.create(project=project, user=stranger, role=Role.VIEWER)
    return project


def told(person: User) -> list[str]:
    return [row.text for row in Notice.objects.filter(user=person).order_by("pk")]


def test_a_user_asks_an_administrator_grants_and_the_user_owns_it(
    script_of: ClientOf, template: MachineTemplate, stranger: User, admin: User, owner: User
) -> None:
    asked = call(script_of(stranger), "requests", 201, name="web-1", template="Small", reason="my thesis")
    assert (asked["status"], asked["vcpus"], asked["memory_mib"], asked["disk_gib"]) == ("open", 1, 512, 4)
    assert not Machine.objects.exists()
    assert told(admin) == ["stranger asks for a machine: web-1."]
    assert call(script_of(admin), "requests")["to_answer"] == [asked]
    assert call(script_of(owner), "requests") == {"to_answer": [], "own": []}

    made = call(script_of(admin), f"requests/{asked['id']}/answer", grant=True, answer="Enjoy.")
    assert (made["status"], made["answered_by"], made["asked"]) == ("granted", "admin", {})
    machine = Machine.objects.get()
    assert (str(machine.pk), machine.name, machine.owner, machine.state) == (
        made["machine"],
        "web-1",
        stranger,
        "undefined",
    )
    assert (machine.vcpus, machine.memory_bytes) == (1, 512 * 2**20)
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by, operation.machine) == ("define", admin, machine)
    disk = NewDisk.objects.get()
    assert (disk.machine, disk.pool, disk.capacity_bytes, disk.image) == (machine, "default", 4 * 2**30, "")
    source = etree.fromstring(machine.definition_xml).find("devices/disk[@device='disk']/source")
    assert source is not None
    assert dict(source.attrib) == {"pool": disk.pool, "volume": disk.volume}
    assert told(stranger)[0] == "admin granted the machine web-1. It is being made. Enjoy."
    kinds = list(Entry.objects.filter(kind__startswith="request").order_by("pk").values_list("kind", "who"))
    assert kinds == [("request.made", "stranger"), ("request.changed", "admin")]
    assert code(call(script_of(admin), f"requests/{asked['id']}/answer", 409, grant=True)) == "answered"
    assert Machine.objects.count() == 1


def test_what_is_changed_when_it_is_granted_is_kept_and_told(
    script_of: ClientOf, client_of: ClientOf, template: MachineTemplate, stranger: User, admin: User
) -> None:
    """Also where no template was asked for: whoever grants it chooses one, or it stays open."""
    asked = call(script_of(stranger), "requests", 201, name="big", vcpus=2, memory_mib=1000, disk_gib=8, reason="sums")
    refused = call(script_of(admin), f"requests/{asked['id']}/answer", 400, grant=True)
    assert refused["error"]["details"] == {"parameter": "template"}
    made = call(script_of(admin), f"requests/{asked['id']}/answer", grant=True, template="Small", vcpus=1, name="less")
    assert made["asked"] == {"template": "", "vcpus": 2, "name": "big"}
    assert (made["name"], made["vcpus"], made["memory_mib"]) == ("less", 1, 1000)
    assert told(stranger)[0] == "admin granted the machine less, but not as you asked. It is being made."
    text = html.fromstring(client_of(stranger).get(f"/requests/{asked['id']}/").content).text_content()
    assert "name: big" in text
    assert "vCPUs: 2" in text


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a/../b"}, "name"),
        ({"name": "a\n"}, None),
        ({"name": "é"}, "name"),
        ({"template": "Other"}, "template"),
        ({"vcpus": 3}, "vcpus"),
        ({"memory_mib": 2048}, "memory_mib"),
        ({"disk_gib": 9}, "disk_gib"),
        ({"template": ""}, "vcpus"),
        ({"template": "", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}, "reason"),
        ({"project": "bees"}, "project"),
    ],
)
def test_what_cannot_be_asked_says_which_part(
    script_of: ClientOf, template: MachineTemplate, stranger: User, given: dict[str, Any], parameter: str | None
) -> None:
    Project.objects.create(name="bees")
    answer = script_of(stranger).post(
        "/api/v1/requests", {"name": "a", "template": "Small"} | given, content_type="application/json"
    )
    if parameter is None:
        assert answer.json()["name"] == "a"
    else:
        assert (answer.status_code, answer.json()["error"]["details"]["parameter"]) == (400, parameter)
        assert not MachineRequest.objects.exists()


def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(
    client_of: ClientOf, template: MachineTemplate, stranger: User
) -> None:
    client = client_of(stranger)
    for field, wrong in (("vcpus", "0"), ("vcpus", "1.5"), ("memory_mib", "9" * 30), ("disk_gib", "viele")):
        answer = client.post("/requests/new/", {"name": "web", "template": "Small", field: wrong, "reason": "why"})
        page = html.fromstring(answer.content)
        assert answer.status_code == 400
        assert "whole number" in page.cssselect("[data-refused]")[0].text_content()
        assert page.cssselect("[name=name]")[0].get("value") == "web"
        assert page.cssselect("[name=reason]")[0].text == "why"
        assert page.cssselect("[name=template]:checked, [name=template][checked]")[0].get("value") == "Small"
    answer = client.post("/requests/new/", {"name": "web", "template": "Small"})
    assert answer.status_code == 302
    assert answer["Location"] == MachineRequest.objects.get().get_absolute_url()


def test_a_projects_owner_answers_for_it_and_gets_machines_at_once(
    script_of: ClientOf, template: MachineTemplate, bees: Project, owner: User, stranger: User, viewer: User
) -> None:
    asked = call(script_of(stranger), "requests", 201, name="hive", template="Small", project="bees")
    assert told(owner) == ["stranger asks for a machine for bees: hive."]
    assert call(script_of(owner), "requests")["to_answer"] == [asked]
    call(script_of(viewer), f"requests/{asked['id']}", 404)
    call(script_of(stranger), f"requests/{asked['id']}/answer", 404, grant=True)
    call(script_of(owner), f"requests/{asked['id']}/withdraw", 404)
    made = call(script_of(owner), f"requests/{asked['id']}/answer", grant=True)
    assert Machine.objects.get(pk=made["machine"]).project == bees

    own = call(script_of(owner), "requests", 201, name="second", template="Small", project="bees")
    assert (own["status"], own["answered_by"]) == ("granted", "owner")
    assert Machine.objects.get(pk=own["machine"]).project == bees
    for_oneself = call(script_of(owner), "requests", 201, name="third", template="Small")
    assert for_oneself["status"] == "open"
    call(script_of(owner), f"requests/{for_oneself['id']}/answer", 404, grant=True)


@pytest.mark.parametrize("limit", [{"machines": 1}, {"vcpus": 1}, {"memory_mib": 600}])
def test_the_quota_refuses_with_the_figures_and_the_request_stays_open(
    client_of: ClientOf,
    make_machine: MakeMachine,
    template: MachineTemplate,
    stranger: User,
    admin: User,
    limit: dict[str, int],
) -> None:
    make_machine("there", owner=stranger, state="shutoff")
    Quota.objects.create(user=stranger, **limit)
    row = requests.ask(stranger, {"name": "web", "template": "Small"})
    client = client_of(admin)
    assert html.fromstring(client.get(row.get_absolute_url()).content).cssselect("[data-uses]")
    answer = client.post(f"/requests/{row.pk}/grant/", {"name": "web", "template": "Small"})
    assert answer.status_code == 409
    assert "quota of stranger" in html.fromstring(answer.content).cssselect("[data-refused]")[0].text_content()
    row.refresh_from_db()
    assert (row.status, row.machine, row.answered_by) == ("open", None, None)
    assert not NewDisk.objects.exists()
    assert Machine.objects.count() == 1


def test_a_name_that_is_taken_or_being_made_is_refused(
    script_of: ClientOf, make_machine: MakeMachine, template: MachineTemplate, stranger: User, admin: User
) -> None:
    make_machine("taken")
    first, second, third = (
        requests.ask(stranger, {"name": name, "template": "Small"}) for name in ("taken", "free", "free")
    )
    assert code(call(script_of(admin), f"requests/{first.pk}/answer", 409, grant=True)) == "name_taken"
    call(script_of(admin), f"requests/{second.pk}/answer", grant=True)
    assert code(call(script_of(admin), f"requests/{third.pk}/answer", 409, grant=True)) == "name_taken"


def outcome(by: User, row: MachineRequest) -> str:
    """Grant it in a thread; return the code of the refusal, or that it is made."""
    try:
        requests.grant(row, by, {})
    except Refused as refused:
        return refused.code
    finally:
        connection.close()
    return "made"


def test_of_those_who_grant_at_once_one_makes_the_machine(
    template: MachineTemplate, stranger: User, admin: User
) -> None:
    row = requests.ask(stranger, {"name": "web", "template": "Small"})

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(partial(outcome, admin), [row] * 4)) == ["answered", "answered", "answered", "made"]
    assert Machine.objects.count() == NewDisk.objects.count() == Operation.objects.count() == 1


def test_of_two_machines_of_one_name_that_are_granted_at_once_one_is_refused(
    template: MachineTemplate, stranger: User, admin: User
) -> None:
    rows = [requests.ask(stranger, {"name": "web", "template": "Small"}) for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(partial(outcome, admin), rows)) == ["made", "name_taken", "name_taken"]
    assert MachineRequest.objects.filter(status="open").count() == 2


def test_a_host_that_does_not_answer_leaves_it_open(
    script_of: ClientOf, template: MachineTemplate, host: Host, stranger: User, admin: User
) -> None:
    row = requests.ask(stranger, {"name": "web", "template": "Small"})
    Host.objects.update(reachable=False)
    assert code(call(script_of(admin), f"requests/{row.pk}/answer", 409, grant=True)) == "host_unreachable"
    assert not Machine.objects.exists()
    assert MachineRequest.objects.get().status == "open"


def test_declining_and_withdrawing(
    script_of: ClientOf, client_of: ClientOf, template: MachineTemplate, stranger: User, admin: User
) -> None:
    first, second = (requests.ask(stranger, {"name": name, "template": "Small"}) for name in ("one", "two"))
    client_of(admin).post(f"/requests/{first.pk}/decline/", {"answer": "Not before June."})
    assert told(stranger) == ["admin declined your request for the machine one. Not before June."]
    call(script_of(stranger), f"requests/{second.pk}/withdraw")
    assert [row["status"] for row in call(script_of(stranger), "requests")["own"]] == ["withdrawn", "declined"]
    assert code(call(script_of(stranger), f"requests/{first.pk}/withdraw", 409)) == "answered"
    assert not Machine.objects.exists()


def test_templates_are_offered_to_the_people_of_their_projects(
    script_of: ClientOf, template: MachineTemplate, bees: Project, host: Host, owner: User, viewer: User, admin: User
) -> None:
    other = Project.objects.create(name="wasps")
    honey = MachineTemplate.objects.create(name="Honey", host=host)
    honey.projects.set([bees, other])
    hidden = MachineTemplate.objects.create(name="Old", host=host, enabled=False)

    def names(person: User) -> list[str]:
        return [row["name"] for row in call(script_of(person), "templates")["items"]]

    assert names(owner) == ["Honey", "Small"]
    assert names(viewer) == ["Small"]
    assert names(admin) == ["Honey", "Small"]
    row = requests.ask(viewer, {"name": "web", "template": "Small"})
    MachineTemplate.objects.filter(pk=template.pk).update(enabled=False)
    assert hidden.name not in names(admin)
    assert requests.grant(row, admin, {}).machine is not None  # what was asked while it was offered can be granted


def test_nobody_asks_without_end(template: MachineTemplate, stranger: User) -> None:
    for number in range(requests.MOST_OPEN):
        requests.ask(stranger, {"name": f"m{number}", "template": "Small"})
    with pytest.raises(Refused, match="open already"):
        requests.ask(stranger, {"name": "more", "template": "Small"})


def test_pages_of_those_concerned_hear_of_it(
    template: MachineTemplate,
    bees: Project,
    owner: User,
    stranger: User,
    viewer: User,
    admin: User,
    pushes: Pushes,  # noqa: F811
) -> None:
    def heard() -> set[str]:
        return {group for group, message in pushes.take() if message.get("type") == "requests"}

    row = requests.ask(stranger, {"name": "hive", "template": "Small", "project": "bees"})
    everybody = {f"user.{person.pk}" for person in (owner, stranger, admin)}
    assert heard() == everybody
    requests.decline(row, owner)
    assert heard() == everybody


def test_nobody_is_told_of_what_they_asked_themselves(
    template: MachineTemplate, bees: Project, owner: User, admin: User
) -> None:
    """A project's only owner who leaves the template open asks administrators."""
    sizes = {"vcpus": 1, "memory_mib": 64, "disk_gib": 1}
    row = requests.ask(owner, {"name": "hive", "project": "bees", "reason": "sums", **sizes})
    assert row.status == "open"
    assert told(admin) == ["owner asks for a machine for bees: hive."]
    requests.ask(admin, {"name": "own", "reason": "sums", **sizes})
    assert told(owner) == []
    assert len(told(admin)) == 1


def test_who_may_not_sign_in_any_more_gets_no_machine(
    script_of: ClientOf, template: MachineTemplate, stranger: User, admin: User
) -> None:
    row = requests.ask(stranger, {"name": "web", "template": "Small"})
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    assert code(call(script_of(admin), f"requests/{row.pk}/answer", 400, grant=True)) == "bad_parameters"
    assert not Machine.objects.exists()
