"""The Celery tasks of notices. Repeated and late messages are harmless: mails are claimed by compare-and-swap."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from notices import mailing
from notices.models import Notice

log = logging.getLogger(__name__)


@shared_task(name=mailing.TASK, ignore_result=True)
def mail(user_id: int) -> None:
    """Write to one person, when it is their turn and there is something to say."""
    mailing.write_to(user_id)


@shared_task(name="notices.mail_due", ignore_result=True)
def mail_due() -> None:
    """Have everybody written to whose turn came since, or whose message was lost; each in a task of its own."""
    for user_id in mailing.due():
        mailing.send_task(user_id)


@shared_task(name="notices.delete_old", ignore_result=True)
def delete_old() -> None:
    """Delete notices that are kept for long enough, read or not."""
    limit = timezone.now() - timedelta(days=settings.NOTICES_DAYS)
    deleted, _by_model = Notice.objects.filter(created_at__lt=limit).delete()
    if deleted:
        log.info("%d old notices were deleted", deleted)
