"""The addresses of the provider of `tests.people.provider`."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("", include("allauth.urls")), path("", include("allauth.idp.urls"))]
