"""URLs of machines and operations."""

from __future__ import annotations

from django.urls import path

from lifecycle import bulk_views, form_views, host_views, names_views, views

app_name = "lifecycle"
urlpatterns = [
    path("", views.machines, name="machines"),
    path("machines/names/", names_views.names, name="names"),
    path("machines/new/", form_views.new_machine, name="new_machine"),
    path("machines/<uuid:uuid>/", views.machine, name="machine"),
    path("machines/<uuid:uuid>/saved/", form_views.saved_files, name="saved_files"),
    path("machines/<uuid:uuid>/undefine/", form_views.undefine, name="undefine"),
    path("machines/<uuid:uuid>/define/", form_views.define, name="define"),
    path("machines/<uuid:uuid>/keys/", form_views.send_keys, name="send_keys"),
    path("machines/<uuid:uuid>/history/", views.machine_history, name="machine_history"),
    path("machines/<uuid:uuid>/timeline/", views.machine_timeline, name="machine_timeline"),
    path("machines/<uuid:uuid>/consoles/", views.machine_consoles, name="machine_consoles"),
    path("machines/<uuid:uuid>/definition/", views.machine_definition, name="machine_definition"),
    path("machines/<uuid:uuid>/operations/<slug:kind>/", views.request_operation, name="request"),
    path("bulk/", bulk_views.ask, name="bulk_ask"),
    path("bulk/<int:pk>/", bulk_views.results, name="bulk"),
    path("operations/", views.operations, name="operations"),
    path("hosts/", host_views.hosts, name="hosts"),
    path("hosts/<slug:name>/", host_views.host, name="host"),
    path("hosts/<slug:name>/test/", host_views.test_host, name="test_host"),
    path("operations/<int:pk>/", views.operation, name="operation"),
    path("operations/<int:pk>/cancel/", views.cancel, name="cancel"),
]
