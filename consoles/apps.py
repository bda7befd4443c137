"""Consoles: tickets, sessions and their audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from machines.companions import Companion
    from machines.leases import HeldLease


class ConsolesConfig(AppConfig):
    """The consoles app."""

    name = "consoles"
    verbose_name = _("Consoles")

    def ready(self) -> None:
        """Listen for logins and rights that end, tell sockets who is there, have watchers of hosts take pictures."""
        from consoles import presence, signals, thumbnails, trail  # noqa: F401
        from machines import consumers
        from machines.companions import companions

        consumers.snapshot_sources.append(presence.console_messages)
        companions.append(_picture_taker)


def _picture_taker(host: str, uri: str, held: HeldLease) -> Companion:
    """Begin to take the pictures of a host. Only the watcher loads libvirt and Pillow for that."""
    from consoles.picture_taker import PictureTaker

    return PictureTaker(host, uri, held)
