"""What each of the cast is sent on the socket of live updates: every message that may be said, every push there is.

The rules stand here, by hand; the messages and the pushes come from the code, so that a new one without a rule fails.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from machines import push, socket_messages
from machines.models import Machine
from machines.routing import websocket_urlpatterns
from tests.kvmportal.permission_rules import NOBODY, RIGHTS, Who
from tests.machines.sockets import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = {Who.SEE: "helpdesk", Who.VIEW: "viewer", Who.OPERATE: "operator", Who.OWN: "owner", Who.ADMIN: "admin"}
SEES_ALL = frozenset({"helpdesk", "visiting helper", "admin"})
WATCHERS = frozenset(role for role, right in RIGHTS.items() if right >= Who.SEE)
EVERYONE = frozenset(RIGHTS)
THE_OWNER = frozenset({"owner"})

PUSHES: Mapping[str, tuple[frozenset[str], Callable[[Machine, User], None]]] = {
    "machine": (WATCHERS, lambda machine, _: push.machine(machine)),
    "operation": (WATCHERS, lambda machine, _: push.operation(machine.uuid, {"status": "running"})),
    "consoles": (WATCHERS, lambda machine, _: push.consoles(machine.uuid, {"type": "consoles"})),
    "access": (WATCHERS, lambda machine, _: push.access(machine.uuid)),
    "picture": (WATCHERS, lambda machine, _: push.picture(machine.uuid, "small", 1)),
    "host": (WATCHERS, lambda machine, _: push.host(machine.host)),
    "assist": (WATCHERS | SEES_ALL, lambda machine, owner: push.assist(machine.uuid, [owner.pk], {})),
    "console": (THE_OWNER, lambda _, owner: push.console(owner.pk, {"session": "1", "event": "lent"})),
    "notices": (THE_OWNER, lambda _, owner: push.notices([owner.pk])),
    "requests": (THE_OWNER, lambda _, owner: push.requests([owner.pk])),
    "ask": (THE_OWNER, lambda _, owner: push.ask([owner.pk], {})),
    "chat": (THE_OWNER, lambda _, owner: push.chat([owner.pk], {})),
    "listing": (THE_OWNER | SEES_ALL, lambda _, owner: push.listing([owner.pk], everything=True)),
    "fleet": (frozenset({"admin"}), lambda _machine, _owner: push.fleet()),
    "maintenance": (EVERYONE, lambda _machine, _owner: push.maintenance()),
}
"""Who is sent a push, when all watch the machine: those who may, and whom it concerns."""
COMMANDS = {"rights", "login_ended", "check_login", "user_disabled"}
"""Pushes that sockets obey and pass on to nobody (tests/machines/test_consumers.py)."""


class Line:
    """One socket, in this process."""

    def __init__(self, session: str) -> None:
        headers = [(b"cookie", f"sessionid={session}".encode())] if session else []
        headers += [(b"origin", b"http://testserver"), (b"host", b"testserver")]
        application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        self._socket = WebsocketCommunicator(application, "/ws/updates/", headers)

    async def open(self) -> bool:
        return (await self._socket.connect(timeout=10))[0]

    async def say(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a message; return all that comes, up to the answer to a ping that follows it."""
        await self._socket.send_json_to(message)
        return await self.heard()

    async def heard(self) -> list[dict[str, Any]]:
        """Return all that has come."""
        await self._socket.send_json_to({"type": "ping", "number": 7})
        messages = []
        while (message := await self._socket.receive_json_from(10)) != {"type": "pong", "number": 7}:
            messages.append(message)
        return messages

    async def heard_until(self, kind: str) -> None:
        """Wait for a message."""
        while (await self._socket.receive_json_from(10))["type"] != kind:
            pass

    async def close(self) -> None:
        await self._socket.disconnect()


def of_machine(messages: list[dict[str, Any]], machine: Machine) -> list[dict[str, Any]]:
    """Return those that say more of a machine than that the asker may not know of it."""
    nothing = [{"type": "rights", "rights": rights} for rights in ({}, {str(machine.uuid): ""})]
    telling = [one for one in messages if one["type"] not in {"error", "maintenance"} and one not in nothing]
    return [one for one in telling if str(machine.uuid) in json.dumps(one) or one["type"] == "host"]


def session_of(people: dict[str, User], role: str) -> str:
    """Return the login session of a role; for nobody's roles one of the owner that has ended, or none."""
    if role == "anonymous":
        return ""
    session = sign_in(people[role if role in RIGHTS else "owner"])
    if role == "disabled":
        User.objects.filter(pk=people["owner"].pk).update(is_active=False)
    if role == "revoked":
        Session.objects.filter(session_key=session).delete()
    return session


def test_every_message_and_every_push_has_a_rule() -> None:
    said = {kind.__name__ for kind in get_args(socket_messages.Message)}
    assert said == {"Watch", "Versions", "Ping"}  # each is said by everybody below
    public = {
        name for name, what in vars(push).items() if inspect.isfunction(what) and what.__module__ == push.__name__
    }
    senders = {name for name in public if not name.startswith("_") and not name.endswith("_group")} - {"encoded"}
    assert senders == PUSHES.keys() | COMMANDS


@pytest.mark.parametrize("role", NOBODY)
def test_nobody_gets_a_socket(role: str, everybody: dict[str, User]) -> None:
    assert not asyncio.run(Line(session_of(everybody, role)).open())


@pytest.mark.parametrize("role", RIGHTS)
def test_each_message_is_answered_with_what_the_asker_may_know(
    role: str, everybody: dict[str, User], machine: Machine
) -> None:
    session, uuid = session_of(everybody, role), str(machine.uuid)

    async def run() -> None:
        line = Line(session)
        assert await line.open()
        asked = {"type": "versions", "machines": {uuid: 0}, "consoles": {uuid: ""}, "operations": {}}
        assert of_machine(await line.say(asked), machine) == []  # what is not watched is told to nobody
        first = await line.say({"type": "watch", "machines": [uuid]})
        again = await line.say(asked)
        await line.close()
        for answer in (first, again):
            kinds = {message["type"] for message in of_machine(answer, machine)}
            assert kinds >= {"machine", "host"} if role in WATCHERS else not kinds, (role, answer)
        rights = [message["rights"] for message in first if message["type"] == "rights"]
        assert rights == [{uuid: WORDS[RIGHTS[role]]} if role in WATCHERS else {}]
        assert [m["error"]["code"] for m in first if m["type"] == "error"] == ["not_found"] * (role not in WATCHERS)

    asyncio.run(run())


def test_each_push_reaches_those_whom_it_is_for_and_nobody_else(everybody: dict[str, User], machine: Machine) -> None:
    sessions = {role: session_of(everybody, role) for role in RIGHTS}
    machine = Machine.objects.select_related("host", "owner", "project").get()

    async def run() -> None:
        lines = {role: Line(session) for role, session in sessions.items()}
        for line in lines.values():
            assert await line.open()
            await line.say({"type": "watch", "machines": [str(machine.uuid)]})
        for name, (meant, send) in PUSHES.items():
            await sync_to_async(send)(machine, everybody["owner"])
            for role in sorted(meant):
                await lines[role].heard_until(name)
            for role, line in lines.items():
                late = [message["type"] for message in await line.heard()]
                assert role in meant or name not in late, f"{name} reached {role}"
        for line in lines.values():
            await line.close()

    asyncio.run(run())
