"""Asking for a right: who is told, who may answer, what an answer gives."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from lxml import html

from machines.access import Right, right_over
from machines.models import Grant, Machine
from people.models import Membership, Project, Role
from sharing import asks
from sharing.models import Ask
from tests.cast import ClientOf, MakeMachine
from tests.machines.conftest import Pushes, pushes  # noqa: F401  # a fixture
from tests.sharing.test_giving import call, code

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_viewer_asks_and_the_owner_grants_it_for_an_hour(
    script_of: ClientOf, machine: Machine, owner: User, viewer: User
) -> None:
    asked = call(script_of(viewer), f"machines/{machine.pk}/asks", 201, role="operator", note="the build hangs")
    assert (asked["status"], asked["asked_by"], asked["role"]) == ("open", "viewer", "operator")
    [waiting] = call(script_of(owner), "asks")["to_answer"]
    assert waiting == asked
    answered = call(script_of(owner), f"asks/{asked['id']}/answer", grant=True, for_seconds=3600)
    assert (answered["status"], answered["answered_by"]) == ("granted", "owner")
    assert right_over(viewer, machine) is Right.OPERATE
    left = Grant.objects.get(user=viewer, role="operator").expires_at - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert call(script_of(owner), "asks")["to_answer"] == []
    assert call(script_of(viewer), "asks")["own"][0]["status"] == "granted"
    assert code(call(script_of(owner), f"asks/{asked['id']}/answer", 409, grant=False)) == "answered"


def test_declined_and_withdrawn_give_nothing(script_of: ClientOf, machine: Machine, owner: User, viewer: User) -> None:
    first = call(script_of(viewer), f"machines/{machine.pk}/asks", 201, role="owner")["id"]
    assert call(script_of(owner), f"asks/{first}/answer", grant=False)["status"] == "declined"
    second = call(script_of(viewer), f"machines/{machine.pk}/asks", 201, role="owner")["id"]
    assert call(script_of(viewer), f"asks/{second}/withdraw")["status"] == "withdrawn"
    assert code(call(script_of(owner), f"asks/{second}/answer", 409, grant=True)) == "answered"
    assert right_over(viewer, machine) is Right.VIEW


def test_granted_for_good_changes_the_lasting_grant(machine: Machine, owner: User, viewer: User) -> None:
    asks.grant(asks.ask(machine, viewer, Role.OPERATOR), owner, None)
    assert [grant.role for grant in Grant.objects.filter(user=viewer)] == ["operator"]


def test_asking_again_changes_the_open_ask(machine: Machine, viewer: User) -> None:
    asks.ask(machine, viewer, Role.OPERATOR, "please")
    asks.ask(machine, viewer, Role.OWNER, "no, more")
    assert [(row.role, row.note) for row in Ask.objects.all()] == [("owner", "no, more")]


def test_who_has_the_right_need_not_ask(script_of: ClientOf, machine: Machine, viewer: User) -> None:
    assert code(call(script_of(viewer), f"machines/{machine.pk}/asks", 409, role="viewer")) == "has_right"


def test_strangers_can_neither_ask_nor_answer_nor_withdraw(
    script_of: ClientOf, machine: Machine, viewer: User, stranger: User, helpdesk: User
) -> None:
    asked = asks.ask(machine, viewer, Role.OPERATOR).pk
    call(script_of(stranger), f"machines/{machine.pk}/asks", 404, role="viewer")
    for person in (stranger, helpdesk, viewer):
        call(script_of(person), f"asks/{asked}/answer", 404, grant=True)
        assert call(script_of(person), "asks")["to_answer"] == []
    call(script_of(stranger), f"asks/{asked}/withdraw", 404)
    assert right_over(viewer, machine) is Right.VIEW


def test_who_is_asked(make_machine: MakeMachine, machine: Machine, owner, viewer, stranger, admin) -> None:
    assert asks.deciders(machine) == {owner.pk}
    Grant.objects.create(machine=machine, user=stranger, role=Role.OWNER)
    assert asks.deciders(machine) == {owner.pk, stranger.pk}
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=viewer, role=Role.OWNER)
    Membership.objects.create(project=project, user=stranger, role=Role.OPERATOR)
    assert asks.deciders(make_machine("bees'", project=project)) == {viewer.pk}
    assert asks.deciders(make_machine("nobody's")) == {admin.pk}


def test_an_ask_arrives_at_owner_and_asker_at_once(
    machine: Machine,
    owner: User,
    viewer: User,
    stranger: User,
    pushes: Pushes,  # noqa: F811
) -> None:
    asks.ask(machine, viewer, Role.OPERATOR, "the build hangs")
    heard = {group: message["ask"] for group, message in pushes.take() if message["type"] == "ask"}
    assert set(heard) == {f"user.{owner.pk}", f"user.{viewer.pk}"}
    assert heard[f"user.{owner.pk}"]["note"] == "the build hangs"
    asks.decline(Ask.objects.get(), owner)
    assert [message["ask"]["status"] for _, message in pushes.take() if message["type"] == "ask"] == ["declined"] * 2


def test_the_pages_ask_and_answer_by_one_click(
    client_of: ClientOf, machine: Machine, owner: User, viewer: User
) -> None:
    page = html.fromstring(client_of(viewer).get(f"/machines/{machine.pk}/").content.decode())
    [form] = page.cssselect("[data-ask-line]")
    [button] = form.cssselect("button")
    assert button.text_content() == "Ask owner to become operator"
    client_of(viewer).post(form.get("action"), {button.get("name"): button.get("value")})
    answers = html.fromstring(client_of(owner).get("/asks/").content.decode()).cssselect("[data-ask] form")
    first = answers[0].cssselect("button")[0]
    client_of(owner).post(answers[0].get("action"), {"answer": "grant", first.get("name"): first.get("value")})
    assert right_over(viewer, machine) is Right.OPERATE
    own = html.fromstring(client_of(viewer).get("/asks/").content.decode()).cssselect("[data-own-ask]")
    assert [row.get("data-answer") for row in own] == ["granted"]


def test_no_page_offers_to_ask_to_who_may_do_all(client_of: ClientOf, machine: Machine, owner: User) -> None:
    page = html.fromstring(client_of(owner).get(f"/machines/{machine.pk}/").content.decode())
    assert not page.cssselect("[data-ask-line]")
