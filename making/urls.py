"""URLs of requests for machines."""

from __future__ import annotations

from django.urls import path

from making import views

app_name = "making"
urlpatterns = [
    path("requests/", views.requests, name="requests"),
    path("requests/new/", views.new, name="new"),
    path("requests/room/", views.room, name="room"),
    path("requests/<int:pk>/", views.request, name="request"),
    path("requests/<int:pk>/grant/", views.grant, name="grant"),
    path("requests/<int:pk>/decline/", views.decline, name="decline"),
    path("requests/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
]
