"""The audit trail: what happened, who did it, and proof that nobody changed that afterwards."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    """The audit app."""

    name = "audit"
    verbose_name = _("Audit")

    def ready(self) -> None:
        """Listen for what the trail keeps; have the database guard it whenever it was migrated."""
        from audit import signals  # noqa: F401

        post_migrate.connect(install_guards, sender=self)


def install_guards(using: str, **_kwargs: Any) -> None:
    """Make the triggers that refuse changes."""
    from audit import guards  # apps must be loaded first

    guards.install(connections[using])
