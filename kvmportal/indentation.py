"""Sends pages without the indentation of their templates: a fiftieth of the list, and nobody reads it."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_INDENTATION = re.compile(rb"\n\s+")
_KEEPS_SPACES = (b"<pre", b"<textarea")


def leave_out(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the middleware. One line break stands for what it takes, so that nothing is drawn otherwise."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        is_page = not response.streaming and response.headers.get("Content-Type", "").startswith("text/html")
        if is_page and not any(tag in response.content for tag in _KEEPS_SPACES):
            response.content = _INDENTATION.sub(b"\n", response.content)
        return response

    return middleware
