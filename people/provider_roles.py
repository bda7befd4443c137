"""The roles that the OpenID Connect provider gives by the groups that it names, looked at when somebody logs in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, User

from kvmportal.services import Provider
from people.roles import HELPDESK_GROUP

logger = logging.getLogger(__name__)


def give_roles(user: User, said: Mapping[str, Any], provider: Provider) -> None:
    """Give and take the roles whose groups the environment names; others stay as the portal has them.

    An account with a password of the portal only is linked: its roles are given in the portal.

    Args:
        user: a saved account.
        said: what the provider said at this login, as allauth keeps it: `userinfo` and `id_token`.
        provider: as the environment has it.
    """
    if not provider.gives_roles or user.has_usable_password():
        return
    groups = _groups(said, provider.groups_claim)
    flags = {}
    if provider.superuser_group:
        flags["is_superuser"] = provider.superuser_group in groups
    if provider.superuser_group or provider.staff_group:
        flags["is_staff"] = not groups.isdisjoint({provider.superuser_group, provider.staff_group} - {""})
    if changed := [flag for flag, given in flags.items() if getattr(user, flag) != given]:
        for flag in changed:
            setattr(user, flag, flags[flag])
        user.save(update_fields=changed)
    if provider.helpdesk_group:
        helpdesk, _ = Group.objects.get_or_create(name=HELPDESK_GROUP)
        (user.groups.add if provider.helpdesk_group in groups else user.groups.remove)(helpdesk)


def _groups(said: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Return the groups that the provider names, none where it does not send the claim or sends another thing in it."""
    claims = [_claim(said.get(part), claim) for part in ("userinfo", "id_token")]
    lists = [[value] if isinstance(value, str) else value for value in claims]
    found = [value for value in lists if isinstance(value, list)]
    if not found:
        logger.warning("The OpenID Connect provider did not send the claim %r, so nobody gets a role by it.", claim)
    return frozenset(group for value in found for group in value if isinstance(group, str))


def _claim(said: Any, claim: str) -> Any:
    """Return the claim of this name; a name with dots may also lead into objects, as in `realm_access.roles`."""
    if not isinstance(said, dict):
        return None
    if claim in said:
        return said[claim]
    first, dot, rest = claim.partition(".")
    return _claim(said.get(first), rest) if dot else None
