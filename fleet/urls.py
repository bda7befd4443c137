"""URLs of the fleet's dashboard."""

from __future__ import annotations

from django.urls import path

from fleet import views

app_name = "fleet"
urlpatterns = [
    path("fleet/", views.fleet, name="fleet"),
    path("fleet/consoles/<uuid:session>/end/", views.end_console, name="end_console"),
]
