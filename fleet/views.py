"""The dashboard of the fleet, for administrators; to everybody else it does not exist."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from consoles import sessions
from consoles.proxy.endings import Ending
from fleet.overview import overview_or_404
from machines.access import hosts_or_404


@never_cache
@require_safe
@login_required
def fleet(request: HttpRequest) -> HttpResponse:
    """Show hosts, capacity, what failed, and who is at a console."""
    return render(request, "fleet/fleet.html", {"fleet": overview_or_404(request.user)})


@require_POST
@login_required
def end_console(request: HttpRequest, session: UUID) -> HttpResponse:
    """End somebody's console."""
    hosts_or_404(request.user)
    found = sessions.not_ended().select_related("user", "machine").filter(pk=session).first()
    if found is None:
        raise Http404(_("This console is not open any more."))
    sessions.end([found.pk], Ending.ENDED_BY_ADMIN)
    words = {"user": found.user or _("nobody"), "machine": found.machine.name}
    messages.success(request, _("The console of %(user)s at %(machine)s is ended.") % words)
    return redirect("fleet:fleet")
