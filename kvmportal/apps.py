"""What every Django process of the portal wires up as it starts."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app
from django.core import checks


class PortalConfig(AppConfig):
    """Makes the Celery application the current one, so that web and watcher send tasks to the portal's broker."""

    name = "kvmportal"

    def ready(self) -> None:
        """Import the Celery application."""
        from kvmportal import celery  # noqa: F401


class PortalAdminConfig(SimpleAdminConfig):
    """Django's admin as `kvmportal.admin_site` has it.

    Its pages are loaded with the URLs (`kvmportal.urls`), so not by workers, watcher and beat, which show none.
    """

    default_site = "kvmportal.admin_site.PortalAdminSite"

    def ready(self) -> None:
        """Have `manage.py check` look at the pages, too."""
        super().ready()
        checks.register(_check_pages, checks.Tags.admin)


def _check_pages(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    admin.autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(app_configs)
    return found
