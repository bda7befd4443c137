"""API: hosts (for administrators), and tickets for the socket of live updates (for scripts)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status

from machines import socket_tickets
from machines.access import Person, Right
from machines.models import Host, Machine
from people.logins import login_of
from people.roles import is_administrator

router = Router()


class HostOut(Schema):
    """A libvirt host, as administrators see it. Memory in bytes; `machines` counts them by state."""

    id: int
    name: str
    uri: str
    enabled: bool
    reachable: bool
    seen_at: datetime | None
    last_error: str
    hostname: str
    libvirt_version: str
    hypervisor_version: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    free_memory_bytes: int
    domain_types: list[str]
    machine_types: list[str]
    facts_at: datetime | None
    machines: dict[str, int]


class HostsOut(Schema):
    """All hosts. There are few, so they come in one answer; `next` is always null."""

    items: list[HostOut]
    next: str | None = None
    total: int


class UpdatesTicketOut(Schema):
    """Connect to `url` within 30 s with the subprotocols `updates` and `ticket.<ticket>`; it works once."""

    url: str
    ticket: str


@router.get("/hosts", response=HostsOut, summary="List the hosts", tags=["hosts"])
def hosts(request: HttpRequest) -> dict[str, Any]:
    """List hosts with their facts and the number of machines in each state; for administrators."""
    _administrators_only(request.user)
    counts = machines_by_state()
    items = [_described(host, counts.get(host.pk, {})) for host in Host.objects.all()]
    return {"items": items, "total": len(items)}


@router.post(
    "/updates-tickets", response={201: UpdatesTicketOut}, summary="Get a ticket for live updates", tags=["updates"]
)
def updates_ticket(request: HttpRequest) -> Status[dict[str, str]]:
    """Make a single-use ticket for the WebSocket of live updates, for scripts that have no session cookie."""
    ticket = socket_tickets.issue(cast(User, request.user), login_of(request))
    return Status(201, {"url": updates_url(), "ticket": ticket})


def machines_by_state() -> dict[int, dict[str, int]]:
    """Count the machines of every host by state, in one query."""
    counts: dict[int, dict[str, int]] = {}
    rows = Machine.objects.order_by().values_list("host_id", "state").annotate(Count("pk"))
    for host_id, state, number in rows:
        counts.setdefault(host_id, {})[state] = number
    return counts


def updates_url() -> str:
    """Return the WebSocket of live updates as scripts reach it."""
    return f"{settings.PORTAL_URL.replace('http', 'ws', 1)}/ws/updates/"


def _administrators_only(person: Person) -> None:
    if not is_administrator(person):
        raise PermissionDenied(_("This needs the right “%(needed)s”.") % {"needed": Right.ADMIN.word})


def _described(host: Host, machines: dict[str, int]) -> dict[str, Any]:
    facts = {name: getattr(host, name) for name in HostOut.model_fields if name != "machines"}
    return facts | {"machines": machines}
