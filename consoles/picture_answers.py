"""What is answered to those who look at pictures of screens; pages and API answer the same."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.request import HttpHeaders

from consoles import picture_shelf, thumbnails
from consoles.picture_sizes import Size
from machines.access import Person, Right, machine_or_404, rights_over
from machines.models import Machine

CACHING = "private, no-cache"
"""A browser may keep a picture but asks each time, so that nobody sees one whom the right was taken from."""


def want(person: Person, machines: Collection[UUID], size: Size) -> tuple[dict[UUID, int | None], set[UUID]]:
    """Note that this person looks at the screens of these machines now.

    Returns:
        The version of the last picture of each machine that has a screen now, null where there is none yet; and those
        for which pictures are switched off. Machines that this person may not look at are left out.
    """
    rights = rights_over(person, machines)
    seen = [machine for machine, right in rights.items() if right >= Right.VIEW]
    rows = Machine.objects.order_by().filter(pk__in=seen).select_related("host").defer("definition_xml")
    with_screens = {row.pk: row for row in rows if thumbnails.has_screen(row)}
    off = thumbnails.switched_off(with_screens.keys())
    shown = {pk: row.host_id for pk, row in with_screens.items() if pk not in off}
    picture_shelf.want(shown, size)
    versions = picture_shelf.versions(shown, size)
    return {machine: versions.get(machine) for machine in shown}, off


def picture(request: HttpRequest, uuid: UUID, size: Size) -> HttpResponse:
    """Answer the last picture of a machine's screen, 204 when there is none; and note that somebody wants one.

    Raises:
        Http404, PermissionDenied: this person may not look at it.
    """
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    if not thumbnails.has_screen(machine) or thumbnails.switched_off([machine.pk]):
        return _uncached(HttpResponse(status=204))
    return current(machine, size, request.headers)


def current(machine: Machine, size: Size, headers: HttpHeaders) -> HttpResponse:
    """Answer the last picture of a machine whose screen may be shown to its reader now."""
    picture_shelf.want({machine.pk: machine.host_id}, size)
    found = picture_shelf.picture(machine.pk, size)
    if found is None:
        return _uncached(HttpResponse(status=204))
    etag = f'"{size}-{found.version}"'
    known = etag in headers.get("If-None-Match", "")
    answer = HttpResponseNotModified() if known else HttpResponse(found.image, content_type="image/webp")
    answer["ETag"] = etag
    answer["Cache-Control"] = CACHING
    return answer


def _uncached(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer
