"""The one shape of errors under /api/, and what Django calls when a page cannot be shown."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults

logger = logging.getLogger(__name__)

API_PREFIX = "/api/"
GetResponse = Callable[[HttpRequest], HttpResponse]

_BY_STATUS = {
    400: ("bad_request", gettext_lazy("The request cannot be understood.")),
    401: ("unauthenticated", gettext_lazy("Send an API token as “Authorization: Bearer <token>”, or log in.")),
    403: ("forbidden", gettext_lazy("You may not do this.")),
    404: ("not_found", gettext_lazy("There is nothing at this address.")),
    405: ("method_not_allowed", gettext_lazy("This address does not answer to this method; see the header Allow.")),
    413: ("too_large", gettext_lazy("The request's body is too large.")),
    500: ("internal_error", gettext_lazy("Something went wrong in the portal. The administrator finds it in the log.")),
    503: ("unavailable", gettext_lazy("A part of the portal does not answer. Try again in a moment.")),
}


def api_error(status: int, *, code: str = "", message: str = "", details: dict[str, Any] | None = None) -> JsonResponse:
    """Return an error as every script gets it; code and message default to those of the status."""
    response = JsonResponse(_body(status, code, message, details), status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def too_large() -> JsonResponse:
    """Return the API's 413, saying how much is allowed."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return api_error(
        413,
        message=_("The request's body is too large; at most %(limit)s bytes are read.") % {"limit": limit},
        details={"limit_bytes": limit},
    )


def log_id(error: BaseException, request: HttpRequest) -> str:
    """Write an unexpected error to the log and return the id under which it is found there."""
    error_id = uuid.uuid4().hex[:12]
    logger.error("Error %s at %s %s", error_id, request.method, request.path, exc_info=error)
    return error_id


def api_errors(get_response: GetResponse) -> GetResponse:
    """Middleware: under /api/ refuse bodies that are too large, and give every error the API's shape."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PREFIX):
            return get_response(request)
        return _in_shape(_refusal(request) or get_response(request))

    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer Django's handler400; a body that is too large gets 413 and says so."""
    if not isinstance(exception, RequestDataTooBig):
        return defaults.bad_request(request, exception)
    body = loader.render_to_string("413.html", {"limit_bytes": settings.DATA_UPLOAD_MAX_MEMORY_SIZE}, request)
    return HttpResponse(body, status=413)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer Django's handler404, without drawing a page where a script asks."""
    return api_error(404) if request.path.startswith(API_PREFIX) else defaults.page_not_found(request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer Django's CSRF_FAILURE_VIEW: the 403 page, with what to do about it."""
    if request.path.startswith(API_PREFIX):
        return api_error(403, code="csrf_failed")
    sentence = _("This page was open for too long, or cookies are switched off. Go back, reload it and try again.")
    return HttpResponse(loader.render_to_string("403.html", {"exception": sentence}, request), status=403)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return 413 for a request that announces a body over the limit, before anything reads it."""
    announced = str(request.META.get("CONTENT_LENGTH") or "0")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return too_large() if limit and announced.isdigit() and int(announced) > limit else None


def _in_shape(response: HttpResponse) -> HttpResponse:
    """Turn an error that Django or Ninja answered in another shape into ours, keeping its headers (405's Allow)."""
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code >= 400 and not response.headers.get("Content-Type", "").startswith("application/json"):
        response.content = json.dumps(_body(response.status_code)).encode()
        response.headers["Content-Type"] = "application/json"
    if not response.streaming:
        response.headers["Content-Length"] = str(len(response.content))
    return response


def _body(status: int, code: str = "", message: str = "", details: dict[str, Any] | None = None) -> dict[str, Any]:
    usual_code, usual_message = _BY_STATUS.get(status, _BY_STATUS[400 if status < 500 else 500])
    return {"error": {"code": code or usual_code, "message": message or str(usual_message), "details": details or {}}}
