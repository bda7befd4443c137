"""What is asked of machines, and how it went."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LifecycleConfig(AppConfig):
    """The lifecycle app."""

    name = "lifecycle"
    verbose_name = _("Operations")

    def ready(self) -> None:
        """Listen for machines that change, which ends a waiting shutdown or reboot; tell sockets what is open."""
        from lifecycle import news, payload  # noqa: F401
        from machines import consumers

        consumers.snapshot_sources.append(payload.operation_messages)
