"""What the portal tells browsers and scripts about an operation: the one shape of API answers and pushes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from django.db.models import Q

from lifecycle.models import OPEN, Operation, Status
from machines.operation_table import TABLE
from machines.socket_messages import Versions


class ErrorPayload(TypedDict):
    """Why an operation failed: a stable word for scripts, and libvirt's own words where it spoke."""

    code: str
    text: str


class BytesPayload(TypedDict):
    """How much of a job is done, in bytes; both 0 when libvirt does not say."""

    processed: int
    total: int


class OperationPayload(TypedDict):
    """An operation as the contract describes it, and what pages draw beside that. Times are ISO 8601."""

    id: int
    machine: str
    machine_name: str
    operation: str
    label: str
    doing: str
    parameters: dict[str, Any]
    status: str
    progress: int
    bytes: BytesPayload
    message: str
    error: ErrorPayload | None
    requested_by: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    waiting: bool
    deadline: str | None
    cancellable: bool
    cancel_requested: bool
    version: int


def operation_payload(operation: Operation) -> OperationPayload:
    """Return the viewer-independent description; select machine and requested_by with the row."""
    kind = TABLE.get(operation.kind)
    return {
        "id": operation.pk,
        "machine": str(operation.machine_id),
        "machine_name": operation.machine.name,
        "operation": operation.kind,
        "label": str(kind.label) if kind else operation.kind,
        "doing": str(kind.doing) if kind else operation.kind,
        "parameters": shown_parameters(operation),
        "status": operation.status,
        "progress": operation.progress,
        "bytes": {"processed": operation.processed_bytes, "total": operation.total_bytes},
        "message": operation.message,
        "error": {"code": operation.error_code, "text": operation.error_text} if operation.error_code else None,
        "requested_by": operation.requested_by.get_username() if operation.requested_by else None,
        "created_at": operation.created_at.isoformat(),
        "started_at": _iso(operation.started_at),
        "finished_at": _iso(operation.finished_at),
        "waiting": operation.waiting,
        "deadline": _iso(operation.deadline),
        "cancellable": is_cancellable(operation),
        "cancel_requested": operation.cancel_requested,
        "version": operation.version,
    }


def shown_parameters(operation: Operation) -> dict[str, Any]:
    """Return the parameters but for those that are too long to tell everybody."""
    kind = TABLE.get(operation.kind)
    hidden = {parameter.name for parameter in kind.parameters if parameter.hidden} if kind else set()
    return {name: value for name, value in operation.parameters.items() if name not in hidden}


def is_cancellable(operation: Operation) -> bool:
    """Return whether asking to cancel it makes sense now: anything queued, and what the table says of running ones."""
    if operation.status not in OPEN or operation.cancel_requested:
        return False
    kind = TABLE.get(operation.kind)
    return operation.status == Status.QUEUED or bool(kind and kind.cancellable)


def operation_messages(machines: Collection[UUID], known: Versions) -> list[dict[str, Any]]:
    """Return a message for each operation of these machines that a socket does not know as it is.

    Only of those that are open, or that it still draws (`machines.socket_reads.snapshot_sources`).
    """
    wanted = Q(status__in=OPEN) | Q(pk__in=known.operations)
    rows = Operation.objects.with_machine().filter(wanted, machine__in=machines)
    news = [row for row in rows if known.operations.get(row.pk) != row.version]
    return [{"type": "operation", "operation": operation_payload(row)} for row in news]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
