"""Tickets for consoles: what the portal writes for the proxy to redeem."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import datetime, timedelta
from typing import TypedDict

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from consoles.models import ConsoleSession, Mode, Protocol
from consoles.proxy import redis_names
from hypervisor.states import ACTIVE_STATES, State
from machines.access import Person
from machines.models import Machine
from machines.redis_client import redis_client
from machines.refused import Refused
from machines.state_words import STATE_WORDS
from people.logins import login_digest


class Tickets(TypedDict):
    """What a client needs to connect: `url` with the subprotocols `binary` and `ticket.<one of the tickets>`."""

    url: str
    tickets: list[str]
    expires_at: datetime
    session: uuid.UUID


def issue(machine: Machine, *, by: Person, login: str, protocol: Protocol, mode: Mode, address: str | None) -> Tickets:
    """Make a console session and the single-use ticket that opens it within 30 s.

    The caller has checked that this person has `mode.right` over the machine.

    Args:
        machine: with its host.
        by: who asks.
        login: what the console lives on (`people.logins.login_of`).
        protocol: what the client speaks.
        mode: what it may do.
        address: where the request came from, for the audit.

    Raises:
        Refused: there is nothing to look at now.
        RedisError: tickets cannot be kept now.
    """
    _check_display(machine, protocol)
    session, ticket = uuid.uuid4(), secrets.token_urlsafe(32)
    claim = {
        "session": str(session),
        "machine": str(machine.uuid),
        "uri": machine.host.uri,
        "protocol": protocol,
        "mode": mode,
        "login": login_digest(login),
        "by_token": login.startswith("token:"),
        "user": by.pk,
    }
    with redis_client().pipeline() as pipe:
        pipe.set(redis_names.lease_key(str(session)), "1", ex=redis_names.LEASE_SECONDS)
        pipe.set(redis_names.ticket_key(ticket), json.dumps(claim), ex=redis_names.TICKET_SECONDS)
        pipe.execute()
    ConsoleSession.objects.create(
        id=session, machine=machine, user_id=by.pk, protocol=protocol, mode=mode, login=login, address=address
    )
    return {
        "url": settings.CONSOLE_PUBLIC_URL,
        "tickets": [ticket],
        "expires_at": timezone.now() + timedelta(seconds=redis_names.TICKET_SECONDS),
        "session": session,
    }


def has_picture(machine: Machine) -> bool:
    """Return whether the machine's QEMU process is there to show its display (a panicked guest's is)."""
    panicked = machine.state == State.CRASHED and machine.state_reason == "panicked"
    return machine.state in ACTIVE_STATES or panicked


def _check_display(machine: Machine, protocol: Protocol) -> None:
    """Refuse what the proxy could not open anyway, in words."""
    if not (machine.host.enabled and machine.host.reachable):
        raise Refused("host_unreachable", _("Its host does not answer. It is tried again all the time."))
    if not has_picture(machine):
        state = STATE_WORDS[State(machine.state)]
        raise Refused("state_conflict", _("The machine is %(state)s; it has no picture now.") % {"state": state})
    if protocol not in machine.graphics:
        raise Refused("no_display", _("The machine has no %(protocol)s display.") % {"protocol": protocol.label})
