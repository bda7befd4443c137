"""Sharing machines."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SharingConfig(AppConfig):
    """The sharing app."""

    name = "sharing"
    verbose_name = _("Sharing")

    def ready(self) -> None:
        """Listen for users who leave, and give the trail its words for that."""
        from audit.kinds import add_kinds
        from sharing import leaving  # noqa: F401  # it listens

        add_kinds(
            {
                "departure.kept": _("machines of somebody who left kept"),
                "departure.handed": _("machines of somebody who left handed to a project"),
                "departure.saving": _("machines of somebody who left to be saved"),
                "departure.saved": _("machines of somebody who left saved"),
                "departure.given_up": _("machines of somebody who left could not be saved"),
            },
            family=_("people who left"),
        )
