"""What an administrator takes from people, said before it happens, and felt by sockets and consoles at once."""

from __future__ import annotations

from time import monotonic

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from lxml import html
from redis import Redis

from consoles import sessions
from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from lifecycle.models import Bulk, HostTest, Status
from machines.models import Host, Machine
from people.models import ApiToken
from tests.cast import PASSWORD, ClientOf, person
from tests.consoles.conftest import desk, display, proxy, redis  # noqa: F401  # fixtures of the consoles' tests
from tests.consoles.peers import Issued, Proxy, TcpDisplay, closed_with, eventually, open_console
from tests.consoles.test_tickets import ask
from tests.kvmportal.test_admin_people import PEOPLE, change_form
from tests.lifecycle.pages import messages, one, page, text
from tests.machines.conftest import open_socket, web  # noqa: F401  # fixtures of the sockets' tests
from tests.machines.sockets import sign_in

pytestmark = pytest.mark.django_db(transaction=True)
DEEDS = ["end_consoles", "end_logins", "revoke_tokens", "disable"]


def ask_deed(client: Client, deed: str, *users: User) -> dict[str, list[str]]:
    """Choose an action; return what the page says of each user: machines, consoles, login sessions, tokens."""
    answer = client.post(PEOPLE, {"action": deed, "_selected_action": [user.pk for user in users]})
    assert answer.status_code == 200
    tree = html.fromstring(answer.content.decode())
    return {
        row.get("data-holding"): [text(cell) for cell in row.cssselect("td")]
        for row in tree.cssselect("tr[data-holding]")
    }


def do(client: Client, deed: str, *users: User) -> str:
    form = {"action": deed, "_selected_action": [user.pk for user in users], "confirm": "yes"}
    assert client.post(PEOPLE, form).status_code == 302
    return messages(client)


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_concerned_is_said_and_nothing_happens_before_it_is_confirmed(
    client_of: ClientOf, script_of: ClientOf, owner: User, viewer: User, admin: User, machine: Machine, deed: str
) -> None:
    client_of(owner)
    ask(client_of(owner), machine)
    script_of(owner)
    assert ask_deed(client_of(admin), deed, owner, viewer) == {
        "owner": ["1", "1", "2", "1"],
        "viewer": ["0", "0", "0", "0"],
    }
    owner.refresh_from_db()
    assert owner.is_active
    assert (sessions.not_ended().count(), ApiToken.objects.count(), Session.objects.count()) == (1, 1, 3)


def test_ending_logins_signs_out_everywhere_but_here(
    client_of: ClientOf, script_of: ClientOf, owner: User, viewer: User, admin: User
) -> None:
    here, owners, others, scripts = client_of(admin), client_of(owner), client_of(viewer), script_of(owner)
    client_of(admin)
    assert "2 login sessions were ended." in do(here, "end_logins", owner, admin)
    assert owners.get("/").status_code == 302
    assert [client.get("/").status_code for client in (others, here)] == [200, 200]
    assert scripts.get("/api/v1/machines").status_code == 200


def test_revoking_tokens_stops_the_scripts_of_those_chosen(
    client_of: ClientOf, script_of: ClientOf, owner: User, viewer: User, admin: User
) -> None:
    stopped, others = script_of(owner), script_of(viewer)
    assert "1 token was revoked." in do(client_of(admin), "revoke_tokens", owner)
    assert [script.get("/api/v1/machines").status_code for script in (stopped, others)] == [401, 200]


def test_ending_consoles_leaves_those_of_others(
    client_of: ClientOf, owner: User, viewer: User, admin: User, machine: Machine
) -> None:
    ask(client_of(owner), machine)
    kept = ask(client_of(viewer), machine, mode="view").json()["session"]
    assert "1 console was ended." in do(client_of(admin), "end_consoles", owner)
    assert [str(one.pk) for one in sessions.not_ended()] == [kept]
    assert ConsoleSession.objects.get(user=owner).end_reason == "ended_by_admin"


def test_a_disabled_user_signs_in_anew_once_enabled_and_the_machines_stay_theirs(
    client_of: ClientOf, script_of: ClientOf, owner: User, admin: User, machine: Machine
) -> None:
    client, browser, script = client_of(admin), client_of(owner), script_of(owner)
    assert "1 user was disabled." in do(client, "disable", owner)
    assert (browser.get("/").status_code, script.get("/api/v1/machines").status_code) == (302, 401)
    machine.refresh_from_db()
    assert machine.owner == owner
    assert LogEntry.objects.filter(user=admin, object_id=owner.pk).count() == 1
    client.post(PEOPLE, {"action": "enable", "_selected_action": [owner.pk]})
    assert browser.get("/").status_code == 302  # what was signed in before stays out
    assert Client().post("/login/", {"username": "owner", "password": PASSWORD}).status_code == 302
    assert script.get("/api/v1/machines").status_code == 200


def test_disabling_by_the_form_ends_login_sessions_for_good_too(client_of: ClientOf, owner: User, admin: User) -> None:
    browser, form = client_of(owner), change_form(owner)
    del form["is_active"]
    assert client_of(admin).post(f"{PEOPLE}{owner.pk}/change/", form).status_code == 302
    User.objects.filter(pk=owner.pk).update(is_active=True)
    assert browser.get("/").status_code == 302


def test_nobody_disables_themselves(client_of: ClientOf, owner: User, admin: User) -> None:
    client = client_of(admin)
    assert "You cannot disable yourself" in do(client, "disable", owner, admin)
    assert User.objects.filter(is_active=True).count() == 2


@pytest.mark.parametrize("deed", [*DEEDS, "enable"])
def test_staff_who_may_change_accounts_may_not_do_this(client_of: ClientOf, owner: User, deed: str) -> None:
    clerk = person("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    ApiToken.make(owner.pk, "kept")
    client = client_of(clerk)
    client_of(owner)
    assert deed not in client.get(PEOPLE).content.decode()
    client.post(PEOPLE, {"action": deed, "_selected_action": [owner.pk], "confirm": "yes"})
    owner.refresh_from_db()
    assert (owner.is_active, ApiToken.objects.count(), Session.objects.count()) == (True, 1, 2)


def test_disabling_closes_a_real_socket_and_a_real_console_within_a_second(
    client_of: ClientOf,
    owner: User,
    admin: User,
    machine: Machine,
    proxy: Proxy,  # noqa: F811
    display: TcpDisplay,  # noqa: F811
    redis: Redis,  # noqa: F811
    open_socket,  # noqa: F811
) -> None:
    client = client_of(owner)
    answer = ask(client, machine, mode="control").json()
    issued = Issued(answer["tickets"][0], answer["session"], f"sessionid={client.session.session_key}")
    socket = open_socket(owner, session=sign_in(owner))
    boss = client_of(admin)
    with open_console(proxy.url, issued) as console:
        display.peer().sendall(b"RFB 003.008\n")
        assert console.recv(timeout=5)
        eventually(lambda: redis.pubsub_numsub(redis_names.END_CHANNEL)[0][1])
        started = monotonic()
        form = {"action": "disable", "_selected_action": [owner.pk], "confirm": "yes"}
        assert boss.post(PEOPLE, form).status_code == 302
        assert closed_with(console)[0] == 4401
        assert socket.closing_code() == 4401
        assert monotonic() - started < 1


def test_what_nobody_deletes_by_hand_keeps_no_person_and_no_host_from_being_deleted(
    client_of: ClientOf, owner: User, admin: User, host: Host
) -> None:
    client = client_of(admin)
    Bulk.objects.create(kind="start", requested_by=owner)
    HostTest.objects.create(host=host, status=Status.FAILED, finished_at=timezone.now())
    for url in (f"{PEOPLE}{owner.pk}/delete/", f"/admin/machines/host/{host.pk}/delete/"):
        assert one(page(client, url), "#content form input[type=submit]") is not None
        client.post(url, {"post": "yes"})
    assert not User.objects.filter(username="owner").exists()
    assert not Host.objects.exists()
