"""The Celery tasks of consoles."""

from __future__ import annotations

import logging

from celery import shared_task

from consoles import recordings

log = logging.getLogger(__name__)


@shared_task(name="consoles.delete_old_recordings", ignore_result=True)
def delete_old_recordings() -> None:
    """Settle recordings whose proxy died, and delete those that are kept for long enough."""
    recordings.settle()
    if deleted := recordings.delete_old():
        log.info("%d old recordings were deleted", deleted)
