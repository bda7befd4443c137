"""What becomes of the machines of somebody who is disabled or deleted, in words: the policy DEPARTED_MACHINES.

- `keep`: they stay as they are. A disabled user still owns them, a deleted one's belong to nobody.
- `project`: they are handed to the project that the person is in (the first by name); without one they are kept.
- `save`: those that run are saved, so that nothing in them is lost; then they are kept.

`sharing.seeing_off` does it.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisor.states import ACTIVE_STATES
from machines.models import Machine
from people.models import Project
from sharing.models import Departure, Policy


def policy() -> Policy:
    """Return the portal's policy."""
    return Policy(settings.DEPARTED_MACHINES)


def foretold(person: User, *, deleted: bool) -> str:
    """Say what will become of somebody's machines; empty where they own none."""
    machines = list(Machine.objects.filter(owner=person).values_list("state", flat=True))
    if not machines:
        return ""
    project = project_of(person) if policy() is Policy.PROJECT else None
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


def became(person: User) -> str:
    """Say what has become of the machines of somebody who is disabled; empty where nothing has yet."""
    row = Departure.objects.select_related("by").filter(user=person).first()
    if row is None:
        return ""
    words = {"number": row.machines, "project": row.project}
    if row.project:
        said = ngettext(
            "%(number)s machine was handed to the project %(project)s.",
            "%(number)s machines were handed to the project %(project)s.",
            row.machines,
        )
    elif row.left or row.tries:
        said = ngettext("%(number)s machine was to be saved.", "%(number)s machines were to be saved.", row.machines)
    else:
        said = _("The machines stayed as they were.")
    by = _("by %(name)s") % {"name": row.by} if row.by else _("by the portal")
    return " ".join([f"{_written(row.begun_at)}, {by}:", said % words, _progress(row)]).strip()


def project_of(person: User) -> Project | None:
    """Return the project that somebody's machines are handed to, if they are in one."""
    return Project.objects.filter(memberships__user=person).order_by("name").first()


def _progress(row: Departure) -> str:
    """Say how far saving is, and what is in the way."""
    if not row.left:
        return ""
    words = {"number": len(row.left)}
    if row.done_at:
        said = ngettext("%(number)s could not be.", "%(number)s could not be.", len(row.left)) % words
    else:
        said = ngettext("%(number)s is not yet.", "%(number)s are not yet.", len(row.left)) % words
    return " ".join([said, *(f"{each['name']}: {each['why']}" for each in row.troubles)])


def _written(when: datetime) -> str:
    return timezone.localtime(when).strftime("%Y-%m-%d %H:%M %Z")
