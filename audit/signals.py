"""What the trail hears by itself: sign-ins, grants, owners, users, groups, tokens, hosts, the admin's log.

An app above adds its own rows by one line, `watch(...)`, in its AppConfig.ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry, LogEntryManager
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import m2m_changed, post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest

from audit import trail
from audit.asking import Asker, address_of, asker
from audit.models import Entry, Via
from audit.watching import named, watch
from machines.models import Grant, Host, Machine, ShareLink, Visit
from people.models import ApiToken, Membership, Project, Quota
from people.signals import logins_ended, token_used

ADMIN_KINDS = {ADDITION: "admin.added", CHANGE: "admin.changed", DELETION: "admin.deleted"}

watch(Grant, "grant", ("user", "group", "project", "role", "expires_at"), machine=lambda grant: grant.machine)
watch(ShareLink, "link", ("role", "expires_at", "most_uses", "made_by"), machine=lambda link: link.machine)
watch(Visit, "visit", ("user", "role", "until", "ended_at"), machine=lambda visit: visit.machine)
watch(Machine, "machine", ("owner", "project"), machine=lambda machine: machine)
watch(Project, "project", ("name",))
watch(Quota, "quota", ("project", "user", "machines", "vcpus", "memory_mib", "disk_gib", "snapshots", "running"))
watch(Membership, "member", ("project", "user", "role"))
watch(User, "user", ("username", "is_active", "is_staff", "is_superuser"), secrets=("password",))
watch(Group, "group", ("name",))
watch(ApiToken, "token", ("user", "name"))
watch(Host, "host", ("name", "uri", "enabled"))


@receiver(user_logged_in)
def on_login(user: User, request: HttpRequest | None = None, **_: Any) -> None:
    """Write who signed in; by what, where Django knows it."""
    backend = str(getattr(user, "backend", "")).rpartition(".")[2]
    trail.record("login.ok", who=user, by=_from(request), backend=backend)


@receiver(user_logged_out)
def on_logout(user: User | None, request: HttpRequest | None = None, **_: Any) -> None:
    """Write who signed out; a session that nobody was signed in with is nothing for the trail."""
    if user is not None:
        trail.record("login.out", who=user, by=_from(request))


@receiver(logins_ended)
def on_logins_ended(request: HttpRequest, count: int, **_: Any) -> None:
    """Write that somebody signed other browsers of theirs out."""
    trail.record("login.ended", by=_from(request), count=count)


@receiver(user_login_failed)
def on_failed_login(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Write that someone was not let in: the user, where there is one of that name.

    Any other name is left out: people write their password into the wrong field.
    """
    name = str(credentials.get("username") or "").replace("\0", "")[:150]
    user = User.objects.filter(username=name).first() if name else None
    detail: dict[str, Any] = {} if user else {"unknown": True}
    trail.record("login.failed", who=user, by=_from(request), **detail)


@receiver(token_used)
def on_token_used(token: ApiToken, request: HttpRequest, **_: Any) -> None:
    """Write that an API token is in use: once a day, not for each request."""
    by = Asker(token.user, via=Via.TOKEN, address=address_of(request), token=token.pk)
    trail.record("token.used", by=by, id=token.pk, name=token.name)


@receiver(m2m_changed, sender=User.groups.through)
def on_membership(instance: User | Group, action: str, pk_set: set[int] | None, **_: Any) -> None:
    """Write who joined or left which group."""
    if action in {"post_add", "post_remove"} and pk_set:
        _record_members("joined" if action == "post_add" else "left", instance, pk_set)
    elif action == "pre_clear":
        others = instance.user_set if isinstance(instance, Group) else instance.groups
        _record_members("left", instance, others.values_list("pk", flat=True))


@receiver(pre_delete, sender=Group)
def on_group_deleted(instance: Group, **_: Any) -> None:
    """Write that its members left it: Django sends no word of that."""
    _record_members("left", instance, instance.user_set.values_list("pk", flat=True))


@receiver(pre_delete, sender=User)
def on_user_deleted(instance: User, **_: Any) -> None:
    """Write that the user left their groups and machines: Django sends no word of that."""
    _record_members("left", instance, instance.groups.values_list("pk", flat=True))
    owner = {"owner": named(instance)}
    trail.record_all(
        trail.entry("machine.changed", machine, id=machine.pk, before=owner, after={"owner": None}, changed=["owner"])
        for machine in instance.machines.only("pk", "name")
    )


@receiver(post_save, sender=LogEntry)
def on_admin_log(instance: LogEntry, created: bool, **_: Any) -> None:
    """Write what was done in the administration, as its own log has it: which object, which fields."""
    if created:
        _admin_entry(instance).save(force_insert=True)


def _admin_entry(row: LogEntry) -> Entry:
    """Return the entry for a row of the admin's log. That keeps names of fields, never what is in them."""
    model = row.content_type
    machine = None
    if model is not None and model.model_class() is Machine:
        machine = Machine.objects.filter(pk=str(row.object_id)).only("pk", "name").first()
    return trail.entry(
        ADMIN_KINDS.get(row.action_flag, "admin.changed"),
        machine,
        who=row.user,
        object=f"{model.app_label}.{model.model}" if model else "",
        id=row.object_id,
        name=row.object_repr,
        said=row.get_change_message(),
    )


def _record_members(what: str, instance: User | Group, others: Iterable[int]) -> None:
    """Write an entry for each pair of a user and a group."""
    if isinstance(instance, User):
        pairs = [(instance, group) for group in Group.objects.filter(pk__in=list(others))]
    else:
        pairs = [(user, instance) for user in User.objects.filter(pk__in=list(others))]
    trail.record_all(trail.entry(f"group.{what}", user=named(user), group=named(group)) for user, group in pairs)


def _from(request: HttpRequest | None) -> Asker | None:
    return asker(request) if request is not None else None


def _telling(log_actions: Callable[..., Any]) -> Callable[..., Any]:
    """Tell the trail of several rows that Django's log writes at once: that sends no signal, and has no other hook."""

    @wraps(log_actions)
    def log_and_tell(*args: Any, **kwargs: Any) -> Any:
        written = log_actions(*args, **kwargs)
        if isinstance(written, list) and len(written) > 1:
            trail.record_all(map(_admin_entry, written))
        return written

    return log_and_tell


LogEntryManager.log_actions = _telling(LogEntryManager.log_actions)  # type: ignore[method-assign]
