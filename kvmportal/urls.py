"""Every URL of the portal."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from kvmportal import health
from kvmportal.api import api
from machines import browser_script

admin.autodiscover()

urlpatterns = [
    path("", include("lifecycle.urls")),
    path("", include("consoles.urls")),
    path("", include("sharing.urls")),
    path("", include("making.urls")),
    path("", include("assist.urls")),
    path("", include("people.urls")),
    path("", include("notices.urls")),
    path("", include("fleet.urls")),
    path("", include("audit.urls")),
    path("", include("people.sign_in_urls")),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("words/<str:language>-<slug:fingerprint>.js", browser_script.view, name="browser_script"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

handler400 = "kvmportal.errors.bad_request"
handler404 = "kvmportal.errors.not_found"
