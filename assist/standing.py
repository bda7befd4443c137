"""Ends help when what it stands on is gone: the user's right over the machine, the helper's role, its time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone

from assist import moves, snapshots
from assist.models import OPEN, Assist, EventKind, Kind, State
from assist.parties import helps
from machines.access import Right, right_over
from machines.signals import rights_changed, user_disabled

PICTURE_PATIENCE = timedelta(seconds=60)
"""How long after the asking a picture still counts as of that time."""


@receiver(rights_changed)
def on_rights_changed(user_ids: Collection[int], **_: Any) -> None:
    """End what these people may no longer take part in."""
    look_again(Q(user__in=user_ids) | Q(helper__in=user_ids))


@receiver(user_disabled)
def on_user_disabled(user_id: int, **_: Any) -> None:
    """End the help of someone who may no longer sign in; a user who was deleted is named nowhere any more."""
    look_again(Q(user=user_id) | Q(helper=user_id) | Q(user=None) | Q(helper=None))


def look_again(which: Q) -> None:
    """End those of these open assists that stand on nothing any more."""
    rows = Assist.objects.filter(which, state__in=OPEN).select_related("machine__owner", "user", "helper", "visit")
    for assist in rows.defer("picture", "facts", "machine__definition_xml"):
        if not _stands(assist):
            moves.close(assist, EventKind.RIGHT_GONE)


def end_overdue() -> int:
    """End what is past its time; return how many that were."""
    rows = Assist.objects.filter(state__in=OPEN, until__lte=timezone.now())
    overdue = rows.select_related("machine__owner", "user", "helper", "visit").defer("picture", "facts")
    whys = ((assist, EventKind.LIMIT if assist.state == State.ACTIVE else EventKind.EXPIRED) for assist in overdue)
    return sum(moves.close(assist, why) for assist, why in whys)


def attach_pictures() -> None:
    """Give requests the picture that was still to be taken when they came; the policy is asked again."""
    for assist in Assist.objects.filter(picture_wanted=True).select_related("machine__host"):
        late = timezone.now() - assist.created_at > PICTURE_PATIENCE
        allowed = assist.is_open and not late and snapshots.may_be_pictured(assist.machine)
        image = snapshots.picture_of(assist.machine) if allowed else None
        if image or not allowed:
            Assist.objects.filter(pk=assist.pk).update(
                picture=image, has_picture=image is not None, picture_wanted=False
            )


def _stands(assist: Assist) -> bool:
    """Return whether who consents may still operate the machine, and who helps still has that role."""
    if assist.kind == Kind.BREAK_GLASS:
        return _may_help(assist.helper)
    user = assist.user
    if user is None or not user.is_active or right_over(user, assist.machine) < Right.OPERATE:
        return False
    return assist.state == State.WAITING or _may_help(assist.helper)


def _may_help(helper: User | None) -> bool:
    return helper is not None and helper.is_active and helps(helper)
