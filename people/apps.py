"""Accounts, roles and API tokens."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class PeopleConfig(AppConfig):
    """The people app."""

    name = "people"
    verbose_name = _("People")

    def ready(self) -> None:
        """Have the role groups made whenever the database has been migrated (or flushed)."""
        from people import logins  # noqa: F401  # a session that ends is forgotten

        post_migrate.connect(make_role_groups, sender=self)


def make_role_groups(using: str, **_kwargs: Any) -> None:
    """Make the group whose members have the helpdesk role, so that administrators find it in the admin."""
    from django.contrib.auth.models import Group  # apps must be loaded first

    from people.roles import HELPDESK_GROUP

    missing = [Group(name=HELPDESK_GROUP)]
    Group.objects.using(using).bulk_create(missing, ignore_conflicts=True)  # no signal: nobody did this
