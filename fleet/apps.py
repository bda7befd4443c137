"""What administrators see and do across hosts, machines, operations, consoles and people."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FleetConfig(AppConfig):
    """The fleet app."""

    name = "fleet"
    verbose_name = _("Fleet")
