"""Django's admin under the portal's name and behind the portal's own sign-in page."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class PortalAdminSite(AdminSite):
    """The admin site; its own login page is never shown."""

    site_header = "kvmportal"
    site_title = "kvmportal"
    index_title = gettext_lazy("Administration")

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send visitors to the portal's sign-in page.

        Raises:
            PermissionDenied: this person is signed in and may not administer.
        """
        wanted = request.GET.get("next") or reverse("admin:index")
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied(_("Administration is for administrators; you are signed in as %s.") % request.user)
        return redirect_to_login(wanted)
