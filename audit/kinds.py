"""The words of the trail: what it keeps, and what people read for it. Other apps add theirs with `add_kinds`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

FAMILIES: dict[str, StrOrPromise] = {
    "login": _("sign-ins"),
    "operation": _("operations"),
    "grant": _("grants"),
    "link": _("links"),
    "visit": _("helpers' visits"),
    "project": _("projects"),
    "quota": _("quotas"),
    "member": _("members of projects"),
    "machine": _("owners of machines"),
    "console": _("consoles"),
    "token": _("API tokens"),
    "user": _("users"),
    "group": _("groups"),
    "host": _("hosts"),
    "policy": _("console policies"),
    "admin": _("administration"),
    "audit": _("the trail itself"),
}
"""What entries are about: the part of their kind before the dot."""

KINDS: dict[str, StrOrPromise] = {
    "login.ok": _("signed in"),
    "login.failed": _("sign-in failed"),
    "login.out": _("signed out"),
    "login.ended": _("signed other browsers out"),
    "operation.asked": _("operation asked"),
    "operation.ended": _("operation ended"),
    "grant.made": _("grant made"),
    "grant.changed": _("grant changed"),
    "grant.removed": _("grant removed"),
    "link.made": _("link made"),
    "link.changed": _("link changed"),
    "link.removed": _("link revoked"),
    "visit.made": _("a helper's visit began"),
    "visit.changed": _("a helper's visit changed or ended"),
    "visit.removed": _("a helper's visit forgotten"),
    "project.made": _("project made"),
    "project.changed": _("project changed"),
    "project.removed": _("project deleted"),
    "quota.made": _("quota set"),
    "quota.changed": _("quota changed"),
    "quota.removed": _("quota removed"),
    "member.made": _("joined a project"),
    "member.changed": _("role in a project changed"),
    "member.removed": _("left a project"),
    "machine.made": _("machine added"),
    "machine.changed": _("owner changed"),
    "machine.removed": _("machine forgotten"),
    "console.wanted": _("console asked for"),
    "console.opened": _("console opened"),
    "console.closed": _("console closed"),
    "token.made": _("API token made"),
    "token.changed": _("API token changed"),
    "token.removed": _("API token revoked"),
    "token.used": _("API token used that day"),
    "user.made": _("user added"),
    "user.changed": _("user changed"),
    "user.removed": _("user deleted"),
    "group.made": _("group added"),
    "group.changed": _("group changed"),
    "group.removed": _("group deleted"),
    "group.joined": _("joined a group"),
    "group.left": _("left a group"),
    "host.made": _("host added"),
    "host.changed": _("host changed"),
    "host.removed": _("host deleted"),
    "admin.added": _("added in the administration"),
    "admin.changed": _("changed in the administration"),
    "admin.deleted": _("deleted in the administration"),
    "audit.exported": _("trail exported"),
    "audit.trimmed": _("old entries removed"),
}
"""Every kind of entry, in the order in which a filter offers them."""


def add_kinds(kinds: Mapping[str, StrOrPromise], *, family: StrOrPromise = "") -> None:
    """Let the trail know more kinds, and, where what they are about is new, what to call that."""
    KINDS.update(kinds)
    for kind in kinds:
        if family:
            FAMILIES.setdefault(kind.partition(".")[0], family)


def kind_word(kind: str) -> str:
    """Return what people read for a kind; one that nobody knows any more reads as it is."""
    return str(KINDS.get(kind, kind))


def known() -> list[str]:
    """Return what a filter may say: families and kinds."""
    return [*FAMILIES, *KINDS]
