"""Links that share a machine: made by an owner, taken by whoever is signed in and has the address."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from machines.access import ROLE_RIGHT, Right, right_over
from machines.models import Grant, Machine, ShareLink
from machines.parameters import bad
from people.models import Role, digest_of
from sharing.giving import demand_future

LONGEST = timedelta(days=90)
MOST_USES = 10_000


def make(
    machine: Machine, by: User, role: Role, expires_at: datetime, most_uses: int | None = None
) -> tuple[ShareLink, str]:
    """Make a link; return its row and the secret of its address, which cannot be shown again.

    Raises:
        Refused: `bad_parameters`: it would end at once, or too late, or could never be used.
    """
    demand_future(expires_at)
    if expires_at > timezone.now() + LONGEST:
        raise bad("expires_at", _("A link lasts %(days)s days at most.") % {"days": LONGEST.days})
    if most_uses is not None and not 1 <= most_uses <= MOST_USES:
        raise bad("most_uses", _("Write a number from 1 to %(most)s.") % {"most": MOST_USES})
    secret = secrets.token_urlsafe(32)
    row = ShareLink.objects.create(
        machine=machine, role=role, digest=digest_of(secret), made_by=by, expires_at=expires_at, most_uses=most_uses
    )
    return row, secret


def revoke(machine: Machine, link_id: int) -> None:
    """Take a link back, and all that was given by it.

    Raises:
        Http404: the machine has no such link (any more).
    """
    link = ShareLink.objects.filter(machine=machine, pk=link_id).first()
    if link is None:
        raise Http404(_("There is no such link."))
    link.delete()


def link_or_404(secret: str, person: User) -> ShareLink:
    """Find the link of a secret that still gives this person something, or gave it.

    Raises:
        Http404: there is none, it is over or used up, or who made it may not share the machine any more. The answer
            is the same for all of these.
    """
    rows = ShareLink.objects.select_related("machine", "made_by")
    link = rows.filter(digest=digest_of(secret), expires_at__gt=timezone.now()).first()
    if link is None or right_over(link.made_by, link.machine) < Right.OWN:
        raise Http404(_("This link leads nowhere, or no longer. Ask who sent it for a new one."))
    used_up = link.most_uses is not None and link.uses >= link.most_uses
    if used_up and not link.grants.filter(user=person.pk).exists():
        raise Http404(_("This link leads nowhere, or no longer. Ask who sent it for a new one."))
    return link


def take(secret: str, person: User) -> Machine:
    """Take what a link gives; return the machine. Taking it again, or having as much already, uses it up no further.

    Raises:
        Http404: see `link_or_404`.
    """
    link = link_or_404(secret, person)
    if right_over(person, link.machine) >= ROLE_RIGHT[link.role]:
        return link.machine
    room = Q(most_uses=None) | Q(uses__lt=F("most_uses"))
    try:
        with transaction.atomic():
            if not ShareLink.objects.filter(room, pk=link.pk).update(uses=F("uses") + 1):
                raise Http404(_("This link leads nowhere, or no longer. Ask who sent it for a new one."))
            Grant.objects.create(
                machine=link.machine,
                user=person,
                role=link.role,
                expires_at=link.expires_at,
                granted_by=link.made_by,
                link=link,
            )
    except IntegrityError:  # taken twice at once, or revoked meanwhile
        link_or_404(secret, person)
    return link.machine
