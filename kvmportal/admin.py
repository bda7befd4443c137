"""Whose models the admin does not show."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin

for model in apps.get_app_config("django_celery_beat").get_models():
    if admin.site.is_registered(model):  # the schedule is the portal's own, and written anew at each start
        admin.site.unregister(model)
