"""What people chose to be told of, and whether the portal can write to them at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.conf import global_settings, settings
from django.contrib.auth.models import User

from notices.kinds import KINDS, Kind, Words
from notices.models import NoticeChoice
from people.roles import is_administrator

NO_MAIL = "django.core.mail.backends.dummy.EmailBackend"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether one kind is shown in the page and sent by mail."""

    kind: Kind
    page: bool
    mail: bool

    @property
    def label(self) -> Words:
        """What it is about."""
        return self.kind.label


def sends_mail() -> bool:
    """Return whether an administrator has told this portal how to send mail, and from which address."""
    return settings.EMAIL_BACKEND != NO_MAIL and settings.DEFAULT_FROM_EMAIL != global_settings.DEFAULT_FROM_EMAIL


def may_mail(user: User) -> bool:
    """Return whether the portal can write to this person."""
    return user.is_active and bool(user.email) and sends_mail()


def choices_of(user: User) -> list[Choice]:
    """Return what holds for this person, for every kind of the table that they may be told of."""
    chosen = {row.kind: row for row in NoticeChoice.objects.filter(user=user)}
    kinds = [kind for kind in KINDS.values() if not kind.administrators or is_administrator(user)]
    return [_choice(kind, chosen.get(kind.name)) for kind in kinds]


def choices_about(kind: Kind, users: Collection[int]) -> list[tuple[User, Choice]]:
    """Return those of these people who may sign in, each with what holds for them; two queries for any number."""
    chosen = {row.user_id: row for row in NoticeChoice.objects.filter(user__in=users, kind=kind.name)}
    people = User.objects.filter(pk__in=users, is_active=True).order_by("pk")
    return [(user, _choice(kind, chosen.get(user.pk))) for user in people]


def choose(user: User, wanted: Mapping[str, tuple[bool, bool]]) -> None:
    """Keep what a person chose: for names of kinds, whether in the page and whether by mail."""
    rows = [
        NoticeChoice(user=user, kind=name, page=page, mail=mail)
        for name, (page, mail) in wanted.items()
        if name in KINDS
    ]
    NoticeChoice.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["user", "kind"], update_fields=["page", "mail"]
    )


def _choice(kind: Kind, row: NoticeChoice | None) -> Choice:
    return Choice(kind, row.page, row.mail) if row else Choice(kind, kind.page, kind.mail)
