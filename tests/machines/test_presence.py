"""Who is at a machine's consoles, as a real web process tells sockets when proxies report it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from consoles import presence, sessions
from consoles.models import ConsoleEvent, ConsoleSession
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from demo.servers import RedisServer
from machines.models import Machine
from machines.redis_client import redis_client
from tests.machines.conftest import until
from tests.machines.sockets import Socket, Web, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

Report = Callable[..., None]


@pytest.fixture
def report(redis_server: RedisServer) -> Report:
    """A function that reports as a proxy does."""

    def report(row: ConsoleSession, event: str, **fields: str | float) -> None:
        content = {"session": str(row.pk), "event": event, "at": time.time(), "to_client": 0, "from_client": 0}
        redis_client().xadd(redis_names.EVENTS_STREAM, content | {"reason": ""} | fields)

    return report


def console(user: User, machine: Machine, mode: str = "control", **fields: object) -> ConsoleSession:
    """A session that has its tickets; `opened_at` makes it an open one."""
    login = f"session:{sign_in(user)}"
    row = ConsoleSession.objects.create(user=user, machine=machine, protocol="vnc", mode=mode, login=login, **fields)
    redis_client().set(redis_names.lease_key(str(row.pk)), mode, ex=60)
    redis_client().set(redis_names.pulse_key(str(row.pk)), "1", ex=60)
    return row


def people_of(message: dict) -> list[tuple[str, str]]:
    return [(one["user"], one["mode"]) for one in message["sessions"]]


def answers(socket: Socket) -> list[dict]:
    """What was sent up to now: the answer to nonsense comes last."""
    socket.say({"type": "nonsense"})
    return socket.take_until("error", 20)


def next_consoles(socket: Socket) -> dict:
    return socket.take_until("consoles", 20)[-1]


def test_who_is_there_comes_with_the_machine(open_socket, owner, viewer, machine, make_machine) -> None:
    empty = make_machine("empty", owner=viewer)
    console(owner, machine, opened_at=timezone.now())
    console(owner, machine)  # asked for only
    messages = open_socket(viewer).watch(machine, empty)
    (message,) = [message for message in messages if message["type"] == "consoles"]
    assert message["machine"] == str(machine.uuid)
    assert people_of(message) == [("owner", "control")]


def test_coming_and_leaving_is_told_at_once(web: Web, open_socket, owner, viewer, machine, report: Report) -> None:
    socket = open_socket(viewer)
    socket.watch(machine)
    took: list[float] = []
    before: list[tuple[str, str]] = []
    for _ in range(4):
        row = console(owner, machine)
        for event, people in (("opened", [("owner", "control")]), ("closed", [])):
            started = time.monotonic()
            report(row, event, reason="left")
            try:
                while (told := people_of(next_consoles(socket))) != people:
                    assert told == before, "what was told before may be told again, and nothing else"
            except TimeoutError:
                readers = redis_client().xinfo_consumers(redis_names.EVENTS_STREAM, redis_names.AUDIT_GROUP)
                pytest.fail(f"nobody was told that it was {event}; {readers}; the web process:\n{web.log[-4000:]}")
            took.append(time.monotonic() - started)
            before = people
    assert min(took) < 0.5, "the machine that runs the tests may be busy, but not every time"


def test_strangers_are_told_nothing(open_socket, owner, stranger, machine, report: Report) -> None:
    row = console(owner, machine, opened_at=timezone.now())
    socket = open_socket(stranger)
    socket.watch(machine)
    report(row, "closed", reason="left")
    socket.say({"type": "versions", "consoles": {str(machine.uuid): "x"}})
    until(lambda: ConsoleSession.objects.get().ended_at)
    assert [message for message in answers(socket) if message["type"] == "consoles"] == []


def test_what_a_socket_missed_it_gets_with_its_versions(open_socket, owner, machine) -> None:
    row = console(owner, machine, opened_at=timezone.now())
    socket = open_socket(owner)
    known = next(message for message in socket.watch(machine) if message["type"] == "consoles")["version"]

    def missed(version: str | None) -> list[list[tuple[str, str]]]:
        consoles = {str(machine.uuid): version} if version else {}
        socket.say({"type": "versions", "machines": {str(machine.uuid): machine.version}, "consoles": consoles})
        return [people_of(message) for message in answers(socket) if message["type"] == "consoles"]

    assert missed(known) == []
    assert missed("older") == missed(None) == [[("owner", "control")]]
    ConsoleSession.objects.filter(pk=row.pk).update(ended_at=timezone.now())
    assert missed(known) == [[]]
    assert missed(None) == []


def test_a_warning_reaches_the_pages_of_its_user_only(open_socket, owner, viewer, machine, report: Report) -> None:
    row = console(owner, machine, opened_at=timezone.now())
    owners, viewers = open_socket(owner), open_socket(viewer)
    for socket in (owners, viewers):
        socket.watch(machine)
    report(row, "bytes")
    at = time.time()
    for _ in range(2):  # reports may come twice
        report(row, "warned", reason="idle", ends_at=1_800_000_060, at=at)
    warning = {"type": "console", "session": str(row.pk), "event": "warning", "reason": "idle"}
    assert owners.take_until("console", 20)[-1] == warning | {"ends_at": "2027-01-15T08:01:00+00:00"}
    assert [message for socket in (owners, viewers) for message in socket.rest() if message["type"] == "console"] == []
    event = ConsoleEvent.objects.get()
    assert (event.kind, event.detail["reason"], event.by) == ("warned", "idle", None)


def test_who_typed_and_left_hands_control_back_and_all_are_told(
    open_socket, owner, viewer, machine, report: Report
) -> None:
    console(owner, machine, "view", opened_at=timezone.now(), wanted_mode="control")
    borrowed = console(viewer, machine, opened_at=timezone.now(), granted_by=owner)
    socket = open_socket(viewer)
    socket.watch(machine)
    report(borrowed, "closed", reason="left")
    while people_of(message := next_consoles(socket)) != [("owner", "control")]:
        assert len(message["sessions"]) <= 2


def test_many_machines_cost_few_queries(owner, viewer, make_machine, django_assert_max_num_queries) -> None:
    machines = [make_machine(f"m{number}", owner=owner) for number in range(10)]
    for machine in machines:
        console(owner, machine, opened_at=timezone.now())
        console(viewer, machine, "view", opened_at=timezone.now())
    with django_assert_max_num_queries(6):
        found = presence.consoles_at([machine.uuid for machine in machines])
    assert [len(people) for people in found.values()] == [2] * 10


def test_ending_a_console_that_was_never_opened_is_no_news(owner, machine, pushes) -> None:
    row = console(owner, machine)
    sessions.end([row.pk], Ending.REVOKED)
    assert ConsoleSession.objects.get().ended_at
    assert [message for _, message in pushes.take() if message["type"] == "consoles"] == []
