"""The one sender of pushes: what open pages, sockets and consoles of every process are told.

Each function may be called from any thread, inside or outside a transaction: it sends after the commit and never
raises into its caller. A push that is lost heals: sockets compare versions every 30 s.
"""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal
from uuid import UUID

from django.db import transaction

from machines.models import Host, Machine
from machines.payload import host_payload, machine_payload
from machines.push_sender import Sender
from maintenance.notices import announced
from people.logins import login_digest

Changed = Literal["machines", "state"]
"""What about a list changed: which machines are in it, or only something it may be filtered or sorted by."""

EVERYTHING = "everything"
"""The group of people who see every machine."""
HOSTS = "hosts"
"""The group of people who see the hosts themselves."""
EVERYBODY = "everybody"
"""The group of all who are signed in."""

ALARMING = frozenset({"failed", "interrupted"})
"""Ends of operations that administrators are told of."""

_making = threading.Lock()


def machine_group(uuid: UUID | str) -> str:
    """Return the group of sockets that watch a machine."""
    return f"machine.{uuid}"


def host_group(host_id: int) -> str:
    """Return the group of sockets that watch a machine of this host."""
    return f"host.{host_id}"


def user_group(user_id: int) -> str:
    """Return the group of a user's sockets."""
    return f"user.{user_id}"


def login_group(login: str) -> str:
    """Return the group of the sockets that live on a login (`people.logins.login_of`)."""
    return f"login.{login_digest(login)}"


def encoded(message: Mapping[str, Any]) -> str:
    """Encode a socket message as it is sent to browsers."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def machine(machine: Machine) -> None:
    """Send a machine's present payload to those who watch it."""
    text = encoded({"type": "machine", "machine": machine_payload(machine)})
    _after_commit(machine_group(machine.uuid), {"type": "push.text", "text": text})


def operation(machine_uuid: UUID, payload: dict[str, Any]) -> None:
    """Send an operation's payload to those who watch its machine."""
    text = encoded({"type": "operation", "operation": payload})
    _after_commit(machine_group(machine_uuid), {"type": "push.text", "text": text})
    if payload.get("status") in ALARMING:
        fleet()


def consoles(machine_uuid: UUID, message: Mapping[str, Any]) -> None:
    """Send who is at a machine's consoles to those who watch it."""
    _after_commit(machine_group(machine_uuid), {"type": "push.text", "text": encoded(message)})
    fleet()


def console(user_id: int, event: dict[str, str]) -> None:
    """Tell a user's pages what happened to a console of theirs: its `session`, the `event`, and more about that."""
    text = encoded({"type": "console"} | event)
    _after_commit(user_group(user_id), {"type": "push.text", "text": text})


def access(machine_uuid: UUID) -> None:
    """Tell those who watch a machine that something about who has access to it changed; its owners look again."""
    text = encoded({"type": "access", "machine": str(machine_uuid)})
    _after_commit(machine_group(machine_uuid), {"type": "push.text", "text": text})


def notices(user_ids: Iterable[int]) -> None:
    """Tell these users' pages to look at their notices again: one came, or was read on another page."""
    text = encoded({"type": "notices"})
    for user_id in user_ids:
        _after_commit(user_group(user_id), {"type": "push.text", "text": text})


def ask(user_ids: Iterable[int], payload: Mapping[str, Any]) -> None:
    """Tell these users' pages of an ask for a right: that it was made, or what became of it."""
    text = encoded({"type": "ask", "ask": payload})
    for user_id in user_ids:
        _after_commit(user_group(user_id), {"type": "push.text", "text": text})


def requests(user_ids: Iterable[int]) -> None:
    """Tell these users' pages that a request for a machine was made or answered; who may see it looks again."""
    text = encoded({"type": "requests"})
    for user_id in user_ids:
        _after_commit(user_group(user_id), {"type": "push.text", "text": text})


def assist(machine_uuid: UUID, user_ids: Iterable[int], message: Mapping[str, Any]) -> None:
    """Tell that help with a machine began or moved: who watches it, whom it concerns, and those who see everything."""
    text = encoded({"type": "assist", **message})
    for group in (machine_group(machine_uuid), EVERYTHING, *map(user_group, user_ids)):
        _after_commit(group, {"type": "push.text", "text": text})


def chat(user_ids: Iterable[int], message: Mapping[str, Any]) -> None:
    """Send what was written in a chat to those who take part in it."""
    text = encoded({"type": "chat", **message})
    for user_id in user_ids:
        _after_commit(user_group(user_id), {"type": "push.text", "text": text})


def picture(machine_uuid: UUID, size: str, version: int) -> None:
    """Tell those who watch a machine that there is a new picture of its screen; who may see it, fetches it."""
    text = encoded({"type": "picture", "machine": str(machine_uuid), "size": size, "version": version})
    _after_commit(machine_group(machine_uuid), {"type": "push.text", "text": text})


def host(host: Host) -> None:
    """Send a host's present payload to those who watch a machine on it, and to those who see hosts."""
    text = encoded({"type": "host", "host": host_payload(host)})
    for group in (host_group(host.pk), HOSTS):
        _after_commit(group, {"type": "push.text", "text": text})


def maintenance() -> None:
    """Send everybody what is announced."""

    def send() -> None:
        text = encoded({"type": "maintenance"} | announced())
        _sender().send(EVERYBODY, {"type": "push.text", "text": text})

    transaction.on_commit(send, robust=True)


def fleet() -> None:
    """Tell administrators that something changed of what they see together: a console, an operation that failed."""
    _after_commit(HOSTS, {"type": "push.text", "text": encoded({"type": "fleet"})})


def listing(user_ids: Iterable[int], everything: bool, changed: Changed = "machines") -> None:
    """Tell these users, and those who see every machine, that their lists changed. At most once a second each."""
    groups = [user_group(user_id) for user_id in user_ids] + ([EVERYTHING] if everything else [])
    transaction.on_commit(lambda: _sender().listing(groups, changed))


def rights(user_ids: Iterable[int]) -> None:
    """Tell these users' sockets to look at their rights again."""
    for user_id in user_ids:
        _after_commit(user_group(user_id), {"type": "rights.changed"})


def login_ended(login: str) -> None:
    """Close the sockets that live on this login."""
    _after_commit(login_group(login), {"type": "login.ended"})


def check_login(user_id: int) -> None:
    """Have this user's sockets look whether their login still stands; for changed passwords."""
    _after_commit(user_group(user_id), {"type": "login.check"})


def user_disabled(user_id: int) -> None:
    """Close all sockets of this user."""
    _after_commit(user_group(user_id), {"type": "login.ended"})


def _after_commit(group: str, message: dict[str, Any]) -> None:
    transaction.on_commit(lambda: _sender().send(group, message))


def _sender() -> Sender:
    with _making:  # `cache` alone lets two threads that come first make two
        return _only_sender()


@cache
def _only_sender() -> Sender:
    """Make the process's sender; a process that ends sends first what it has queued."""
    sender = Sender()
    atexit.register(sender.close)
    return sender
