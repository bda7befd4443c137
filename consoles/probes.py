"""Tickets by which the console doctor has a display looked at: no console, no audit row, nothing that others see."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import datetime, timedelta
from typing import TypedDict

from django.utils import timezone
from django.utils.translation import gettext as _

from consoles import leases, tickets
from consoles.models import Mode, Protocol
from consoles.proxy import redis_names
from machines.access import Person
from machines.models import Machine
from machines.redis_client import redis_client
from machines.refused import Refused

AGAIN_SECONDS = 2
"""How long after a look one may have the same machine looked at again: each opens its display on the host."""


class Probe(TypedDict):
    """Connect to `url` with the subprotocols `binary` and `ticket.<ticket>`: a byte comes, or a close code."""

    url: str
    ticket: str
    expires_at: datetime


def issue(machine: Machine, *, by: Person, login: str, protocol: Protocol) -> Probe:
    """Make the ticket. The caller has checked that this person may look at the machine's screen.

    Raises:
        Refused: there is nothing to look at, or it was looked at a moment ago.
        RedisError: the ticket cannot be kept now.
    """
    tickets.check_display(machine, protocol)
    _check_pace(machine, by)
    session, ticket = uuid.uuid4(), secrets.token_urlsafe(32)
    claim = tickets.claim_on(machine, session, user=by.pk, login=login, protocol=protocol, mode=Mode.VIEW)
    leases.vouch_for(session)
    kept = json.dumps(claim | {"client": "page", "probe": True})
    redis_client().set(redis_names.ticket_key(ticket), kept, ex=redis_names.TICKET_SECONDS)
    expires_at = timezone.now() + timedelta(seconds=redis_names.TICKET_SECONDS)
    return {"url": tickets.url_of(machine, protocol), "ticket": ticket, "expires_at": expires_at}


def _check_pace(machine: Machine, person: Person) -> None:
    key = f"console:probe:{machine.uuid}:{person.pk}"
    if not redis_client().set(key, "1", nx=True, ex=AGAIN_SECONDS):
        sentence = _("This machine's display was looked at a moment ago. Try again in %(seconds)d s.")
        raise Refused(
            "asked_too_soon",
            sentence % {"seconds": AGAIN_SECONDS},
            status=429,
            details={"retry_after": AGAIN_SECONDS},
        )
