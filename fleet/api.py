"""API: the fleet in figures, for administrators."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from fleet.overview import overview_or_404
from lifecycle.hosts_page import HostView

router = Router(tags=["hosts"])


class FleetHostOut(Schema):
    """One host's capacity, and what its machines that are on were promised of it. Memory in bytes."""

    id: int
    name: str
    status: str
    alarming: bool
    cpus: int
    promised_vcpus: int
    memory_bytes: int
    promised_bytes: int
    free_memory_bytes: int
    machines: int


class FleetOut(Schema):
    """Hosts in trouble come first. `failed_operations` are those of the last 24 hours, `consoles` those open now."""

    hosts: list[FleetHostOut]
    machines: int
    machines_on: int
    machines_by_state: dict[str, int]
    failed_operations: int
    consoles: int


@router.get("/fleet", response=FleetOut, summary="Look at the whole fleet")
def fleet(request: HttpRequest) -> dict[str, Any]:
    """Answer capacity and use of all hosts, and how many machines, failures and open consoles there are."""
    seen = overview_or_404(request.user)
    return {
        "hosts": [_described(view) for view in seen.hosts],
        "machines": seen.machines,
        "machines_on": seen.machines_on,
        "machines_by_state": seen.machines_by_state,
        "failed_operations": seen.failed_count,
        "consoles": seen.console_count,
    }


def _described(view: HostView) -> dict[str, Any]:
    host = view.host
    return {
        "id": host.pk,
        "name": host.name,
        "status": view.connection.status,
        "alarming": view.connection.alarming,
        "cpus": host.cpus,
        "promised_vcpus": view.promised_vcpus,
        "memory_bytes": host.memory_bytes,
        "promised_bytes": view.promised_bytes,
        "free_memory_bytes": host.free_memory_bytes,
        "machines": view.machines,
    }
