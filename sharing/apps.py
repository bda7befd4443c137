"""Sharing machines."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SharingConfig(AppConfig):
    """The sharing app."""

    name = "sharing"
    verbose_name = _("Sharing")
