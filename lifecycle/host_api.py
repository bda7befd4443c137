"""API: testing the connection to a host. For administrators; to everybody else no host exists."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema
from ninja import Status as Answer

from lifecycle import host_tests
from lifecycle.models import HostTest, Status
from lifecycle.page_requests import user_of
from machines.access import host_or_404

router = Router()
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class HostTestErrorOut(Schema):
    """Why a test failed, in a stable word, and what libvirt itself said."""

    code: str
    text: str


class HostTestOut(Schema):
    """One test of a host's connection. `facts`: `milliseconds` and, when it succeeded, what the host said."""

    id: int
    host: int
    status: Status
    message: str
    error: HostTestErrorOut | None
    facts: dict[str, Any]
    requested_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.post("/hosts/{host_id}/tests", response={202: HostTestOut}, summary="Test a host's connection", tags=["hosts"])
def test_host(request: HttpRequest, host_id: Id) -> Answer[dict[str, Any]]:
    """Have a fresh connection opened; look at the test until it has ended. While one is open, that one is answered."""
    test = host_tests.request(host_or_404(request.user, pk=host_id), by=user_of(request))
    return Answer(202, dict(host_tests.host_test_payload(test)))


@router.get("/hosts/{host_id}/tests/{test_id}", response=HostTestOut, summary="Look at a test", tags=["hosts"])
def host_test(request: HttpRequest, host_id: Id, test_id: Id) -> dict[str, Any]:
    """Answer how a connection test goes, or how it ended."""
    host = host_or_404(request.user, pk=host_id)
    test = HostTest.objects.select_related("requested_by").filter(host=host, pk=test_id).first()
    if test is None:
        raise Http404(_("There is no such test."))
    return dict(host_tests.host_test_payload(test))
