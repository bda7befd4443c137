"""URLs of machines and operations."""

from __future__ import annotations

from django.urls import path

from lifecycle import views

app_name = "lifecycle"
urlpatterns = [
    path("", views.machines, name="machines"),
    path("machines/<uuid:uuid>/", views.machine, name="machine"),
    path("machines/<uuid:uuid>/history/", views.machine_history, name="machine_history"),
    path("machines/<uuid:uuid>/definition/", views.machine_definition, name="machine_definition"),
    path("machines/<uuid:uuid>/operations/<slug:kind>/", views.request_operation, name="request"),
    path("operations/", views.operations, name="operations"),
    path("operations/<int:pk>/", views.operation, name="operation"),
    path("operations/<int:pk>/cancel/", views.cancel, name="cancel"),
]
