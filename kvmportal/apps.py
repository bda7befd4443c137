"""What every Django process of the portal wires up as it starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    """Makes the Celery application the current one, so that web and watcher send tasks to the portal's broker."""

    name = "kvmportal"

    def ready(self) -> None:
        """Import the Celery application."""
        from kvmportal import celery  # noqa: F401


class PortalAdminConfig(AdminConfig):
    """Django's admin as `kvmportal.admin_site` has it."""

    default_site = "kvmportal.admin_site.PortalAdminSite"
