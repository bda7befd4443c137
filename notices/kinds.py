"""The one table of what people are told of: by which words they choose, what is on, and the sentences.

A notice keeps its kind and plain parameters; its sentence is made when somebody reads it, in that reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from machines.models import GrantRole
from machines.operation_table import TABLE
from machines.quotas import RESOURCE_WORDS, Resource

Words = str | Promise


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that people may be told of.

    `label` is what they choose by, `level` how its toast looks (`static/js/toasts.js`), `page` and `mail` what holds
    for who chose nothing. `sentences` are named by how it happened, the parameter `how`. `administrators`: nobody else
    is told, and nobody else chooses.
    """

    name: str
    label: Words
    level: str
    page: bool
    mail: bool
    sentences: Mapping[str, Words]
    administrators: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "operation_finished",
            _("An operation finished that you asked for, or that somebody asked of your machine"),
            "success",
            page=True,
            mail=False,
            sentences={
                "succeeded": _("%(machine)s: “%(operation)s” succeeded."),
                "cancelled": _("%(machine)s: “%(operation)s” was cancelled."),
                "succeeded_by": _("%(machine)s: “%(operation)s” succeeded, asked by %(by)s."),
                "cancelled_by": _("%(machine)s: “%(operation)s” was cancelled, asked by %(by)s."),
            },
        ),
        Kind(
            "operation_failed",
            _("An operation failed that you asked for, or that somebody asked of your machine"),
            "error",
            page=True,
            mail=True,
            sentences={
                "failed": _("%(machine)s: “%(operation)s” failed."),
                "interrupted": _("%(machine)s: “%(operation)s” was interrupted."),
                "failed_by": _("%(machine)s: “%(operation)s” failed, asked by %(by)s."),
                "interrupted_by": _("%(machine)s: “%(operation)s” was interrupted, asked by %(by)s."),
            },
        ),
        Kind(
            "crashed",
            _("A machine crashed that you own or operate"),
            "error",
            page=True,
            mail=True,
            sentences={"crashed": _("%(machine)s crashed.")},
        ),
        Kind(
            "shared",
            _("A machine was shared with you, or handed to you"),
            "info",
            page=True,
            mail=True,
            sentences={
                "granted": _("%(machine)s is shared with you; your right on it: %(role)s."),
                "handed": _("%(machine)s is yours now."),
            },
        ),
        Kind(
            "right_asked",
            _("Somebody asks you for a right over a machine, or to raise a quota"),
            "info",
            page=True,
            mail=True,
            sentences={
                "open": _("%(by)s wants to be %(role)s of %(machine)s."),
                "room_open": _(
                    "%(by)s asks to raise the quota of %(whose)s (%(resource)s: %(wanted)s): "
                    "it has no room for %(machine)s."
                ),
            },
        ),
        Kind(
            "right_answered",
            _("Your ask for a right over a machine, or for room in a quota, was answered"),
            "info",
            page=True,
            mail=True,
            sentences={
                "granted": _("%(by)s made you %(role)s of %(machine)s."),
                "declined": _("%(by)s declined: you do not become %(role)s of %(machine)s."),
                "room_granted": _(
                    "%(by)s raised the quota of %(whose)s (%(resource)s: %(wanted)s): there is room for %(machine)s."
                ),
                "room_declined": _("%(by)s declined to raise the quota of %(whose)s to have room for %(machine)s."),
            },
        ),
        Kind(
            "machine_asked",
            _("Somebody asks you for a machine"),
            "info",
            page=True,
            mail=True,
            sentences={
                "open": _("%(by)s asks for a machine: %(name)s."),
                "open_project": _("%(by)s asks for a machine for %(whose)s: %(name)s."),
            },
        ),
        Kind(
            "machine_answered",
            _("Your request for a machine was answered"),
            "info",
            page=True,
            mail=True,
            sentences={
                "granted": _("%(by)s granted the machine %(name)s. It is being made."),
                "changed": _("%(by)s granted the machine %(name)s, but not as you asked. It is being made."),
                "declined": _("%(by)s declined your request for the machine %(name)s."),
            },
        ),
        Kind(
            "help_asked",
            _("Somebody asks for help with a machine"),
            "info",
            page=True,
            mail=True,
            sentences={"asked": _("%(by)s asks for help with %(machine)s.")},
        ),
        Kind(
            "departed",
            _("Somebody was disabled or deleted outside of the administration, and what became of their machines"),
            "info",
            page=True,
            mail=True,
            sentences={
                "handed": _("%(by)s left. Handed to the project %(project)s: %(number)s of their machines."),
                "saving": _("%(by)s left. To be saved: %(number)s of their machines."),
                "unsaved": _("%(by)s left, and %(machine)s is not saved. It is tried again."),
                "given_up": _("%(by)s left, and %(machine)s could not be saved. It is left as it is."),
            },
            administrators=True,
        ),
    )
}
"""In the order in which the profile page lists them."""


def sentence(kind_name: str, parameters: Mapping[str, Any], machine: str) -> str:
    """Say what happened, in the language that is active, and after it what the portal knew of why.

    Rows of a kind that this version does not know say no more than their machine.
    """
    kind = KINDS.get(kind_name)
    template = kind.sentences.get(str(parameters.get("how"))) if kind else None
    if template is None:
        return str(machine)
    operation, role = parameters.get("operation", ""), parameters.get("role", "")
    resource = parameters.get("resource", "")
    values = {
        "machine": machine,
        "by": parameters.get("by", ""),
        "operation": TABLE[operation].label if operation in TABLE else operation,
        "role": GrantRole(role).label if role in GrantRole.values else role,
        "name": parameters.get("name", ""),
        "whose": parameters.get("whose", ""),
        "resource": RESOURCE_WORDS[Resource(resource)] if resource in set(Resource) else resource,
        "wanted": parameters.get("wanted", ""),
        "project": parameters.get("project", ""),
        "number": parameters.get("number", ""),
    }
    return " ".join(part for part in (str(template) % values, str(parameters.get("message", ""))) if part)
