"""What a request is signed in by: a browser's login session or an API token. Consoles and sockets live on one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from people.models import ApiToken
from people.signals import logins_ended


def login_of(request: HttpRequest) -> str:
    """Return `token:<id>` for a request by API token, else `session:<session key>`."""
    token: ApiToken | None = getattr(request, "api_token", None)
    return f"token:{token.pk}" if token else f"session:{request.session.session_key}"


def login_digest(login: str) -> str:
    """Return the SHA-256 under which a login may be named outside the database (Redis, group names)."""
    return hashlib.sha256(login.encode()).hexdigest()


def is_alive(login: str, user_id: int) -> bool:
    """Return whether this login still signs in this user (at most two queries).

    A login session ends with its row, with its time, and with the password it was made under.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return False
    kind, _, key = login.partition(":")
    if kind == "token":
        return ApiToken.objects.filter(pk=key, user_id=user_id).exists()
    session = Session.objects.filter(session_key=key, expire_date__gt=timezone.now()).first()
    return session is not None and _signs_in(session, user)


def alive_among(logins: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return which of these logins still sign in that user (see `is_alive`). Three queries for all."""
    users = User.objects.filter(is_active=True).in_bulk({user for _, user in logins})
    tokens = ApiToken.objects.filter(pk__in=_keys("token", logins)).values_list("pk", "user_id")
    sessions = Session.objects.filter(session_key__in=_keys("session", logins), expire_date__gt=timezone.now())
    by_login = {f"session:{session.session_key}": session for session in sessions}
    alive = {(f"token:{token}", user) for token, user in tokens if user in users}
    for login, user in logins:
        if login in by_login and user in users and _signs_in(by_login[login], users[user]):
            alive.add((login, user))
    return alive & set(logins)


def logins_of(user: User) -> list[UserSession]:
    """Return the login sessions in which this person is signed in, the newest first. Two queries."""
    rows = list(UserSession.objects.filter(user=user).order_by("-created_at", "-pk"))
    keys = [row.session_key for row in rows]
    sessions = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    alive = {session.session_key for session in sessions if _signs_in(session, user)}
    return [row for row in rows if row.session_key in alive]


def end_session(key: str) -> None:
    """End a login session; consoles and sockets that live on it end with it."""
    for session in Session.objects.filter(session_key=key):
        session.delete()


def end_own_login(request: HttpRequest, login: UserSession) -> None:
    """End one login session of this request's user, and tell who listens (`people.signals`)."""
    end_session(login.session_key)
    logins_ended.send(UserSession, request=request, count=1)


@receiver(post_delete, sender=Session)
def _forget_login(instance: Session, **_: Any) -> None:
    UserSession.objects.filter(session_key=instance.session_key).delete()


def end_other_sessions(request: HttpRequest) -> None:
    """Sign this request's user out of every other browser, and tell who listens (`people.signals`).

    Reads all sessions: for rare moments only.
    """
    if count := end_sessions_of([request.user.pk or 0], but=request.session.session_key):
        logins_ended.send(UserSession, request=request, count=count)


def sessions_of(users: Collection[int]) -> dict[int, list[str]]:
    """Return the keys of the login sessions of each of these users. Reads all sessions: for rare moments only."""
    found: dict[int, list[str]] = {user: [] for user in users}
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        user = str(session.get_decoded().get(SESSION_KEY, ""))
        if user.isdecimal() and int(user) in found:
            found[int(user)].append(session.session_key)
    return found


def end_sessions_of(users: Collection[int], *, but: str | None = None) -> int:
    """Sign these users out of every browser, but the one with this session key; return how many that were.

    What lives on the sessions (sockets, consoles) ends with them, after the commit.
    """
    keys = {key for mine in sessions_of(users).values() for key in mine} - {but}
    rows = list(Session.objects.filter(session_key__in=keys))
    for row in rows:
        row.delete()
    return len(rows)


def _keys(kind: str, logins: Collection[tuple[str, int]]) -> set[str]:
    return {login.partition(":")[2] for login, _ in logins if login.startswith(f"{kind}:")}


def _signs_in(session: Session, user: User) -> bool:
    content = session.get_decoded()
    return content.get(SESSION_KEY) == str(user.pk) and constant_time_compare(
        content.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
    )
