"""Making machines."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MakingConfig(AppConfig):
    """The making app."""

    name = "making"
    verbose_name = _("Making machines")

    def ready(self) -> None:
        """Keep templates and requests in the trail."""
        from making import trail  # noqa: F401
