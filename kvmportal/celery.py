"""The Celery application; its settings are those named CELERY_* in kvmportal.settings."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmportal.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # Django's checks, which migrate runs, load every page: 15 MB each

app = Celery("kvmportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
