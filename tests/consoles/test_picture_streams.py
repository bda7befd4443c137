"""The stream of pictures: a console session whose page asks for each picture, on record like any other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from redis import Redis

from consoles import picture_shelf, sessions, thumbnails
from consoles.auditor import Auditor
from consoles.models import ConsoleSession
from consoles.picture_sizes import Size
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.models import Grant, Machine
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spice(machine: Machine) -> Machine:
    """The cast's machine, as one with a SPICE display only."""
    machine.graphics = ["spice"]
    machine.save()
    return machine


def ask(client: Client, machine: Machine, protocol: str = "pictures", mode: str = "view") -> HttpResponse:
    content = json.dumps({"protocol": protocol, "mode": mode})
    return client.post(f"/api/v1/machines/{machine.pk}/console-tickets", content, content_type="application/json")


def begin(client: Client, machine: Machine) -> str:
    """Open a stream; return where its pictures are."""
    answer = ask(client, machine)
    assert answer.status_code == 201, answer.content
    return urlsplit(answer.json()["url"]).path


def keep(machine: Machine, image: bytes = b"a picture") -> None:
    picture_shelf.keep(machine.pk, Size.STREAM, image, image.decode())


def row() -> ConsoleSession:
    return ConsoleSession.objects.get(protocol="pictures")


def ended(answer: HttpResponse) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json()["error"]["details"]


def test_a_viewer_looks_on_by_pictures_and_is_on_record(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    answer = ask(client, spice).json()
    assert (answer["tickets"], answer["mode"], answer["protocol"]) == ([], "view", "pictures")
    assert (row().user, row().mode, row().ended_at, row().address) == (viewer, "view", None, "127.0.0.1")
    assert row().opened_at
    url = urlsplit(answer["url"]).path
    assert client.get(url).status_code == 204
    assert picture_shelf.wishes(spice.host_id) == {spice.pk: {Size.STREAM}}
    keep(spice)
    first = client.get(url)
    assert (first.status_code, first.content) == (200, b"a picture")
    assert client.get(url, headers={"If-None-Match": first["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("role", "mode", "status"),
    [
        ("owner", "control", 201),
        ("viewer", "view", 201),
        ("viewer", "control", 403),
        ("helpdesk", "view", 403),
        ("stranger", "view", 404),
    ],
)
def test_who_may_look_on(
    role: str, mode: str, status: int, spice: Machine, client_of: ClientOf, request: pytest.FixtureRequest
) -> None:
    assert ask(client_of(request.getfixturevalue(role)), spice, mode=mode).status_code == status
    assert [one.mode for one in ConsoleSession.objects.all()] == ["view"] * (status == 201)


def test_nobody_else_gets_the_pictures_of_a_session(
    spice: Machine,
    client: Client,
    client_of: ClientOf,
    script_of: ClientOf,
    owner: User,
    viewer: User,
    stranger: User,
    admin: User,
) -> None:
    url = begin(client_of(viewer), spice)
    keep(spice)
    answers = [client_of(owner), client_of(admin), client_of(stranger), client_of(viewer), script_of(viewer), client]
    assert [one.get(url).status_code for one in answers] == [403, 403, 404, 404, 404, 401]
    assert [one.post(f"{url}/leave").status_code for one in answers] == [403, 403, 404, 404, 404, 401]
    assert not row().ended_at


def test_a_session_of_another_protocol_has_no_pictures(machine: Machine, client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    session = ask(client, machine, "vnc").json()["session"]
    assert client.get(f"/api/v1/picture-streams/{session}").status_code == 404
    assert client.post(f"/api/v1/picture-streams/{session}/leave").status_code == 404


def test_leaving_ends_the_session(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    for _ in range(2):
        assert client.post(f"{url}/leave").status_code == 204
    assert (row().end_reason, row().login) == ("left", "")
    assert row().ended_at
    assert ended(client.get(url)) == (410, {"reason": "left", "code": 1000})


def test_taking_the_right_away_ends_it_at_once(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    keep(spice)
    Grant.objects.all().delete()
    assert client.get(url).status_code == 404
    assert row().end_reason == "revoked"


def test_an_administrator_ends_it_for_good(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    sessions.end([row().pk], Ending.ENDED_BY_ADMIN)
    assert ended(client.get(url)) == (410, {"reason": "ended_by_admin", "code": 4410})


def test_logging_out_ends_it(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    client.post("/logout/")
    assert row().end_reason == "login_ended"
    assert client.get(url).status_code == 401


def test_a_machine_that_is_off_has_no_stream(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    Machine.objects.update(state="shutoff")
    assert ended(client.get(url)) == (410, {"reason": "display_closed", "code": 4404})
    assert row().end_reason == "display_closed"
    assert ask(client, spice).json()["error"]["code"] == "state_conflict"


def test_a_machine_without_a_display_has_no_stream(make_machine: MakeMachine, client_of: ClientOf, owner: User) -> None:
    blind = make_machine("blind", owner=owner, graphics=[])
    answer = ask(client_of(owner), blind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_display")
    assert not ConsoleSession.objects.exists()


def test_it_ends_after_its_time(spice: Machine, client_of: ClientOf, viewer: User, settings) -> None:
    settings.CONSOLE_LIMIT = 60
    client = client_of(viewer)
    url = begin(client, spice)
    assert client.get(url).status_code == 204
    ConsoleSession.objects.update(opened_at=timezone.now() - timedelta(seconds=61))
    assert ended(client.get(url)) == (410, {"reason": "limit", "code": 4412})


def test_it_counts_as_one_of_a_persons_consoles(spice: Machine, client_of: ClientOf, viewer: User, settings) -> None:
    settings.CONSOLES_PER_USER = 1
    client = client_of(viewer)
    begin(client, spice)
    assert ask(client, spice).json()["error"]["code"] == "too_many_consoles"


def test_a_page_that_asks_stays_and_one_that_is_silent_is_ended(
    spice: Machine, client_of: ClientOf, viewer: User, redis: Redis
) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    audit = Auditor(redis)
    assert audit.look_after_leases()
    assert client.get(url).status_code == 204
    redis.delete(redis_names.pulse_key(str(row().pk)), "console:auditor")
    assert audit.look_after_leases()
    assert row().end_reason == "silent"
    status, details = ended(client.get(url))
    assert (status, details["reason"]) == (410, "silent")
    assert details["code"] not in {4401, 4403, *range(4410, 4420)}, "the page comes back by itself"


def test_the_audit_says_how_much_was_sent(spice: Machine, client_of: ClientOf, viewer: User, redis: Redis) -> None:
    client = client_of(viewer)
    url = begin(client, spice)
    for number in range(4):
        keep(spice, bytes([65 + number]) * 100_000)
        client.get(url)
    audit = Auditor(redis)
    while audit.read_reports():
        pass
    assert row().bytes_to_client == 300_000, "reported at the first picture and each 256 KiB"


def test_a_stream_is_seen_while_thumbnails_are_switched_off(spice: Machine, client_of: ClientOf, viewer: User) -> None:
    thumbnails.switch(spice, on=False)
    client = client_of(viewer)
    url = begin(client, spice)
    keep(spice)
    assert client.get(url).status_code == 200
    assert client.get(f"/machines/{spice.pk}/picture/").status_code == 204


def test_several_people_look_on_while_one_is_at_the_spice_screen(
    spice: Machine, client_of: ClientOf, owner: User, viewer: User, admin: User
) -> None:
    assert ask(client_of(owner), spice, "spice", "control").status_code == 201
    assert ask(client_of(viewer), spice, "spice").json()["error"]["code"] == "screen_taken"
    for user in (viewer, admin):
        begin(client_of(user), spice)
    assert ConsoleSession.objects.filter(ended_at=None).count() == 3
