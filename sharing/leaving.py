"""Hears of users who are deleted, so that their machines are seen to first, and of those who are active again.

Changes by `QuerySet.update` or SQL send no signal; beat's look finds what came of those (`sharing.seeing_off`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_save, pre_delete, pre_save
from django.dispatch import receiver

from sharing import seeing_off


@receiver(pre_delete, sender=User)
def on_deletion(instance: User, **_: Any) -> None:
    """See to the machines of somebody whom not the administration deletes: that has done it."""
    if not getattr(instance, "_seen_off", False):
        seeing_off.see_off_deleted(instance)


@receiver(pre_save, sender=User)
def before_disabling(instance: User, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Forget a departure that was over before, and of which nobody has heard yet: this one counts."""
    if not instance.is_active and instance.pk and _is_touched(update_fields):
        seeing_off.forget_return(instance.pk)


@receiver(post_save, sender=User)
def on_return(instance: User, created: bool, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Forget the departure of who is active again. After the save: before it, it would be taken for a new one."""
    if instance.is_active and not created and _is_touched(update_fields):
        seeing_off.forget_return(instance.pk)


def _is_touched(update_fields: Iterable[str] | None) -> bool:
    return update_fields is None or "is_active" in update_fields
