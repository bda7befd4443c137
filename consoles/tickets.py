"""Tickets for consoles: what the portal writes for the proxy to redeem."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import RedisError

from consoles import admission, leases
from consoles.models import Client, ConsoleSession, Mode, Protocol
from consoles.policies import is_recorded
from consoles.proxy import modes, redis_names, spice, viewer_tickets
from hypervisor.states import ACTIVE_STATES, State
from machines.access import Person, is_visitor
from machines.models import Machine
from machines.redis_client import redis_client
from machines.refusals import refuse_in_maintenance
from machines.refused import Refused
from machines.state_words import STATE_WORDS
from people.logins import login_digest


class Tickets(TypedDict):
    """What a client needs to connect: `url` with the subprotocols `binary` and `ticket.<one of the tickets>`."""

    url: str
    tickets: list[str]
    channels: dict[str, str]
    """SPICE only: which ticket opens which channel."""
    expires_at: datetime
    session: uuid.UUID
    protocol: str
    mode: str
    """What the session may do now: only look while somebody else has control."""
    recorded: bool


def issue(
    machine: Machine,
    *,
    by: Person,
    login: str,
    protocol: Protocol,
    mode: Mode,
    address: str | None,
    client: Client | None = None,
    take_over: bool = False,
    microphone: bool = False,
) -> Tickets:
    """Make a console session and the single-use tickets that open it within 30 s: one, and for SPICE one a channel.

    The caller has checked that this person has `mode.right` over the machine. Who wants control while somebody else has
    it may look on.

    Args:
        machine: with its host.
        by: who asks.
        login: what the console lives on (`people.logins.login_of`).
        protocol: what the client speaks.
        mode: what it may do.
        address: where the request came from, for the audit.
        client: what it is, if not the page of a browser's login or the script of an API token.
        take_over: whether to throw out another program that holds the serial console; only in control mode.
        microphone: whether the guest may listen through it (virt-viewer with SPICE).

    Raises:
        Refused: there is nothing to look at now, or too many look already, or a maintenance closes consoles.
        RedisError: tickets cannot be kept now.
    """
    refuse_in_maintenance(by)
    check_display(machine, protocol)
    if protocol is Protocol.SPICE and is_visitor(by, machine):
        sentence = _("This screen shows itself to one person at a time: look at the stream of its pictures.")
        raise Refused("not_for_visitors", sentence)
    session = ConsoleSession(
        machine=machine,
        user_id=by.pk,
        protocol=protocol,
        client=client or (Client.SCRIPT if login.startswith("token:") else Client.PAGE),
        mode=mode,
        wanted_mode=mode,
        recorded=is_recorded(machine, by, protocol),
        login=login,
        address=address,
    )
    within = leases.open_within(session.client)
    leases.vouch_for(session.pk, open_within=within)  # first, or the auditor would call it unused
    admission.admit(session)
    channels = _write(session, take_over=take_over and session.mode == Mode.CONTROL, microphone=microphone)
    return {
        "url": url_of(machine, protocol),
        "tickets": list(channels.values()),
        "channels": {channel: ticket for channel, ticket in channels.items() if channel},
        "expires_at": timezone.now() + timedelta(seconds=leases.open_within(session.client)),
        "session": session.pk,
        "protocol": session.protocol,
        "mode": session.mode,
        "recorded": session.recorded,
    }


def has_picture(machine: Machine) -> bool:
    """Return whether the machine's QEMU process is there to show its display (a panicked guest's is)."""
    panicked = machine.state == State.CRASHED and machine.state_reason == "panicked"
    return machine.state in ACTIVE_STATES or panicked


def url_of(machine: Machine, protocol: Protocol) -> str:
    """Return where to connect. A serial console has an address of its own: only one proxy can hold it at a time."""
    if protocol is not Protocol.SERIAL:
        return str(settings.CONSOLE_PUBLIC_URL)
    return f"{settings.CONSOLE_PUBLIC_URL.rstrip('/')}/serial/{machine.uuid}"


def _write(session: ConsoleSession, **wishes: bool) -> dict[str, str]:
    """Keep what a session's tickets stand for; return them by channel ("" where there are none).

    Args:
        session: whose.
        wishes: what its claim says more, where it is wished.

    Raises:
        RedisError: they cannot be kept now; the session is gone then.
    """
    tickets, claim = _new_tickets(session), _claim(session) | {wish: True for wish, said in wishes.items() if said}
    try:
        leases.write_modes([session.pk])
        with redis_client().pipeline() as pipe:
            for channel, ticket in tickets.items():
                kept = json.dumps(claim | {"channel": channel or None})
                pipe.set(redis_names.ticket_key(ticket), kept, ex=leases.open_within(session.client))
            pipe.execute()
    except RedisError:
        session.delete()
        raise
    return tickets


def _new_tickets(session: ConsoleSession) -> dict[str, str]:
    """Return a ticket for each channel; a native viewer has one for all it does."""
    if session.client == Client.VIEWER:
        return {"": viewer_tickets.ticket_of(secrets.token_urlsafe(32))}
    channels = spice.CHANNELS[modes.Mode(session.mode)] if session.protocol == Protocol.SPICE else ("",)
    return {channel: secrets.token_urlsafe(32) for channel in channels}


def _claim(session: ConsoleSession) -> dict[str, Any]:
    """Return what the proxy is told of a session, but for the channel."""
    claim = claim_on(
        session.machine,
        session.pk,
        user=session.user_id,
        login=session.login,
        protocol=session.protocol,
        mode=session.mode,
    )
    return claim | {
        "client": session.client,
        "record": session.recorded,
        "idle_limit": settings.CONSOLE_IDLE_LIMIT,
        "limit": settings.CONSOLE_LIMIT,
    }


def claim_on(
    machine: Machine, session: uuid.UUID, *, user: int | None, login: str, protocol: str, mode: str
) -> dict[str, Any]:
    """Return the part of a ticket's claim that no ticket is without: whose it is, and what it opens."""
    return {
        "session": str(session),
        "machine": str(machine.pk),
        "uri": machine.host.uri,
        "protocol": protocol,
        "mode": mode,
        "login": login_digest(login),
        "by_token": login.startswith("token:"),
        "user": user,
    }


def check_display(machine: Machine, protocol: Protocol) -> None:
    """Refuse what could not be opened anyway, in words.

    Raises:
        Refused: the host is away, the machine is off, or has no such display.
    """
    if not (machine.host.enabled and machine.host.reachable):
        raise Refused("host_unreachable", _("Its host does not answer. It is tried again all the time."))
    if not has_picture(machine):
        state = STATE_WORDS[State(machine.state)]
        raise Refused("state_conflict", _("The machine is %(state)s; it has no picture now.") % {"state": state})
    offered = machine.graphics if protocol is Protocol.PICTURES else protocol in machine.consoles
    if not offered:
        sentence = _("The machine has no %(protocol)s display.")
        if protocol is Protocol.PICTURES:
            sentence = _("The machine has no display.")
        if protocol is Protocol.SERIAL:
            sentence = _("The machine has no serial console.")
        raise Refused("no_display", sentence % {"protocol": protocol.label})
