"""Mails of notices: collected for a few seconds, one mail for each person and minute, each notice in one mail at most.

A turn to write to somebody and the notices it takes are claimed by compare-and-swap in one transaction, before the mail
is sent. So a worker that is killed after that leaves notices marked as mailed whose mail may not have gone: of the two,
a lost mail is better than the same mail again and again, since the page has every notice anyway. Where the mail server
certainly did not take it, the notices are given back and go with a later mail, for a day.
"""

from __future__ import annotations

import logging
import smtplib
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from machines.operation_table import Queue
from notices.choices import may_mail, sends_mail
from notices.models import Mailbox, Notice
from notices.reading import notices_of

log = logging.getLogger(__name__)

TASK = "notices.mail"
COLLECTED = timedelta(seconds=10)
"""How long a mail waits for more to say."""
EVERY = timedelta(minutes=1)
"""Nobody is written to more often."""
WORTH_A_MAIL = timedelta(days=1)
"""What is older has been overtaken, and is left to the page."""
LIFE = 300
"""Seconds after which a message to the workers is worthless: by then beat has sent another."""
MOST_LINES = 500
SUBJECT_LENGTH = 150


def ask(user_id: int) -> None:
    """Have somebody written to in a few seconds; asked often, it is asked once. Beat finds what is lost on the way."""
    try:
        if cache.add(f"notices:mail:{user_id}", 1, COLLECTED.total_seconds()):
            send_task(user_id, delay=COLLECTED)
    except Exception:  # whatever a broken broker or cache raises: the rows are safe, beat asks again
        log.warning("The mail to user %s could not be asked for; beat asks again", user_id, exc_info=True)


def send_task(user_id: int, *, delay: timedelta = timedelta(0)) -> None:
    """Hand the writing to one person to the workers."""
    current_app.send_task(
        TASK,
        args=[user_id],
        queue=Queue.QUICK.value,
        countdown=delay.total_seconds(),
        expires=delay.total_seconds() + LIFE,
        ignore_result=True,
    )


def due() -> list[int]:
    """Return the ids of those who are to be written to now."""
    if not sends_mail():
        return []
    now = timezone.now()
    reachable = _waiting(now).filter(user__is_active=True).exclude(user__email="")
    waiting = reachable.filter(created_at__lte=now - COLLECTED)
    turn = Q(user__mailbox=None) | Q(user__mailbox__mailed_at=None) | Q(user__mailbox__mailed_at__lte=now - EVERY)
    return list(waiting.filter(turn).order_by("user").values_list("user", flat=True).distinct())


def write_to(user_id: int) -> bool:
    """Send a person what is due in one mail; return whether one was sent. Nothing comes of it out of turn."""
    user = User.objects.filter(pk=user_id).first()
    if user is None or not may_mail(user):
        return False
    claimed_at = _claim(user)
    if claimed_at is None:
        return False
    rows = list(notices_of(user).filter(by_mail=True, mailed_at=claimed_at).order_by("pk"))
    return bool(rows) and _send(user, rows, claimed_at)


def language_of(user: User) -> str:
    """Return the language to write to somebody in."""
    known = Mailbox.objects.filter(user=user).values_list("language", flat=True).first()
    return known if known in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def remember_language(user: User) -> None:
    """Note in which language a person reads, when it is another than before."""
    language = get_language() or settings.LANGUAGE_CODE
    if language_of(user) != language:
        Mailbox.objects.update_or_create(user=user, defaults={"language": language})


def _waiting(now: datetime) -> QuerySet[Notice]:
    return Notice.objects.filter(by_mail=True, mailed_at=None, created_at__gt=now - WORTH_A_MAIL)


def _claim(user: User) -> datetime | None:
    """Take the turn and all that waits, or neither; return the moment by which these rows are marked."""
    now = timezone.now()
    Mailbox.objects.get_or_create(user=user)
    with transaction.atomic():
        turn = Q(mailed_at=None) | Q(mailed_at__lte=now - EVERY)
        if not Mailbox.objects.filter(turn, user=user).update(mailed_at=now):
            return None
        if not _waiting(now).filter(user=user).update(mailed_at=now):
            transaction.set_rollback(True)
            return None
    return now


def _send(user: User, rows: Sequence[Notice], claimed_at: datetime) -> bool:
    with override(language_of(user)):
        mail = EmailMessage(_subject(rows), _body(rows), to=[user.email], headers={"Auto-Submitted": "auto-generated"})
    try:
        return bool(mail.send())
    except Exception as error:  # what the mail server, its library or the network raise
        log.warning("A mail to user %s failed: %s", user.pk, error)
        if _certainly_not_sent(error):
            Notice.objects.filter(user=user, mailed_at=claimed_at).update(mailed_at=None)
        return False


def _certainly_not_sent(error: Exception) -> bool:
    """Return whether no server took the mail, and a later try may do better. A refused address is refused again."""
    if isinstance(error, smtplib.SMTPResponseException):
        return True
    return isinstance(error, ConnectionRefusedError | socket.gaierror)


def _subject(rows: Sequence[Notice]) -> str:
    if len(rows) == 1:
        return " ".join(rows[0].text.split())[:SUBJECT_LENGTH]
    return ngettext("%(n)s notice", "%(n)s notices", len(rows)) % {"n": len(rows)} + " · kvmportal"


def _body(rows: Sequence[Notice]) -> str:
    parts = [
        "\n".join([row.text, settings.PORTAL_URL + row.url if row.url else ""]).strip() for row in rows[:MOST_LINES]
    ]
    if len(rows) > MOST_LINES:
        parts.append(_("And %(n)s more.") % {"n": len(rows) - MOST_LINES})
    parts.append(_("All notices: %(url)s") % {"url": settings.PORTAL_URL + reverse("notices:notices")})
    profile = settings.PORTAL_URL + reverse("people:profile") + "#notices"
    parts.append(_("What you are told of, you choose on your profile page: %(url)s") % {"url": profile})
    return "\n\n".join(parts) + "\n"
