"""The Celery task of help: beat's regular look, so that what a process failed to do is done all the same."""

from __future__ import annotations

import logging

from celery import shared_task

log = logging.getLogger(__name__)


@shared_task(name="assist.look_after", ignore_result=True)
def look_after() -> None:
    """End what is past its time, give requests their pictures, and send mails that are due."""
    from assist import mails, standing

    if ended := standing.end_overdue():
        log.info("%d assists were ended: their time was up", ended)
    standing.attach_pictures()
    mails.send_due()
