"""What the audit trail is told of operations: that one was asked, and how it ended."""

from __future__ import annotations

from typing import Any

from audit import trail
from lifecycle.models import Operation
from machines.operation_table import TABLE
from machines.parameters import Choice, Flag

NAMED = frozenset({"file", "disks"})
"""Parameters that say what an operation is about. No other text is kept: keys and definitions may hold secrets."""


def asked(operation: Operation) -> None:
    """Write that an operation was asked, by whom."""
    trail.record(
        "operation.asked", operation.machine, who=operation.requested_by, **_what(operation), **_parameters(operation)
    )


def ended(operation: Operation) -> None:
    """Write how an operation ended. Who did that is who cancelled it; otherwise the portal."""
    by = operation.requested_by
    trail.record(
        "operation.ended",
        operation.machine,
        **_what(operation),
        status=operation.status,
        error=operation.error_code,
        asked_by=by.get_username() if by else "",
    )


def _what(operation: Operation) -> dict[str, Any]:
    return {"operation": operation.pk, "kind": operation.kind}


def _parameters(operation: Operation) -> dict[str, Any]:
    """Return the parameters of which nothing is secret: words that libvirt has, yes or no, names of files."""
    kind = TABLE.get(operation.kind)
    plain = {one.name for one in kind.parameters if isinstance(one, Choice | Flag)} if kind else set()
    given = {name: value for name, value in operation.parameters.items() if name in plain | NAMED and value}
    return {"parameters": given} if given else {}
