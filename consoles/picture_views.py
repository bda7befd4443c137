"""Pages' requests about pictures of screens: a picture, and whether there may be any."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from redis import RedisError

from consoles import picture_answers
from consoles import thumbnails as policies
from consoles.picture_sizes import Size
from machines.access import Right, machine_or_404


@require_safe
@login_required
def picture(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Answer the last picture of a machine's screen, with `?size=large` a large one."""
    size = Size.LARGE if request.GET.get("size") == Size.LARGE else Size.SMALL
    try:
        return picture_answers.picture(request, uuid, size)
    except RedisError:
        return HttpResponse(status=503)  # one of fifty on a page; the log has it from elsewhere


@require_POST
@login_required
def thumbnails(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Allow pictures of a machine's screen, or forbid them."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    on = request.POST.get("on") == "1"
    policies.switch(machine, on=on)
    if on and policies.by_group(machine):
        messages.warning(request, _("A group's policy still forbids pictures of %(machine)s.") % {"machine": machine})
    return redirect(machine.get_absolute_url())
