"""Redeeming a ticket: everything that is checked before a WebSocket is accepted."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.message import Message
from uuid import UUID

from redis import Redis

from consoles.proxy import redis_names
from consoles.proxy.modes import Mode

logger = logging.getLogger(__name__)

SESSION_COOKIE = "sessionid"
"""Django's default, which the portal keeps."""
_TICKET = re.compile(r"ticket\.([A-Za-z0-9_-]{32,128})")


class Denied(Exception):
    """A connection is refused. Its client learns no more than that: not whether the ticket ever existed."""

    code = "ticket_refused"
    message = "This ticket opens no console: ask the portal for a new one and use it once, soon, by the same login."


class OriginDenied(Denied):
    """It comes from a page of another site, which says nothing about its ticket: nobody looked at that."""

    code = "origin_refused"
    message = "Open the console from the portal's own pages, at the address in its setting PORTAL_URL."


@dataclass(frozen=True, slots=True)
class Claim:
    """What a ticket stands for: one session at one machine's display, on one login."""

    session: str
    machine: UUID
    uri: str
    protocol: str
    mode: Mode
    login: str
    """SHA-256 of `session:<session key>` or of `token:<id>`."""
    by_token: bool
    channel: str | None = None
    """The one SPICE channel that it opens; None for other protocols."""
    client: str = "page"
    """page, viewer or script: `consoles.models.Client`."""
    microphone: bool = False
    """Whether the guest may listen: a SPICE viewer's channel `record`."""
    record: bool = False
    idle_limit: int = 0
    """Seconds without anything done by its person after which the session ends; 0: never."""
    limit: int = 0
    """Seconds after which the session ends in any case; 0: never."""
    take_over: bool = False
    """Whether to throw out another program that holds the serial console."""
    probe: bool = False
    """Whether it opens nothing and only looks whether the display answers."""

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Read the JSON that the portal wrote."""
        claim = json.loads(text)
        return cls(
            session=claim["session"],
            machine=UUID(claim["machine"]),
            uri=claim["uri"],
            protocol=claim["protocol"],
            mode=Mode(claim["mode"]),
            login=claim["login"],
            by_token=claim["by_token"],
            channel=claim.get("channel"),
            client=claim.get("client", "page"),
            microphone=bool(claim.get("microphone")),
            record=bool(claim.get("record")),
            idle_limit=int(claim.get("idle_limit") or 0),
            limit=int(claim.get("limit") or 0),
            take_over=bool(claim.get("take_over")),
            probe=bool(claim.get("probe")),
        )


def ticket_of(headers: Message) -> str:
    """Return the ticket among the subprotocols that the client offers.

    Raises:
        Denied: it offers none, several, or not `binary` too.
    """
    offered = [word.strip() for line in headers.get_all("Sec-WebSocket-Protocol", []) for word in line.split(",")]
    tickets = [match[1] for word in offered if (match := _TICKET.fullmatch(word))]
    if "binary" not in offered or len(tickets) != 1:
        raise Denied
    return tickets[0]


def claim_of(redis: Redis, ticket: str, headers: Message, origins: Collection[str]) -> Claim:
    """Return what a ticket stands for, when this client may use it. The ticket is not used up yet.

    Raises:
        OriginDenied: wrong Origin (Redis is not asked then).
        Denied: no such ticket, or another login's.
        RedisError: Redis did not answer.
    """
    origin = headers.get_all("Origin", [])
    if origin and (len(origin) > 1 or origin[0].rstrip("/").lower() not in origins):
        raise OriginDenied
    kept = redis.get(redis_names.ticket_key(ticket))
    if not isinstance(kept, str):
        raise Denied
    try:
        claim = Claim.parse(kept)
    except (KeyError, TypeError, ValueError):
        logger.warning("what is kept for a console ticket was not understood")
        raise Denied from None
    if not claim.by_token and not (origin and hmac.compare_digest(_login_of(headers), claim.login)):
        raise Denied
    return claim


def take(redis: Redis, ticket: str, claim: Claim) -> str:
    """Use the ticket up and begin to serve its session; of several who try at once one wins. Return the lease.

    Raises:
        Denied: someone else was first, or the portal no longer vouches for the session.
        RedisError: Redis did not answer.
    """
    with redis.pipeline(transaction=False) as pipe:  # the lease is read after the ticket was taken, which is enough
        pipe.getdel(redis_names.ticket_key(ticket))
        pipe.get(redis_names.lease_key(claim.session))
        pipe.set(redis_names.pulse_key(claim.session), "1", ex=redis_names.PULSE_SECONDS)
        ticket_was_there, lease, _ = pipe.execute()
    if not (ticket_was_there and lease):
        raise Denied
    return str(lease)


def _login_of(headers: Message) -> str:
    """Return the digest of the login session that the client's cookie names; the last one, as Django reads it."""
    key = ""
    for line in headers.get_all("Cookie", []):
        for cookie in line.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == SESSION_COOKIE:
                key = value.strip()
    return hashlib.sha256(f"session:{key}".encode()).hexdigest()
