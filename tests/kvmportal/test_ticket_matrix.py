"""Console tickets of everybody: what each holds, and that it opens nothing any more once its holder lost the right.

Who is given which ticket at all stands in permission_rules.py; what a proxy does with one, in tests/consoles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from machines.models import Grant, Machine, Visit
from machines.redis_client import redis_client
from people.models import ApiToken, Membership
from tests.kvmportal.permission_rules import NOBODY, RIGHTS, Who

pytestmark = pytest.mark.django_db(transaction=True)

SHOWING = {"main", "display", "cursor", "playback"}
CHANNELS = {"view": SHOWING, "control": SHOWING | {"inputs"}}
KINDS = [(protocol, mode) for protocol in ("vnc", "serial", "spice", "pictures") for mode in ("view", "control")]
NEEDED = {"view": Who.VIEW, "control": Who.OPERATE}
NOT_FOR_VISITORS = "spice"
"""A helper's SPICE client would throw the user's out."""


def _clear_groups(user: User, _machine: Machine) -> None:
    user.groups.clear()


def _end_grant(user: User, _machine: Machine) -> None:
    Grant.objects.get(user=user).delete()


def _end_membership(user: User, _machine: Machine) -> None:
    Membership.objects.get(user=user).delete()


def _end_visit(user: User, _machine: Machine) -> None:
    Visit.objects.get(user=user).delete()


def _take_machine(_user: User, machine: Machine) -> None:
    machine.owner = None
    machine.save()


def _take_administration(user: User, _machine: Machine) -> None:
    user.is_superuser = user.is_staff = False
    user.save()


TAKEN: Mapping[str, Callable[[User, Machine], None]] = {
    "viewer": _end_grant,
    "operator": _end_grant,
    "owner": _take_machine,
    "admin": _take_administration,
    "visiting helper": _end_visit,
    **{f"project {role}": _end_membership for role in ("viewer", "operator", "owner")},
    **{f"group {role}": _clear_groups for role in ("viewer", "operator", "owner")},
}
"""How each of those who get tickets loses the right to them."""


@pytest.fixture
def console(machine: Machine, everybody: dict[str, User]) -> Machine:
    """The machine, with every kind of console."""
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    return machine


def tickets_of(client: Client, machine: Machine, protocol: str, mode: str) -> tuple[int, dict]:
    """Ask for tickets; return the status and what came."""
    wanted = json.dumps({"protocol": protocol, "mode": mode})
    answer = client.post(f"/api/v1/machines/{machine.uuid}/console-tickets", wanted, content_type="application/json")
    return answer.status_code, answer.json()


def gets(role: str, protocol: str, mode: str) -> bool:
    """Say whether this role is given such a ticket."""
    if role == "visiting helper" and protocol == NOT_FOR_VISITORS:
        return False
    return RIGHTS[role] >= NEEDED[mode]


def leases(user: User) -> set[str]:
    """Return this user's sessions that a proxy would let in."""
    rows = ConsoleSession.objects.filter(user=user)
    return {str(row.pk) for row in rows if redis_client().exists(redis_names.lease_key(str(row.pk)))}


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def script(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiToken.make(user.pk, 'matrix')[1]}"})


def test_who_gets_tickets_has_a_way_to_lose_them() -> None:
    assert {role for role, right in RIGHTS.items() if right >= Who.VIEW} == TAKEN.keys()


@pytest.mark.parametrize("kind", [browser, script])
@pytest.mark.parametrize("role", RIGHTS)
def test_a_ticket_holds_what_its_holder_may_do_and_is_gone_with_the_right(
    role: str, kind: Callable[[User], Client], console: Machine, everybody: dict[str, User]
) -> None:
    user, given = everybody[role], set()
    client = kind(user)
    for protocol, mode in KINDS:
        status, body = tickets_of(client, console, protocol, mode)
        assert (status == 201) == gets(role, protocol, mode), (role, protocol, mode, status, body)
        if status != 201:
            continue
        given.add(body["session"])
        held = redis_client().get(redis_names.lease_key(body["session"]))
        assert held == body["mode"]
        assert held == (mode if protocol != "pictures" else "view")
        claims = [json.loads(redis_client().get(redis_names.ticket_key(ticket))) for ticket in body["tickets"]]
        assert {(claim["session"], claim["user"]) for claim in claims} <= {(body["session"], user.pk)}
        wanted = {"spice": CHANNELS[held], "pictures": set()}.get(protocol, {None})  # pictures come by plain requests
        assert {claim["channel"] for claim in claims} == wanted
    assert given == {str(row.pk) for row in ConsoleSession.objects.all()}
    assert leases(user) == {str(row.pk) for row in ConsoleSession.objects.filter(ended_at=None)}  # SPICE shows one
    if given:
        TAKEN[role](user, console)
        assert leases(user) == set()
        assert tickets_of(client, console, "vnc", "view")[0] == (403 if role == "visiting helper" else 404)


@pytest.mark.parametrize("role", [role for role, right in RIGHTS.items() if right >= Who.VIEW])
def test_a_ticket_is_gone_with_the_login_and_with_the_user(
    role: str, console: Machine, everybody: dict[str, User]
) -> None:
    user = everybody[role]
    ends: list[tuple[Callable[[User], Client], Callable[[], object]]] = [
        (browser, lambda: [session.delete() for session in Session.objects.all()]),
        (script, lambda: [token.delete() for token in ApiToken.objects.all()]),
        (browser, lambda: _disable(user)),
    ]
    for kind, end in ends:
        assert tickets_of(kind(user), console, "vnc", "view")[0] == 201
        assert len(leases(user)) == 1
        end()
        assert leases(user) == set()


def _disable(user: User) -> None:
    user.is_active = False
    user.save()


@pytest.mark.parametrize("role", NOBODY)
@pytest.mark.parametrize("kind", [browser, script])
def test_nobody_gets_a_ticket(
    role: str, kind: Callable[[User], Client], console: Machine, everybody: dict[str, User]
) -> None:
    client = Client() if role == "anonymous" else kind(everybody["owner"])
    if role == "disabled":
        User.objects.filter(username="owner").update(is_active=False)
    if role == "revoked":
        Session.objects.all().delete()
        ApiToken.objects.all().delete()
    for protocol, mode in KINDS:
        assert tickets_of(client, console, protocol, mode)[0] == 401
    assert not ConsoleSession.objects.exists()
