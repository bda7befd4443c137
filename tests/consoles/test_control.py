"""Who types: one person at a time, and how control goes from one to another."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from redis import Redis

from consoles import control, leases, sessions
from consoles.auditor import LOCK_KEY, Auditor
from consoles.models import ConsoleEvent, ConsoleSession
from consoles.proxy import redis_names
from machines.models import Grant, GrantRole, Machine
from machines.redis_client import redis_client
from tests.cast import ClientOf, person
from tests.consoles.peers import Issued, Proxy, TcpDisplay, eventually, open_console
from tests.consoles.rfb_bytes import HELLO, SHARED, key
from tests.consoles.seats import Seat, ends, sit_down
from tests.consoles.test_tickets import ask

pytestmark = pytest.mark.django_db(transaction=True)


def code_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_who_comes_second_looks_on_and_is_told_so(
    client_of: ClientOf, operator: User, machine: Machine, owners: Seat, redis: Redis
) -> None:
    answer = ask(client_of(operator), machine, mode="control")
    assert (answer.status_code, answer.json()["mode"]) == (201, "view")
    assert owners.mode == "control"
    (ticket,) = answer.json()["tickets"]
    assert json.loads(redis.get(redis_names.ticket_key(ticket)))["mode"] == "view"
    assert redis.get(redis_names.lease_key(answer.json()["session"])) == "view"


def test_a_person_types_in_all_their_own_windows(client_of: ClientOf, owner: User, machine: Machine) -> None:
    seats = [sit_down(client_of(owner), machine) for _ in range(2)]
    assert [seat.mode for seat in seats] == ["control", "control"]


def test_each_protocol_has_its_own_keyboard(client_of: ClientOf, operator: User, machine: Machine, owners) -> None:
    Machine.objects.update(has_serial=True)
    assert ask(client_of(operator), machine, mode="control", protocol="serial").json()["mode"] == "control"


def test_tickets_that_nobody_used_hold_control_only_as_long_as_they_could_be_used(
    client_of: ClientOf, owner: User, operator: User, machine: Machine
) -> None:
    unused = ask(client_of(owner), machine).json()["session"]
    client = client_of(operator)
    assert ask(client, machine).json()["mode"] == "view"
    ConsoleSession.objects.update(asked_at=timezone.now() - timedelta(seconds=31))
    assert ask(client, machine).json()["mode"] == "control"
    assert ConsoleSession.objects.get(pk=unused).mode == "view"


def test_control_waits_a_moment_for_whose_connection_broke(
    client_of: ClientOf, owner: User, operator: User, machine: Machine, owners: Seat
) -> None:
    """When a proxy restarts everyone comes back, in any order."""
    sessions.close(ConsoleSession.objects.filter(pk=owners.session), sessions.Ending.STOPPING)
    early = sit_down(client_of(operator), machine)
    assert early.mode == "view"
    back = sit_down(client_of(owner), machine)
    assert back.mode == "control"

    sessions.close(ConsoleSession.objects.all(), sessions.Ending.STOPPING)
    ConsoleSession.objects.update(ended_at=timezone.now() - timedelta(seconds=11))
    assert sit_down(client_of(operator), machine).mode == "control"


def test_nothing_waits_for_who_left(client_of: ClientOf, operator: User, machine: Machine, owners: Seat) -> None:
    ends(owners)
    assert sit_down(client_of(operator), machine).mode == "control"


def test_a_viewer_asks_the_owner_grants_and_takes_it_back(owners: Seat, viewers: Seat, redis: Redis, told) -> None:
    owner, viewer = owners.row.user, viewers.row.user
    answer = viewers.act("ask")
    assert answer.status_code == 200
    assert [(one["user"], one["mode"], one["asking"]) for one in answer.json()["items"]] == [
        ("owner", "control", False),
        ("viewer", "view", True),
    ]
    assert (owners.mode, viewers.mode) == ("control", "view")

    items = owners.act("grant", viewers).json()["items"]
    assert [(one["mode"], one["asking"], one["lent_by"]) for one in items] == [
        ("view", False, None),
        ("control", False, "owner"),
    ]
    assert redis.get(redis_names.lease_key(viewers.session)) == "control"
    assert redis.get(redis_names.lease_key(owners.session)) == "view"
    assert set(told()) == {(viewers.session, "control"), (owners.session, "view")}

    assert owners.act("take").status_code == 200
    assert (owners.mode, viewers.mode) == ("control", "view")
    assert set(told()[2:]) == {(viewers.session, "view"), (owners.session, "control")}
    assert viewers.events() == [("asked", viewer), ("granted", owner)]
    assert owners.events() == [("taken", owner)]
    assert ConsoleEvent.objects.get(kind="taken").detail == {"from": ["viewer"]}


def test_a_viewer_can_neither_take_nor_grant_nor_refuse(
    client_of: ClientOf, machine: Machine, owners: Seat, viewers: Seat
) -> None:
    other = person("other")
    Grant.objects.create(machine=machine, user=other, role=GrantRole.VIEWER)
    others = sit_down(client_of(other), machine, "view")
    others.act("ask")
    for answer in (viewers.act("take"), viewers.act("grant", others), viewers.act("refuse", others)):
        assert answer.status_code == 403
        assert "operator" in answer.json()["error"]["message"]
    assert (owners.mode, viewers.mode, others.mode) == ("control", "view", "view")
    owners.act("grant", viewers)
    assert viewers.act("grant", others).status_code == 403, "what is lent is not lent on"


def test_an_operator_has_to_ask_the_owner_who_takes_from_an_operator_at_once(
    client_of: ClientOf, machine: Machine, operator: User, owners: Seat
) -> None:
    operators = sit_down(client_of(operator), machine)
    assert code_of(operators.act("take")) == (409, "control_held")
    assert operators.act("take").json()["error"]["details"] == {"user": "owner"}
    owners.act("give_back")
    assert operators.act("take").status_code == 200
    assert (owners.mode, operators.mode) == ("view", "control")
    assert owners.act("ask").status_code == 200, "who may take it need not wait"
    assert (owners.mode, operators.mode) == ("control", "view")


def test_equals_ask_each_other_and_who_handed_it_over_may_have_it_back(
    client_of: ClientOf, machine: Machine, operator: User, second: User
) -> None:
    first, other = sit_down(client_of(operator), machine), sit_down(client_of(second), machine)
    assert code_of(other.act("take")) == (409, "control_held")
    other.act("ask")
    first.act("grant", other)
    assert (first.mode, other.mode) == ("view", "control")
    assert first.act("take").status_code == 200
    assert (first.mode, other.mode) == ("control", "view")


def test_a_loan_can_be_taken_by_anyone_with_the_right(
    client_of: ClientOf, machine: Machine, operator: User, owners: Seat, viewers: Seat
) -> None:
    operators = sit_down(client_of(operator), machine)
    owners.act("grant", viewers)
    assert operators.act("take").status_code == 200
    assert (owners.mode, operators.mode, viewers.mode) == ("view", "control", "view")
    assert viewers.row.granted_by is None


def test_refusing_is_told_to_who_asked_who_may_ask_again_later(owners: Seat, viewers: Seat, monkeypatch) -> None:
    viewers.act("ask")
    assert owners.act("refuse", viewers).status_code == 200
    assert viewers.row.asking_since is None
    assert viewers.events()[-1] == ("refused", owners.row.user)
    answer = viewers.act("ask")
    assert code_of(answer) == (429, "asked_too_soon")
    assert viewers.row.asking_since is None
    monkeypatch.setattr(control, "ASK_AGAIN_SECONDS", 0)
    assert viewers.act("ask").status_code == 200
    assert viewers.row.asking_since


def test_asking_again_and_again_is_one_event(owners: Seat, viewers: Seat) -> None:
    for _ in range(5):
        assert viewers.act("ask").status_code == 200
    since = viewers.row.asking_since
    viewers.act("withdraw")
    assert viewers.row.asking_since is None
    for _ in range(5):
        assert viewers.act("ask").status_code == 429
    assert since
    assert ConsoleEvent.objects.count() == 1


def test_a_file_for_virt_viewer_holds_control_only_once_it_is_opened(
    client_of: ClientOf, owner: User, operator: User, machine: Machine, settings
) -> None:
    settings.CONSOLE_VNC_PUBLIC = "portal.test:5999"
    made = client_of(owner).post(
        f"/api/v1/machines/{machine.uuid}/viewer-file", {"protocol": "vnc"}, content_type="application/json"
    )
    assert made.status_code == 200
    file = ConsoleSession.objects.get()
    assert file.mode == "control"
    operators = sit_down(client_of(operator), machine)
    file.refresh_from_db()
    assert (operators.mode, file.mode) == ("control", "view")
    ConsoleSession.objects.exclude(pk=file.pk).delete()
    ConsoleSession.objects.update(mode="control", opened_at=timezone.now())
    assert ask(client_of(operator), machine, mode="control").json()["mode"] == "view"


def test_a_file_for_virt_viewer_keeps_nobody_from_a_screen_for_one_until_it_is_opened(
    client_of: ClientOf, owner: User, operator: User, machine: Machine, settings, redis: Redis
) -> None:
    settings.CONSOLE_SPICE_PUBLIC = "http://portal.test:6081"
    Machine.objects.update(graphics=["spice"])
    client = client_of(owner)
    assert client.post(f"/machines/{machine.uuid}/viewer-file/", {"protocol": "spice"}).status_code == 200
    file = ConsoleSession.objects.get()
    assert ask(client_of(operator), machine, protocol="spice").status_code == 201
    file.refresh_from_db()
    assert file.end_reason == "replaced"
    assert not redis.exists(redis_names.lease_key(str(file.pk))), "its ticket opens nothing any more"

    assert client.post(f"/machines/{machine.uuid}/viewer-file/", {"protocol": "spice"}).status_code in {302, 409}
    ConsoleSession.objects.all().delete()
    assert client.post(f"/machines/{machine.uuid}/viewer-file/", {"protocol": "spice"}).status_code == 200
    ConsoleSession.objects.update(opened_at=timezone.now())
    assert code_of(ask(client_of(operator), machine, protocol="spice")) == (409, "screen_taken")


def test_when_the_holder_leaves_who_asked_first_has_it_if_they_may(
    client_of: ClientOf, machine: Machine, operator: User, owners: Seat, viewers: Seat
) -> None:
    operators = sit_down(client_of(operator), machine)
    viewers.act("ask")
    operators.act("ask")
    ends(owners)
    assert (operators.mode, viewers.mode) == ("control", "view")


def test_a_lease_that_says_something_else_than_the_row_is_righted(owners: Seat, redis: Redis, told) -> None:
    redis.set(redis_names.pulse_key(owners.session), "1")
    redis.set(redis_names.lease_key(owners.session), "view", keepttl=True)
    assert Auditor(redis).look_after_leases()
    assert redis.get(redis_names.lease_key(owners.session)) == "control"
    assert told() == [(owners.session, "control")]


def test_control_changes_hands_also_while_redis_is_away_and_reaches_proxies_later(
    owners: Seat, viewers: Seat, redis: Redis, settings
) -> None:
    url = settings.REDIS_URL
    redis_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    try:
        assert owners.act("grant", viewers).status_code == 200
    finally:
        settings.REDIS_URL = url
        redis_client.cache_clear()
    assert redis.get(redis_names.lease_key(owners.session)) == "control"
    for seat in (owners, viewers):
        redis.set(redis_names.pulse_key(seat.session), "1")
    redis.delete(LOCK_KEY)
    assert Auditor(redis).look_after_leases()
    assert redis.get(redis_names.lease_key(viewers.session)) == "control"
    assert redis.get(redis_names.lease_key(owners.session)) == "view"


def test_a_lease_that_was_taken_away_is_not_given_back_by_a_change_of_mode(owners: Seat, redis: Redis) -> None:
    redis.delete(redis_names.lease_key(owners.session))
    leases.tell_modes([ConsoleSession.objects.get(pk=owners.session).pk])
    assert not redis.exists(redis_names.lease_key(owners.session))


def test_spice_and_ended_consoles_cannot_be_handed_over(
    client_of: ClientOf, owner: User, machine: Machine, owners: Seat, viewers: Seat
) -> None:
    Machine.objects.update(graphics=["spice"])
    assert code_of(sit_down(client_of(owner), machine, protocol="spice").act("take")) == (409, "not_shared")
    ends(viewers)
    assert code_of(viewers.act("ask")) == (409, "session_ended")
    assert code_of(owners.act("grant", viewers)) == (409, "session_ended")
    assert code_of(owners.act("grant")) == (409, "session_ended")


def test_someone_at_another_machine_cannot_be_granted_control_here(
    client_of: ClientOf, viewer: User, make_machine, owners: Seat
) -> None:
    elsewhere = make_machine("elsewhere", owner=viewer)
    seat = sit_down(client_of(viewer), elsewhere, "view")
    assert code_of(owners.act("grant", seat)) == (409, "session_ended")


def test_of_many_who_take_control_at_once_one_has_it(client_of: ClientOf, machine: Machine, redis: Redis) -> None:
    """All have the same right and nobody types: the first one wins, the others are told who did."""
    seats = []
    for number in range(6):
        each = person(f"operator-{number}")
        Grant.objects.create(machine=machine, user=each, role=GrantRole.OPERATOR)
        seats.append(sit_down(client_of(each), machine, "view"))
    for _ in range(5):
        barrier = Barrier(len(seats))
        with ThreadPoolExecutor(len(seats)) as pool:
            codes = list(pool.map(lambda seat, barrier=barrier: _take(seat, barrier), seats))
        holding = [seat for seat in seats if seat.mode == "control"]
        assert len(holding) == 1
        assert sorted(codes) == [200] + [409] * (len(seats) - 1)
        in_redis = [seat for seat in seats if redis.get(redis_names.lease_key(seat.session)) == "control"]
        assert in_redis == holding
        holding[0].act("give_back")


def _take(seat: Seat, barrier: Barrier) -> int:
    barrier.wait()
    try:
        return seat.act("take").status_code
    finally:
        connection.close()


def test_of_many_who_open_a_console_at_once_one_types(client_of: ClientOf, machine: Machine) -> None:
    clients = []
    for number in range(6):
        each = person(f"operator-{number}")
        Grant.objects.create(machine=machine, user=each, role=GrantRole.OPERATOR)
        clients.append(client_of(each))
    barrier = Barrier(len(clients))

    def opens(client) -> str:
        barrier.wait()
        try:
            return ask(client, machine).json()["mode"]
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clients)) as pool:
        modes = list(pool.map(opens, clients))
    assert sorted(modes) == ["control"] + ["view"] * (len(clients) - 1)


def test_the_proxy_lets_keys_through_exactly_while_control_is_held(
    client_of: ClientOf, owner: User, viewer: User, machine: Machine, proxy: Proxy, display: TcpDisplay, redis: Redis
) -> None:
    """Real sockets at a real proxy; the display says what reaches it."""
    eventually(lambda: redis.pubsub_numsub(redis_names.TELL_CHANNEL)[0][1])
    guests = [_connect(client_of(one), machine, mode, proxy) for one, mode in ((owner, "control"), (viewer, "view"))]
    (owners, owner_socket), (viewers, viewer_socket) = guests
    with owner_socket, viewer_socket:
        peers = [display.peer(), display.peer()]
        for socket, peer in zip((owner_socket, viewer_socket), peers, strict=True):
            _greet(socket, peer)
        assert _reaches(owner_socket, peers[0])
        assert not _reaches(viewer_socket, peers[1])
        owners.act("grant", viewers)
        eventually(lambda: _reaches(viewer_socket, peers[1]), within=1)
        assert not _reaches(owner_socket, peers[0])
        owners.act("take")
        eventually(lambda: not _reaches(viewer_socket, peers[1]), within=1)
        eventually(lambda: _reaches(owner_socket, peers[0]), within=1)


KEY = key(ord("a"))


def _connect(client, machine: Machine, mode: str, proxy: Proxy):
    answer = ask(client, machine, mode=mode).json()
    issued = Issued(answer["tickets"][0], answer["session"], f"sessionid={client.session.session_key}")
    socket = open_console(proxy.url, issued)
    ConsoleSession.objects.filter(pk=answer["session"]).update(opened_at=timezone.now())
    return Seat(client, answer["session"]), socket


def _greet(socket, peer) -> None:
    """Get both ends through the RFB handshake."""
    socket.send(HELLO + SHARED)
    peer.recv(4096)
    peer.settimeout(0.15)


def _reaches(socket, peer) -> bool:
    socket.send(KEY)
    try:
        return KEY in peer.recv(4096)
    except TimeoutError:
        return False
