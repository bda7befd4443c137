"""Consoles: tickets, sessions and their audit."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsolesConfig(AppConfig):
    """The consoles app."""

    name = "consoles"
    verbose_name = _("Consoles")

    def ready(self) -> None:
        """Listen for logins that end and rights that are taken away."""
        from consoles import signals  # noqa: F401
