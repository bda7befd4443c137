"""Asking one operation of many machines: one result for each, none passed over in silence."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.utils.translation import gettext as _

from lifecycle import operations
from lifecycle.history import visible_operations
from lifecycle.models import Bulk, Operation
from machines import listing
from machines.access import Person, visible_machines
from machines.listing import Filters
from machines.models import SHOWN_WITH, Machine
from machines.parameters import checked
from machines.refused import Refused
from people.roles import is_administrator

log = logging.getLogger(__name__)

MOST = 500
"""Machines that are asked at once."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one machine of a bulk: its operation, or else why there is none."""

    machine: str
    name: str
    operation: Operation | None
    code: str = ""
    sentence: str = ""


def ask(kind_name: str, machines: Iterable[UUID], *, by: User, parameters: dict[str, Any]) -> Bulk:
    """Ask the operation of each machine by itself; whatever is refused is kept with its reason.

    Raises:
        Refused: nothing was asked of any: the operation is unknown or badly parametrised, or there are too many.
    """
    kind = operations.kind_named(kind_name)
    checked(kind.parameters, parameters, kind.label)
    wanted = list(dict.fromkeys(machines))
    refuse_number(len(wanted))
    known = seen(by, wanted)
    bulk = Bulk.objects.create(
        kind=kind.name,
        parameters=parameters,
        requested_by=by,
        machines=[{"machine": str(uuid), "name": known[uuid].name if uuid in known else ""} for uuid in wanted],
    )
    refusals: list[dict[str, str]] = []
    try:
        for uuid in wanted:
            refusals += _ask_one(bulk, uuid, known.get(uuid), by)
    finally:
        Bulk.objects.filter(pk=bulk.pk).update(refusals=refusals)
    log.info("%s asked “%s” of %s machines, %s refused", by, kind.name, len(wanted), len(refusals))
    return bulk


def matching(person: Person, filters: Filters) -> list[UUID]:
    """Return all machines that match now, in the order of the list.

    Raises:
        Refused: they are none, or too many to be asked at once.
    """
    found = listing.matching(person, filters)
    refuse_number(found.count())
    return list(listing.in_order(person, filters).values_list("uuid", flat=True)[: MOST + 1])


def refuse_number(count: int) -> None:
    """Refuse to ask nothing, or more than can be asked at once.

    Raises:
        Refused: `no_machines` or `too_many_machines` (400); the sentence says what to do.
    """
    if not count:
        raise Refused("no_machines", _("No machine was chosen. Tick some first."), status=400)
    if count > MOST:
        sentence = _("These are %(count)s machines; at most %(most)s are asked at once. Narrow the list with filters.")
        details = {"count": count, "most": MOST}
        raise Refused("too_many_machines", sentence % details, status=400, details=details)


def seen(person: Person, machines: Sequence[UUID]) -> dict[UUID, Machine]:
    """Return those of these machines that this person may see."""
    rows = visible_machines(person).select_related(*SHOWN_WITH).defer("definition_xml", "description")
    return rows.in_bulk(machines)


def bulk_or_404(person: Person, bulk_id: int) -> Bulk:
    """Fetch a bulk operation for who asked it, or an administrator.

    Raises:
        Http404: there is none of this number, or it is somebody else's.
    """
    bulk = Bulk.objects.select_related("requested_by").filter(pk=bulk_id).first()
    if bulk is None or not (bulk.requested_by_id == person.pk or is_administrator(person)):
        raise Http404(_("There is no such bulk operation."))
    return bulk


def gone_sentence() -> str:
    """Say that a machine is not there for who asks, which is all that may be said of it."""
    return _("There is no such machine, or no longer for you.")


def results(bulk: Bulk, person: Person) -> list[Result]:
    """Return one result for each machine it was for, as this person may see it; two queries for any number."""
    asked = {str(row.machine_id): row for row in visible_operations(person).filter(bulk=bulk)}
    refused = {refusal["machine"]: refusal for refusal in bulk.refusals}
    return [_result(entry, asked.get(entry["machine"]), refused.get(entry["machine"])) for entry in bulk.machines]


def _result(entry: dict[str, str], operation: Operation | None, refusal: dict[str, str] | None) -> Result:
    machine, name = entry["machine"], entry["name"]
    if operation:
        return Result(machine, operation.machine.name, operation)
    if refusal:
        return Result(machine, name, None, refusal["code"], refusal["message"])
    sentence = _("Nothing is known of it: it was removed or taken from you since, or the portal stopped halfway.")
    return Result(machine, name, None, "not_found", sentence)


def _ask_one(bulk: Bulk, uuid: UUID, machine: Machine | None, by: User) -> list[dict[str, str]]:
    """Ask one machine; return its refusal, if it was refused."""
    try:
        if machine is None:
            raise Http404
        operations.request(machine, bulk.kind, by=by, parameters=bulk.parameters, bulk=bulk)
    except Refused as refused:
        return [_refusal(uuid, machine, refused.code, refused.sentence)]
    except Http404:
        return [_refusal(uuid, machine, "not_found", gone_sentence())]
    return []


def _refusal(uuid: UUID, machine: Machine | None, code: str, sentence: str) -> dict[str, str]:
    return {"machine": str(uuid), "name": machine.name if machine else "", "code": code, "message": sentence}
