"""Ends what was given for a time: grants and links past their moment, which then end sockets and consoles too.

Every query of `machines.access` leaves them out from that moment on; this only tells those who stand on them. Each
watcher does it once a second: two that meet tell the same twice, which harms nobody.
"""

from __future__ import annotations

from django.utils import timezone

from machines.models import Grant, ShareLink


def end_expired() -> int:
    """Delete expired grants and links, one by one so that each is told; return how many."""
    now, ended = timezone.now(), 0
    for model in (Grant, ShareLink):
        for row in model._default_manager.filter(expires_at__lte=now):
            row.delete()
            ended += 1
    return ended
