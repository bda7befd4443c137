"""The one place where notices are made: who is to be told is decided by who calls, whether and how by their choices."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from machines import push
from machines.models import Machine
from notices import mailing
from notices.choices import choices_about, may_mail
from notices.kinds import KINDS
from notices.models import Notice


def tell(
    kind_name: str,
    users: Collection[int],
    *,
    key: str,
    machine: Machine | None = None,
    url: str = "",
    parameters: dict[str, Any],
) -> None:
    """Tell these people, after the commit of what they are told of. Told again under the same `key`, it is told once.

    `parameters` are plain values for the kind's sentence; `how` names the sentence. Open pages hear of it at once,
    mails are collected for a few seconds.
    """
    kind = KINDS[kind_name]
    rows = [
        Notice(
            user=user,
            key=key,
            kind=kind.name,
            parameters=parameters,
            machine=machine,
            url=url,
            in_page=choice.page,
            by_mail=choice.mail and may_mail(user),
        )
        for user, choice in (choices_about(kind, users) if users else [])
    ]
    wanted = [row for row in rows if row.in_page or row.by_mail]
    if not wanted:
        return
    Notice.objects.bulk_create(wanted, ignore_conflicts=True)
    push.notices(row.user_id for row in wanted if row.in_page)
    for row in wanted:
        if row.by_mail:
            mailing.ask(row.user_id)
