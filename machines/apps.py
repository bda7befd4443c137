"""What exists, who may touch it, its present state."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MachinesConfig(AppConfig):
    """The machines app."""

    name = "machines"
    verbose_name = _("Machines")

    def ready(self) -> None:
        """Connect the receivers that tell open pages about changed rights."""
        from machines import signals  # noqa: F401
