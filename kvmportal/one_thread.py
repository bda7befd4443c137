"""A middleware that does nothing, in one thread."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]


def one_thread(get_response: GetResponse) -> GetResponse:
    """Keep a request in one thread; has to be the innermost middleware.

    Every view is synchronous. Under ASGI Django would still run each middleware's two halves by themselves in the
    request's thread, with two changes of thread for each. Below a middleware that is only synchronous it does not:
    that saves 2 to 3 ms for every page (measured under daphne with the ten middlewares of the settings).
    """

    def answer(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    return answer
