"""The REST API: who may ask, which routers answer, and what every exception becomes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from redis import RedisError

from kvmportal.errors import api_error, log_id, too_large
from machines.refused import Refused
from people.api_auth import BearerToken, CsrfFailed, LoginSession

api = NinjaAPI(
    title="kvmportal",
    version="1",
    description="Use and run your virtual machines. Errors are {“error”: {“code”, “message”, “details”}}.",
    auth=[BearerToken(), LoginSession()],
    docs_url=None,
    urls_namespace="api",
)
ROUTERS = (
    "machines.api",
    "lifecycle.names_api",  # before the API of machines, to which a name would be a wrong UUID
    "lifecycle.machines_api",  # the router of lifecycle.api, with the call that makes a machine
    "lifecycle.bulk_api",
    "lifecycle.saved_api",
    "lifecycle.host_api",
    "consoles.api",
    "consoles.sessions_api",
    "consoles.doctor_api",
    "consoles.picture_api",
    "consoles.viewer_api",
    "notices.api",
    "fleet.api",
    "audit.api",
    "sharing.api",
    "sharing.asks_api",
    "sharing.projects_api",
    "making.api",
    "assist.api",
)
for module in ROUTERS:
    api.add_router("", f"{module}.router")


@api.exception_handler(Refused)
def refused(_request: HttpRequest, exc: Refused) -> HttpResponse:
    """Answer what the portal refuses for a reason of its own, usually 409."""
    answer = api_error(exc.status, code=exc.code, message=exc.sentence, details=exc.details)
    if exc.retry_after:
        answer["Retry-After"] = str(exc.retry_after)
    return answer


@api.exception_handler(PermissionDenied)
def forbidden(_request: HttpRequest, exc: PermissionDenied) -> HttpResponse:
    """Answer 403; the message names the right that is missing."""
    return api_error(403, message=str(exc))


@api.exception_handler(CsrfFailed)
def csrf_failed(_request: HttpRequest, exc: CsrfFailed) -> HttpResponse:
    """Answer 403 to a browser that asks for a change without its CSRF token."""
    return api_error(403, code="csrf_failed", message=exc.message)


@api.exception_handler(Http404)
def not_found(_request: HttpRequest, exc: Http404) -> HttpResponse:
    """Answer 404: the same for what does not exist and for what this person may not know of."""
    return api_error(404, message=str(exc))


@api.exception_handler(ValidationError)
def bad_parameters(_request: HttpRequest, exc: ValidationError) -> HttpResponse:
    """Answer 400 and say which field is wrong and what to write; a wrong part of the path is simply not found."""
    if any(error["loc"][0] == "path" for error in exc.errors):
        return api_error(404)
    fields = {_field(error): str(error["msg"]) for error in exc.errors}
    message = " ".join(f"{field}: {sentence}." for field, sentence in fields.items())
    return api_error(400, code="bad_parameters", message=message, details={"fields": fields})


@api.exception_handler(HttpError)
def http_error(_request: HttpRequest, exc: HttpError) -> HttpResponse:
    """Answer what the framework refuses: a body that is not JSON (400), nobody signed in (401)."""
    if isinstance(exc.__cause__, ValueError | RecursionError):
        return api_error(400, code="invalid_json", message=_("Send the body as JSON: %s.") % exc.__cause__)
    return api_error(exc.status_code, message="" if exc.message == "Unauthorized" else exc.message)


@api.exception_handler(RequestDataTooBig)
def body_too_large(_request: HttpRequest, _exc: RequestDataTooBig) -> HttpResponse:
    """Answer 413 for a body whose length was not announced."""
    return too_large()


@api.exception_handler(RawPostDataException)
def not_json(_request: HttpRequest, _exc: RawPostDataException) -> HttpResponse:
    """Answer 400 for a form's body, which Django has read already."""
    return api_error(400, code="invalid_json", message=_("Send the body as JSON, not as a form."))


@api.exception_handler(UnreadablePostError)
def cut_off(_request: HttpRequest, _exc: UnreadablePostError) -> HttpResponse:
    """Answer a request whose body ended early (nobody is likely to read it)."""
    return api_error(400)


@api.exception_handler(RedisError)
def unavailable(request: HttpRequest, exc: RedisError) -> HttpResponse:
    """Answer 503 while Redis does not answer."""
    return api_error(503, details={"id": log_id(exc, request)})


@api.exception_handler(Exception)
def internal_error(request: HttpRequest, exc: Exception) -> HttpResponse:
    """Answer 500 without a word about the inside; the log has it under the id."""
    return api_error(500, details={"id": log_id(exc, request)})


def _field(error: dict[str, Any]) -> str:
    """Return a field's place as a person writes it: `parameters.mode`, not `body.payload.parameters.mode`."""
    source, *path = error["loc"]
    return ".".join(str(part) for part in (path[1:] if source == "body" else path)) or str(source)
