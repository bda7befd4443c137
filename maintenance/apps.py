"""What is announced to everybody, and when nothing new may begin."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaintenanceConfig(AppConfig):
    """The maintenance app."""

    name = "maintenance"
    verbose_name = _("Maintenance")
