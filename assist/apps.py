"""Help: what users ask of the helpdesk, and how a helper comes to see their machine."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssistConfig(AppConfig):
    """The assist app."""

    name = "assist"
    verbose_name = _("Help")

    def ready(self) -> None:
        """Tell sockets of help that goes on, and end it when what it stands on is taken away."""
        from assist import payload, standing  # noqa: F401
        from machines import consumers

        consumers.snapshot_sources.append(payload.assist_messages)
