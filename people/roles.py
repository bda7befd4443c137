"""The portal's roles beside owning machines: administrators are superusers, helpdesk is a Django group."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

HELPDESK_GROUP = "helpdesk"


def is_administrator(user: User | AnonymousUser) -> bool:
    """Return whether this person may do everything."""
    return user.is_active and user.is_superuser


def is_helpdesk(user: User | AnonymousUser) -> bool:
    """Return whether this person has the helpdesk role (one query, remembered on the user object)."""
    if not user.is_active or user.is_anonymous:
        return False
    known: bool | None = getattr(user, "_is_helpdesk", None)
    if known is None:
        known = user.groups.filter(name=HELPDESK_GROUP).exists()
        user._is_helpdesk = known  # type: ignore[attr-defined]
    return known
