"""A socket looks at its login and its rights by itself, in case a message about them was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session

from machines import consumers
from machines.models import Grant, Machine
from machines.routing import websocket_urlpatterns
from tests.machines.sockets import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

Then = Callable[[WebsocketCommunicator], Awaitable[Any]]


@pytest.fixture
def watching(monkeypatch, viewer, machine) -> Callable[[Then], Any]:
    """A function that opens a socket of `viewer`, who watches `machine`, and awaits what the test does then."""
    monkeypatch.setattr(consumers, "CHECK_EVERY", 0.1)
    session = sign_in(viewer)

    async def run(then: Then) -> Any:
        headers = [
            (b"cookie", f"sessionid={session}".encode()),
            (b"origin", b"http://testserver"),
            (b"host", b"testserver"),
        ]
        application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        socket = WebsocketCommunicator(application, "/ws/updates/", headers)
        assert (await socket.connect(timeout=5))[0]
        await socket.send_json_to({"type": "watch", "machines": [str(machine.uuid)]})
        while (await socket.receive_json_from(5))["type"] != "rights":
            pass
        found = await then(socket)
        await socket.disconnect()
        return found

    return lambda then: asyncio.run(run(then))


def test_a_session_that_is_gone_is_noticed(watching):
    async def then(socket: WebsocketCommunicator) -> Any:
        await sync_to_async(lambda: Session.objects.all()._raw_delete("default"))()
        while (message := await socket.receive_output(5))["type"] != "websocket.close":
            pass
        return message["code"]

    assert watching(then) == 4401


def test_a_right_that_is_gone_is_noticed(watching, machine: Machine):
    async def then(socket: WebsocketCommunicator) -> Any:
        await sync_to_async(lambda: Grant.objects.all()._raw_delete("default"))()
        while (message := await socket.receive_json_from(5))["type"] != "rights":
            pass
        return message["rights"]

    assert watching(then) == {str(machine.uuid): ""}


def test_a_login_that_stands_is_left_alone(watching):
    async def then(socket: WebsocketCommunicator) -> Any:
        await asyncio.sleep(0.5)
        return await socket.receive_nothing(0.3) or (await socket.receive_output())["type"]

    assert watching(then) in (True, "websocket.send")
