"""Sharing, revoking and handing over, through the API and on the Access tab."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from lxml import html

from machines.access import Right, right_over
from machines.models import Grant, Machine
from people.models import Membership, Project, Quota, Role
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db


def call(script: Client, path: str, status: int = 200, **body: Any) -> Any:
    """GET, or POST with a body or when something is made or ended; return the JSON."""
    url = f"/api/v1/{path}"
    posted = body or path.endswith(("revoke", "withdraw", "remove"))
    answer = script.post(url, body, content_type="application/json") if posted else script.get(url)
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def code(answer: dict[str, Any]) -> str:
    return answer["error"]["code"]


@pytest.fixture
def bees(owner: User, stranger: User) -> Project:
    """A project of owner's in which stranger is an operator."""
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    Membership.objects.create(project=project, user=stranger, role=Role.OPERATOR)
    return project


def test_an_owner_shares_sees_and_revokes(script_of: ClientOf, machine: Machine, owner: User, stranger: User) -> None:
    script = script_of(owner)
    made = call(script, f"machines/{machine.pk}/grants", 201, user="stranger", role="operator")
    assert (made["user"], made["role"], made["granted_by"], made["expires_at"]) == (
        "stranger",
        "operator",
        "owner",
        None,
    )
    assert right_over(stranger, machine) is Right.OPERATE
    assert {row["user"] for row in call(script, f"machines/{machine.pk}/grants")["items"]} == {"viewer", "stranger"}
    call(script, f"machines/{machine.pk}/grants/{made['id']}/revoke", 204)
    assert right_over(stranger, machine) is Right.NONE
    call(script, f"machines/{machine.pk}/grants/{made['id']}/revoke", 404)


def test_sharing_again_changes_the_grant_of_its_kind(script_of: ClientOf, machine: Machine, owner: User) -> None:
    script, soon = script_of(owner), (timezone.now() + timedelta(hours=1)).isoformat()
    for role in ("viewer", "operator"):
        call(script, f"machines/{machine.pk}/grants", 201, user="viewer", role=role)
        call(script, f"machines/{machine.pk}/grants", 201, user="viewer", role="owner", expires_at=soon)
    rows = call(script, f"machines/{machine.pk}/grants")["items"]
    assert sorted((row["role"], row["expires_at"] is None) for row in rows) == [("operator", True), ("owner", False)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "user"),
        ({"role": "viewer", "user": "nobody-of-this-name"}, "user"),
        ({"role": "viewer", "user": "st\0ranger\0x"}, "user"),
        ({"role": "viewer", "user": "stranger", "project": "bees"}, "user"),
        ({"role": "viewer", "project": "wasps"}, "project"),
        ({"role": "viewer", "user": "stranger", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    script_of: ClientOf, machine: Machine, owner: User, bees: Project, body: dict[str, str], field: str
) -> None:
    Project.objects.create(name="wasps")  # it exists, but not to who is not in it
    answer = call(script_of(owner), f"machines/{machine.pk}/grants", 400, **body)
    assert (code(answer), answer["error"]["details"]["parameter"]) == ("bad_parameters", field)


def test_a_disabled_user_is_given_nothing(script_of: ClientOf, machine: Machine, owner: User, stranger: User) -> None:
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    call(script_of(owner), f"machines/{machine.pk}/grants", 400, user="stranger", role="viewer")


def test_strangers_get_404_and_who_does_not_own_it_403(
    script_of: ClientOf, machine: Machine, viewer: User, stranger: User, helpdesk: User
) -> None:
    grant = Grant.objects.get(user=viewer).pk
    calls: list[tuple[str, dict[str, Any]]] = [
        ("grants", {}),
        ("grants", {"user": "stranger", "role": "owner"}),
        (f"grants/{grant}/revoke", {}),
        ("links", {}),
        ("links", {"expires_at": "2099-01-01T00:00:00Z"}),
        ("links/1/revoke", {}),
        ("owner", {"user": "stranger"}),
    ]
    for person, status in ((viewer, 403), (helpdesk, 403), (stranger, 404)):
        script = script_of(person)
        for path, body in calls:
            call(script, f"machines/{machine.pk}/{path}", status, **body)
    assert right_over(viewer, machine) is Right.VIEW


def test_no_grant_of_another_machine_is_revoked(
    script_of: ClientOf, machine: Machine, make_machine: MakeMachine, stranger: User
) -> None:
    theirs = make_machine("theirs", owner=stranger)
    call(script_of(stranger), f"machines/{theirs.pk}/grants/{machine.grants.get().pk}/revoke", 404)
    assert machine.grants.count() == 1


def test_a_co_owner_may_do_all_that_the_owner_may(
    script_of: ClientOf, machine: Machine, viewer: User, stranger: User
) -> None:
    Grant.objects.filter(user=viewer).update(role=Role.OWNER)
    call(script_of(viewer), f"machines/{machine.pk}/grants", 201, user="stranger", role="viewer")
    call(script_of(viewer), f"machines/{machine.pk}/owner", user="stranger")
    assert right_over(stranger, machine) is Right.OWN


# Handing over


def test_handing_over_to_a_user_leaves_the_former_owner_what_was_said(
    script_of: ClientOf, machine: Machine, owner: User, stranger: User
) -> None:
    answer = call(script_of(owner), f"machines/{machine.pk}/owner", user="stranger", keep="viewer")
    assert answer == {"owner": "stranger", "project": None}
    assert (right_over(stranger, machine), right_over(owner, machine)) == (Right.OWN, Right.VIEW)
    call(script_of(owner), f"machines/{machine.pk}/owner", 403, user="owner")


def test_handing_over_without_keeping_anything(script_of: ClientOf, machine: Machine, owner: User, stranger) -> None:
    call(script_of(owner), f"machines/{machine.pk}/owner", user="stranger")
    assert right_over(owner, machine) is Right.NONE


def test_handing_over_to_a_project_and_back(
    script_of: ClientOf, machine: Machine, owner: User, stranger: User, bees: Project
) -> None:
    assert call(script_of(owner), f"machines/{machine.pk}/owner", project="bees") == {"owner": None, "project": "bees"}
    assert (right_over(owner, machine), right_over(stranger, machine)) == (Right.OWN, Right.OPERATE)
    call(script_of(owner), f"machines/{machine.pk}/owner", user="owner", keep="viewer")
    assert right_over(stranger, machine) is Right.VIEW
    answer = call(script_of(owner), f"machines/{machine.pk}/owner", 400, user="owner")
    assert answer["error"]["message"] == "It is theirs already."


def test_handing_over_to_who_has_no_room_is_refused_with_the_figures(
    script_of: ClientOf, machine: Machine, make_machine: MakeMachine, owner: User, stranger: User
) -> None:
    make_machine("theirs", owner=stranger)
    Quota.objects.create(user=stranger, machines=1)
    error = call(script_of(owner), f"machines/{machine.pk}/owner", 409, user="stranger")["error"]
    assert error["code"] == "quota_exceeded"
    assert error["details"] == {"resource": "machines", "used": 1, "wanted": 2, "limit": 1, "whose": "stranger"}
    assert error["message"] == "The quota of stranger does not allow it: Machines would be 2 of 1."
    assert Machine.objects.get(pk=machine.pk).owner == owner


# The tab


def tab(client: Client, machine: Machine) -> Any:
    answer = client.get(f"/machines/{machine.pk}/access/")
    assert answer.status_code == 200
    return html.fromstring(answer.content.decode())


def test_the_tab_shares_and_revokes_by_plain_forms(
    client_of: ClientOf, machine: Machine, owner: User, stranger: User
) -> None:
    client, url = client_of(owner), f"/machines/{machine.pk}/access/"
    answer = client.post(f"{url}share/", {"user": "stranger", "role": "operator", "lasting": "hour"})
    assert (answer.status_code, answer["Location"]) == (302, url)
    grant = Grant.objects.get(user=stranger)
    assert timedelta(minutes=59) < grant.expires_at - timezone.now() <= timedelta(hours=1)
    holders = [row.get("data-holder") for row in tab(client, machine).cssselect("[data-grant]")]
    assert holders == ["viewer", "stranger"]
    assert client.post(f"{url}grants/{grant.pk}/revoke/").status_code == 302
    assert not Grant.objects.filter(user=stranger).exists()


def test_the_tab_says_what_is_wrong_and_keeps_what_was_typed(client_of: ClientOf, machine: Machine, owner) -> None:
    answer = client_of(owner).post(f"/machines/{machine.pk}/access/share/", {"user": "olag", "role": "operator"})
    tree = html.fromstring(answer.content.decode())
    assert answer.status_code == 400
    assert "There is no active user “olag”." in tree.cssselect("[data-refused]")[0].text
    assert tree.cssselect("#share-user")[0].get("value") == "olag"


def test_the_tab_shows_a_viewer_their_own_right_and_nobody_elses(
    client_of: ClientOf, machine: Machine, viewer: User, stranger: User
) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=Role.OWNER)
    tree = tab(client_of(viewer), machine)
    assert "stranger" not in tree.text_content()
    assert [option.get("value") for option in tree.cssselect("#ask-role option")] == ["operator", "owner"]


def test_handing_over_on_the_tab_asks_first(client_of: ClientOf, machine: Machine, owner: User, stranger: User) -> None:
    client, url = client_of(owner), f"/machines/{machine.pk}/access/hand-over/"
    asked = client.post(url, {"user": "stranger", "keep": ""})
    assert "belongs to stranger then" in asked.content.decode()
    assert Machine.objects.get().owner == owner
    done = client.post(url, {"user": "stranger", "keep": "", "confirm": "1"})
    assert (done.status_code, done["Location"]) == (302, "/")
    assert Machine.objects.get().owner == stranger


def test_the_tab_costs_as_many_queries_for_fifty_grants_as_for_one(
    client_of: ClientOf, machine: Machine, owner: User, django_assert_max_num_queries
) -> None:
    for number in range(50):
        user = User.objects.create(username=f"u{number}")
        Grant.objects.create(machine=machine, user=user, granted_by=owner)
    client = client_of(owner)
    with django_assert_max_num_queries(15):
        assert len(tab(client, machine).cssselect("[data-grant]")) == 51


def test_only_posts_change_anything_and_only_of_who_is_signed_in(
    client: Client, client_of: ClientOf, machine: Machine, owner: User
) -> None:
    for path in ("share/", "hand-over/", "links/", "ask/", "grants/1/revoke/", "links/1/revoke/"):
        url = f"/machines/{machine.pk}/access/{path}"
        assert client_of(owner).get(url).status_code == 405, path
        assert client.post(url)["Location"].startswith("/login/"), path
