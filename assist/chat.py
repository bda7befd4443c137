"""The chat beside a console during an assist: plain text between its user and its helper."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from assist.models import Assist, ChatMessage, State
from assist.parties import Party, moved_on, parties
from assist.payload import chat_payload
from machines import push
from machines.access import Person
from machines.refused import Refused

LONGEST = 1000
"""Characters of one message."""
AT_MOST, WITHIN = 10, timedelta(seconds=10)
"""How many messages one person may write within that time."""
OPEN_IN = frozenset({State.TAKEN, State.ACTIVE})
_BOTH_SIDES = frozenset({Party.USER, Party.HELPER})
_READERS = _BOTH_SIDES | {Party.ADMIN}


def may_read(person: Person, assist: Assist) -> bool:
    """Return whether this person may read the chat: both sides, and administrators."""
    return bool(_READERS & parties(person, assist))


def may_write(person: Person, assist: Assist) -> bool:
    """Return whether this person may write into it now."""
    return assist.state in OPEN_IN and bool(_BOTH_SIDES & parties(person, assist))


def messages_of(assist: Assist, person: Person, *, after: int = 0) -> QuerySet[ChatMessage]:
    """Return what was written after that message, oldest first.

    Raises:
        PermissionDenied: it is between others.
    """
    if not may_read(person, assist):
        raise PermissionDenied(_("This chat is between its user and its helper."))
    return ChatMessage.objects.filter(assist=assist, pk__gt=after).select_related("by")


def say(assist: Assist, by: User, text: str) -> ChatMessage:
    """Write a message; both sides see it at once.

    Raises:
        PermissionDenied: it is between others.
        Refused: the assist is not at work, there is nothing to say, it is too long, or too much was said.
    """
    if not _BOTH_SIDES & parties(by, assist):
        raise PermissionDenied(_("This chat is between its user and its helper."))
    if assist.state not in OPEN_IN:
        raise moved_on(assist)
    plain = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t").strip()
    if not plain or len(plain) > LONGEST:
        sentence = _("Write 1 to %(count)d characters.") % {"count": LONGEST}
        raise Refused("bad_message", sentence, status=400, details={"limit": LONGEST})
    with transaction.atomic():
        User.objects.order_by().select_for_update(no_key=True).filter(pk=by.pk).values_list("pk").first()
        _check_pace(by)
        message = ChatMessage.objects.create(assist=assist, by=by, text=plain)
        push.chat({pk for pk in (assist.user_id, assist.helper_id) if pk}, {"message": chat_payload(message)})
    return message


def _check_pace(by: User) -> None:
    if ChatMessage.objects.filter(by=by, at__gt=timezone.now() - WITHIN).count() >= AT_MOST:
        sentence = _("You write very fast. Wait a few seconds.")
        raise Refused("too_fast", sentence, status=429, details={"retry_after": int(WITHIN.total_seconds())})
