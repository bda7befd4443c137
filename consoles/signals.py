"""Ends consoles at once when what they stand on is taken away."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_save
from django.dispatch import receiver

from consoles import sessions
from consoles.models import Mode
from consoles.proxy.endings import Ending
from machines.signals import login_ended, rights_changed, user_disabled


@receiver(rights_changed)
def on_rights_changed(user_ids: Collection[int], **_: Any) -> None:
    """End what these people may no longer do, and what they lend. A viewer who was an operator looks on."""
    _look_again(Q(user__in=user_ids) | Q(granted_by__in=user_ids))


@receiver(login_ended)
def on_login_ended(login: str, **_: Any) -> None:
    """End the consoles of a login session or API token that is gone."""
    sessions.end(list(sessions.not_ended().filter(login=login).values_list("pk", flat=True)), Ending.LOGIN_ENDED)


@receiver(user_disabled)
def on_user_disabled(user_id: int, **_: Any) -> None:
    """End all consoles of someone who may no longer sign in."""
    sessions.end(list(sessions.not_ended().filter(user=user_id).values_list("pk", flat=True)), Ending.USER_DISABLED)
    _look_again(Q(mode=Mode.CONTROL))  # what was lent; a user who was deleted is named nowhere any more


@receiver(post_save, sender=User)
def on_user_saved(instance: User, update_fields: Collection[str] | None = None, **_: Any) -> None:
    """End the consoles of logins that a new password has ended."""
    if update_fields is None or "password" in update_fields:
        transaction.on_commit(lambda: _look_again(Q(user=instance)))


def _look_again(which: Q) -> None:
    sessions.verdict_on(list(sessions.not_ended().filter(which))).carry_out()
