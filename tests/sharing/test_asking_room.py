"""Asking for room in a quota: who may, what it says, and what an administrator's click does."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from lxml import html

from audit.models import Entry
from machines.models import Grant, GrantRole, Machine
from notices.kinds import sentence
from notices.models import Notice
from people.models import Membership, Project, Quota, Role
from sharing import asks
from sharing.models import Ask
from tests.cast import ClientOf, MakeMachine
from tests.machines.conftest import Pushes, pushes  # noqa: F401  # a fixture
from tests.sharing.test_giving import call, code

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def off(make_machine: MakeMachine, machine: Machine, owner: User) -> Machine:
    """A machine of the owner's that is off, where one runs and none more may."""
    Quota.objects.create(user=owner, running=1)
    return make_machine("off", owner=owner, state="shutoff")


def test_an_owner_asks_and_an_administrator_raises_it(
    script_of: ClientOf, off: Machine, owner: User, admin: User
) -> None:
    asked = call(script_of(owner), f"machines/{off.pk}/asks", 201, quota=True, note="exam tomorrow")
    assert (asked["role"], asked["quota"]) == (None, {"resource": "running", "wanted": 2, "whose": "owner"})
    assert call(script_of(admin), "asks")["to_answer"] == [asked]
    answered = call(script_of(admin), f"asks/{asked['id']}/answer", grant=True)
    assert (answered["status"], answered["answered_by"], answered["expires_at"]) == ("granted", "admin", None)
    assert Quota.objects.get().running == 2
    entry = Entry.objects.filter(kind="quota.changed").latest("pk")
    before, after = entry.detail["before"], entry.detail["after"]
    assert (entry.who, before["running"], after["running"], after["user"]["name"]) == ("admin", 1, 2, "owner")
    assert code(call(script_of(owner), f"machines/{off.pk}/asks", 409, quota=True)) == "has_room"


@pytest.mark.parametrize("limit", [{"machines": 1}, {"vcpus": 1}, {"memory_mib": 1}, {"disk_gib": 1}])
def test_a_forgotten_machine_asks_for_what_its_definition_needs(
    make_machine: MakeMachine, machine: Machine, owner: User, admin: User, limit: dict[str, int]
) -> None:
    forgotten = make_machine(
        "gone", owner=owner, state="undefined", vcpus=3, memory_bytes=2**30 + 1, disk_bytes=2**40 + 1
    )
    Machine.objects.filter(pk=machine.pk).update(vcpus=1, memory_bytes=0)
    quota = Quota.objects.create(user=owner, **limit)
    row = asks.ask_room(forgotten, owner)
    asks.grant(row, admin, None)
    quota.refresh_from_db()
    assert [quota.machines, quota.vcpus, quota.memory_mib, quota.disk_gib] == {
        "machines": [2, None, None, None],
        "vcpus": [None, 4, None, None],
        "memory_mib": [None, None, 1025, None],
        "disk_gib": [None, None, None, 1025],
    }[next(iter(limit))]


def test_a_projects_operator_asks_for_the_projects_quota(
    make_machine: MakeMachine, viewer: User, stranger: User, admin: User, script_of: ClientOf
) -> None:
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=viewer, role=Role.OPERATOR)
    Membership.objects.create(project=project, user=stranger, role=Role.VIEWER)
    Quota.objects.create(project=project, running=0)
    machine = make_machine("hive", project=project, state="shutoff")
    assert code(call(script_of(stranger), f"machines/{machine.pk}/asks", 403, quota=True)) == "forbidden"
    asked = call(script_of(viewer), f"machines/{machine.pk}/asks", 201, quota=True)
    assert asked["quota"]["whose"] == "bees"
    call(script_of(admin), f"asks/{asked['id']}/answer", grant=True)
    assert Quota.objects.get().running == 1


def test_only_administrators_see_and_answer_it(
    script_of: ClientOf, client_of: ClientOf, off: Machine, owner: User, viewer: User, stranger: User, helpdesk: User
) -> None:
    Grant.objects.create(machine=off, user=viewer, role=GrantRole.OPERATOR)
    asked = asks.ask_room(off, viewer).pk
    for person in (owner, viewer, stranger, helpdesk):
        call(script_of(person), f"asks/{asked}/answer", 404, grant=True)
        assert call(script_of(person), "asks")["to_answer"] == []
        assert client_of(person).post(f"/asks/{asked}/answer/", {"answer": "grant", "lasting": ""}).status_code == 404
    call(script_of(stranger), f"machines/{off.pk}/asks", 404, quota=True)
    assert b"data-ask=" not in client_of(owner).get(f"/machines/{off.pk}/access/").content
    assert Quota.objects.get().running == 1


def test_declined_changes_nothing_and_may_be_asked_again(off: Machine, owner: User, admin: User) -> None:
    asks.decline(asks.ask_room(off, owner), admin)
    asks.ask_room(off, owner, "please")
    asks.ask_room(off, owner, "pretty please")
    assert list(Ask.objects.values_list("status", "note")) == [("open", "pretty please"), ("declined", "")]
    assert Quota.objects.get().running == 1


def test_a_right_and_room_are_asked_for_side_by_side(off: Machine, viewer: User) -> None:
    Grant.objects.create(machine=off, user=viewer, role=GrantRole.OPERATOR)
    asks.ask_room(off, viewer)
    asks.ask(off, viewer, Role.OWNER)
    assert Ask.objects.filter(status="open").count() == 2


def test_a_limit_that_is_higher_meanwhile_stays(off: Machine, owner: User, admin: User) -> None:
    row = asks.ask_room(off, owner)
    Quota.objects.update(running=9)
    assert asks.grant(row, admin, None).status == "granted"
    assert Quota.objects.get().running == 9


def test_the_quota_of_another_owner_is_not_raised_by_it(
    script_of: ClientOf, off: Machine, owner: User, stranger: User, admin: User
) -> None:
    row = asks.ask_room(off, owner)
    Machine.objects.filter(pk=off.pk).update(owner=stranger)
    Quota.objects.create(user=stranger, running=0)
    refused = call(script_of(admin), f"asks/{row.pk}/answer", 400, grant=True)
    assert refused["error"]["message"] == "The machine has another owner now: decline it."
    assert set(Quota.objects.values_list("running", flat=True)) == {0, 1}
    assert call(script_of(admin), f"asks/{row.pk}/answer", grant=False)["status"] == "declined"


@pytest.mark.parametrize("wish", [{}, {"role": "owner", "quota": True}, {"quota": "perhaps"}])
def test_an_ask_is_for_a_role_or_for_the_quota(script_of: ClientOf, off: Machine, owner: User, wish: dict) -> None:
    answer = script_of(owner).post(f"/api/v1/machines/{off.pk}/asks", wish, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert not Ask.objects.exists()


def test_a_quota_is_not_raised_for_a_time(script_of: ClientOf, off: Machine, owner: User, admin: User) -> None:
    row = asks.ask_room(off, owner)
    assert code(call(script_of(admin), f"asks/{row.pk}/answer", 400, grant=True, for_seconds=60)) == "bad_parameters"
    assert Ask.objects.get().status == "open"


def test_both_are_told_at_once_and_keep_a_notice(
    off: Machine,
    owner: User,
    admin: User,
    pushes: Pushes,  # noqa: F811
) -> None:
    asks.grant(asks.ask_room(off, owner), admin, None)
    heard = [(group, message["ask"]["status"]) for group, message in pushes.take() if message["type"] == "ask"]
    both = {f"user.{owner.pk}", f"user.{admin.pk}"}
    assert set(heard) == {(group, status) for group in both for status in ("open", "granted")}
    notices = Notice.objects.exclude(kind="shared")
    told = {(row.user.username, row.kind): sentence(row.kind, row.parameters, "off") for row in notices}
    assert told == {
        ("admin", "right_asked"): (
            "owner asks to raise the quota of owner (Running at once: 2): it has no room for off."
        ),
        ("owner", "right_answered"): "admin raised the quota of owner (Running at once: 2): there is room for off.",
    }


def test_the_pages_ask_and_answer_by_one_click(
    client_of: ClientOf, off: Machine, machine: Machine, owner: User, viewer: User, admin: User
) -> None:
    def room(person: User, of: Machine = off) -> list:
        page = client_of(person).get(f"/machines/{of.pk}/").content.decode()
        return html.fromstring(page).cssselect("[data-ask-room]")

    [line] = room(owner)
    assert "“Running at once” would be 2 of 1" in line.text_content()
    [form], [button] = line.cssselect("form"), line.cssselect("button")
    client_of(owner).post(form.get("action"), {button.get("name"): button.get("value")})
    assert "You asked an administrator" in room(owner)[0].text_content()
    assert [link.text_content() for link in room(admin)[0].cssselect("a")] == ["Change the quota"]
    assert client_of(admin).get(room(admin)[0].cssselect("a")[0].get("href")).status_code == 200
    assert room(owner, machine) == []
    [answer, _decline] = html.fromstring(client_of(admin).get("/asks/").content.decode()).cssselect("[data-ask] form")
    [button] = answer.cssselect("button")
    assert button.text_content() == "Raise to 2"
    client_of(admin).post(answer.get("action"), {"answer": "grant", button.get("name"): button.get("value")})
    assert Quota.objects.get().running == 2
    assert room(owner) == []
    [own] = html.fromstring(client_of(owner).get("/asks/").content.decode()).cssselect("[data-own-ask]")
    assert own.get("data-answer") == "granted"
    assert "quota of owner, Running at once: 2" in own.text_content()
