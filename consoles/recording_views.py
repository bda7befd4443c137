"""The page that replays a recording."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from consoles import recordings
from consoles.words import replay_words


@never_cache
@require_safe
@login_required
def recording(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the player of a recording; that someone looked is kept in the audit."""
    found = recordings.recording_or_404(request.user, pk)
    recordings.watched(found, request.user)
    return render(request, "consoles/recording.html", {"recording": found, "words": replay_words()})


@never_cache
@require_safe
@login_required
def tape(request: HttpRequest, pk: int) -> FileResponse:
    """Hand out the tape as it lies on the disk, compressed; one that is still being written is cut off."""
    found = recordings.recording_or_404(request.user, pk)
    try:
        file = recordings.tape(found).open("rb")
    except OSError as error:
        raise Http404(_("The file of this recording is gone.")) from error
    return FileResponse(file, content_type="application/octet-stream")
