"""What somebody asks for, or grants instead: read from a form or script, and checked against the template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from machines.access import Person, own_projects
from machines.parameters import bad
from machines.refused import Refused
from making.models import MACHINE_NAME, NAME_FORM, SIZES, MachineRequest, MachineTemplate
from people.roles import is_administrator
from sharing.giving import keepable

MOST: dict[str, int] = {"vcpus": 4096, "memory_mib": 2**24, "disk_gib": 2**17}
"""More of each than any host has: 4,096 vCPUs, 16 TiB, 128 TiB."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A machine as it is asked for: sizes in their units, the template None where that is left to who grants it."""

    name: str
    template: MachineTemplate | None
    vcpus: int
    memory_mib: int
    disk_gib: int


def offered(person: Person, of: MachineRequest | None = None) -> QuerySet[MachineTemplate]:
    """Return the templates that this person may choose: those for everybody or a project of theirs.

    Who answers a request may also choose what it asks for.
    """
    rows = MachineTemplate.objects.select_related("host")
    asked_for = Q(pk=of.template_id) if of and of.template_id else Q(pk=None)
    chosen = Q(enabled=True, host__enabled=True)
    if not is_administrator(person):
        of_projects = MachineTemplate.projects.through.objects.all()
        mine = of_projects.filter(project__in=own_projects(person))
        theirs = ~Q(pk__in=of_projects.values("machinetemplate")) | Q(pk__in=mine.values("machinetemplate"))
        chosen &= theirs
    return rows.filter(chosen | asked_for)


def wish_of(person: Person, given: Mapping[str, Any], of: MachineRequest | None = None) -> Wish:
    """Return what a form or script says.

    Args:
        person: who says it.
        given: name, template (by name), vcpus, memory_mib, disk_gib. What is missing or empty is as in `of` or else as
            the template has it.
        of: the request that is granted by it.

    Raises:
        Refused: `bad_parameters` names what is wrong and how it may be.
    """
    template = _template(person, str(given.get("template") or ""), of)
    sizes = {size: _size(size, given.get(size), _usual(size, template, of)) for size in SIZES}
    if template:
        _demand_within(template, sizes)
    return Wish(_name(given.get("name") or (of.name if of else "")), template, **sizes)


def _template(person: Person, name: str, of: MachineRequest | None) -> MachineTemplate | None:
    if not name:
        return of.template if of else None
    if found := offered(person, of).filter(name=keepable(name)).first():
        return found
    raise bad("template", _("You are offered no template “%(name)s”.") % {"name": name[:80]})


def _usual(size: str, template: MachineTemplate | None, of: MachineRequest | None) -> int | None:
    usual: int | None = getattr(of or template, size, None)
    return usual


def _size(size: str, given: Any, usual: int | None) -> int:
    label, _unit = MachineRequest.words_of(size)
    text = str(given).strip() if given is not None else ""
    if not text and usual is not None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < len(str(MOST[size])) + 1 and 0 < int(text) <= MOST[size]):
        sentence = _("Write a whole number from 1 to %(most)s for “%(label)s”.")
        raise bad(size, sentence % {"most": MOST[size], "label": label})
    return int(text)


def _name(given: Any) -> str:
    name = str(given).strip()
    if not re.fullmatch(MACHINE_NAME, name):
        raise bad("name", _("A machine's name: %(form)s") % {"form": NAME_FORM})
    return name


def _demand_within(template: MachineTemplate, sizes: Mapping[str, int]) -> None:
    for size, amount in sizes.items():
        most: int | None = getattr(template, f"most_{size}")
        if most is not None and amount > most:
            label, unit = MachineRequest.words_of(size)
            sentence = _("“%(template)s” allows at most %(most)s for “%(label)s”, not %(amount)s.")
            words = {"template": template, "most": f"{most} {unit}".strip(), "label": label, "amount": amount}
            raise Refused("bad_parameters", sentence % words, status=400, details={"parameter": size, "most": most})
