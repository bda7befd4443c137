"""What every page that is posted to reads from the request, who asks and where to go on; and what it says next."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from lifecycle.models import Operation


def user_of(request: HttpRequest) -> User:
    """Return who is signed in; the view's decorator, or the API's authentication, saw to it that somebody is."""
    assert isinstance(request.user, User)  # noqa: S101  # see above
    return request.user


def next_page(request: HttpRequest, otherwise: str) -> str:
    """Return where the form says to go on, if that is a page of ours."""
    wanted = request.POST.get("next", "")
    hosts, secure = {request.get_host()}, request.is_secure()
    ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=hosts, require_https=secure)
    return wanted if wanted and ours else otherwise


def say_on_its_way(request: HttpRequest, asked: Operation, sentence: str) -> None:
    """Say on the next page that this was asked for; that page's script then waits for the result, and says it too."""
    messages.info(request, sentence, extra_tags=f"{asked.pk} {asked.kind} {asked.machine_id}")


def line_ends(text: str) -> str:
    """Return a text as it was typed: browsers send every line of a form with CR LF."""
    return text.replace("\r\n", "\n")
