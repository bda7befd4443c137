"""Recordings of consoles: their rows, who may see them, and their end. The tapes are written by console proxies."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from consoles.models import ConsoleEvent, ConsoleSession, EventKind, Recording
from machines.access import Person, Right, machine_or_404

logger = logging.getLogger(__name__)

NEEDED = Right.OWN
"""The right over the machine that seeing its recordings takes."""


def reported(session: UUID, *, at: datetime, file: str, size: int, seconds: float) -> None:
    """Write what a proxy says of a tape: that it began (nothing in it yet), or how it ended. Late and twice is fine."""
    if not ConsoleSession.objects.filter(pk=session).exists():
        return
    began = at - timedelta(seconds=seconds)
    Recording.objects.get_or_create(session_id=session, defaults={"file": Path(file).name, "started_at": began})
    if seconds:
        Recording.objects.filter(session_id=session).update(ended_at=at, bytes=size, seconds=seconds)


def tape(recording: Recording) -> Path:
    """Return where its tape is."""
    return Path(settings.RECORDINGS_DIR) / recording.file


def recording_or_404(person: Person, pk: int) -> Recording:
    """Fetch a recording for an owner of its machine or an administrator, and note that it is looked at.

    Raises:
        Http404: there is no such recording (any more), or this person may not know of its machine.
        PermissionDenied: the machine may be seen, but not its recordings.
    """
    found = Recording.objects.select_related("session__user", "session__machine").filter(pk=pk).first()
    if found is None:
        raise Http404(_("There is no such recording (any more)."))
    machine_or_404(person, found.session.machine_id, NEEDED)
    return found


def watched(recording: Recording, person: Person) -> None:
    """Note in the audit that someone looks at a recording."""
    ConsoleEvent.objects.create(session=recording.session, kind=EventKind.WATCHED, by_id=person.pk)


def settle() -> int:
    """Write the end of tapes whose proxy died over them; return how many there were."""
    lost = Recording.objects.filter(ended_at=None, session__ended_at__isnull=False).select_related("session")
    count = 0
    for recording in lost:
        status = tape(recording).stat() if tape(recording).exists() else None
        ended = datetime.fromtimestamp(status.st_mtime, UTC) if status else recording.started_at
        recording.ended_at = ended
        recording.bytes = status.st_size if status else 0
        recording.seconds = max(0.0, (ended - recording.started_at).total_seconds())
        recording.save(update_fields=["ended_at", "bytes", "seconds"])
        count += 1
    return count


def delete_old() -> int:
    """Delete recordings older than RECORDINGS_DAYS, first the tape and then its row; return how many."""
    limit = timezone.now() - timedelta(days=settings.RECORDINGS_DAYS)
    count = 0
    for recording in Recording.objects.filter(started_at__lt=limit):
        try:
            tape(recording).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("a recording cannot be deleted, trying again later: %s", error)
            continue
        recording.delete()
        count += 1
    return count
