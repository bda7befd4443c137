"""`manage.py beat`: the one process that sends what is due."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from kvmportal.celery import app


class Command(BaseCommand):
    """Run Celery's beat, whose schedule is in the database. The `celery` command would do too, with 10 MB more."""

    help = "Sends recurring tasks when they are due. Run exactly one."
    requires_system_checks = ()  # migrate runs them; here they would load every page

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Send until told to stop."""
        app.Beat(loglevel="INFO", quiet=True).run()
