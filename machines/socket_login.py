"""Who opens a socket of live updates: a browser by its login session, or a script by a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from machines import socket_tickets
from people.logins import is_alive

SUBPROTOCOL = "updates"
TICKET_PREFIX = "ticket."


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person at a socket, and the login (`people.logins.login_of`) that the socket lives on."""

    user_id: int
    login: str


def visitor_of(scope: dict[str, Any]) -> Visitor | None:
    """Return who opens this socket, None for nobody: anonymous, a wrong Origin, a used ticket, an ended login.

    A browser sends its cookie to the portal from any page of any site, so a session needs an allowed Origin. A ticket
    proves by itself that its bearer means the portal, so Origin may be missing, but not be another site's.
    """
    ticket = _ticket(scope)
    visitor = _by_ticket(ticket) if ticket else _by_session(scope)
    if visitor is None or not _origin_allowed(scope, may_be_missing=bool(ticket)):
        return None
    return visitor if is_alive(visitor.login, visitor.user_id) else None


def _by_ticket(ticket: str) -> Visitor | None:
    redeemed = socket_tickets.redeem(ticket)
    return Visitor(*redeemed) if redeemed else None


def _by_session(scope: dict[str, Any]) -> Visitor | None:
    user = scope["user"]
    return Visitor(user.pk, f"session:{scope['session'].session_key}") if user.is_authenticated else None


def _ticket(scope: dict[str, Any]) -> str | None:
    offered = cast("list[str]", scope["subprotocols"])
    tickets = [word.removeprefix(TICKET_PREFIX) for word in offered if word.startswith(TICKET_PREFIX)]
    return tickets[0] if tickets else None


def _origin_allowed(scope: dict[str, Any], *, may_be_missing: bool) -> bool:
    """Accept what Django's CSRF check accepts: the host this request was sent to, or a trusted origin."""
    origin = _header(scope, b"origin")
    if not origin:
        return may_be_missing
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = _header(scope, b"host")
    allowed = validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    return allowed and urlsplit(origin).netloc.lower() == host.lower()


def _header(scope: dict[str, Any], name: bytes) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(name, b"").decode("latin-1")
