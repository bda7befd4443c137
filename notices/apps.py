"""What people are told of."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NoticesConfig(AppConfig):
    """The notices app."""

    name = "notices"
    verbose_name = _("Notices")

    def ready(self) -> None:
        """Listen to the apps below."""
        from notices import listeners  # noqa: F401
