"""What becomes of the machines of somebody who is disabled or deleted in the admin: the policy DEPARTED_MACHINES.

- `keep`: they stay as they are. A disabled user still owns them, a deleted one's belong to nobody.
- `project`: they are handed to the project that the person is in (the first by name); without one they are kept.
- `save`: those that run are saved, so that nothing in them is lost; then they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisor.states import ACTIVE_STATES
from lifecycle import operations
from machines.models import Machine
from machines.refused import Refused
from people.models import Project


class Policy(StrEnum):
    """What is done with machines whose owner leaves."""

    KEEP = "keep"
    PROJECT = "project"
    SAVE = "save"


def policy() -> Policy:
    """Return the portal's policy."""
    return Policy(settings.DEPARTED_MACHINES)


def foretold(person: User, *, deleted: bool) -> str:
    """Say what will become of somebody's machines; empty where they own none."""
    machines = list(Machine.objects.filter(owner=person).values_list("state", flat=True))
    if not machines:
        return ""
    project = _project_of(person) if policy() is Policy.PROJECT else None
    words = {"number": len(machines), "name": person.get_username(), "project": project}
    if project:
        return (
            ngettext(
                "%(name)s owns %(number)s machine. It is handed to the project %(project)s.",
                "%(name)s owns %(number)s machines. They are handed to the project %(project)s.",
                len(machines),
            )
            % words
        )
    kept = (
        ngettext(
            "%(name)s owns %(number)s machine. It stays as it is and belongs to nobody.",
            "%(name)s owns %(number)s machines. They stay as they are and belong to nobody.",
            len(machines),
        )
        if deleted
        else ngettext(
            "%(name)s owns %(number)s machine. It stays theirs, and as it is.",
            "%(name)s owns %(number)s machines. They stay theirs, and as they are.",
            len(machines),
        )
    ) % words
    if policy() is Policy.SAVE and (running := sum(state in ACTIVE_STATES for state in machines)):
        saved = ngettext("%(running)s that runs is saved first.", "%(running)s that run are saved first.", running)
        return f"{kept} {saved % {'running': running}}"
    return kept


def see_off(person: User, by: User) -> list[str]:
    """Do with somebody's machines what the policy says, before they go; return a sentence for each that could not be.

    Saving is asked for as `by`, an administrator, and goes on by itself; what cannot be saved is left as it is.
    """
    machines = list(Machine.objects.filter(owner=person))
    if policy() is Policy.PROJECT and (project := _project_of(person)):
        for machine in machines:
            machine.owner, machine.project = None, project
            machine.save(update_fields=["owner", "project"])
    return _save(machines, by) if policy() is Policy.SAVE else []


def _project_of(person: User) -> Project | None:
    return Project.objects.filter(memberships__user=person).order_by("name").first()


def _save(machines: Sequence[Machine], by: User) -> list[str]:
    troubles = []
    for machine in machines:
        if machine.state not in ACTIVE_STATES:
            continue
        try:
            operations.request(machine, "save", by=by, parameters={})
        except Refused as refused:
            troubles.append(_("%(machine)s is not saved: %(why)s") % {"machine": machine, "why": refused.sentence})
    return troubles
