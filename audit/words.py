"""An entry in words: what happened, for pages and for exports' readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.kinds import kind_word
from audit.models import Entry
from machines.operation_table import TABLE
from machines.templatetags.portal import duration, size

Detail = dict[str, Any]


def what(entry: Entry) -> str:
    """Return what an entry is, in a few words."""
    return kind_word(entry.kind)


def told(entry: Entry) -> str:
    """Return what an entry says beside its kind, its person and its machine; empty where that is all."""
    family, _dot, act = entry.kind.partition(".")
    telling = _TELLING.get(family, _of_anything)
    return telling(act, entry.detail)


def _of_login(act: str, detail: Detail) -> str:
    if detail.get("unknown"):
        return _("a name that nobody has")
    if act == "ended":
        return ngettext("%(count)d browser", "%(count)d browsers", detail["count"]) % {"count": detail["count"]}
    return str(detail.get("backend", ""))


def _of_operation(act: str, detail: Detail) -> str:
    kind = TABLE.get(detail.get("kind", ""))
    parts = [str(kind.label) if kind else str(detail.get("kind", ""))]
    parts += [f"{name}: {_value(value)}" for name, value in detail.get("parameters", {}).items()]
    if act == "ended":
        parts.append(" ".join(filter(None, [str(detail.get("status", "")), str(detail.get("error", ""))])))
        if detail.get("asked_by"):
            parts.append(_("asked by %(name)s") % {"name": detail["asked_by"]})
    return " · ".join(filter(None, parts))


def _of_console(act: str, detail: Detail) -> str:
    if act in {"wanted", "opened", "closed"}:
        parts = [str(detail.get("protocol", "")), str(detail.get("mode", ""))]
        if act == "closed":
            carried = int(detail.get("to_client", 0)) + int(detail.get("from_client", 0))
            parts += [str(detail.get("reason", "")), duration(float(detail.get("seconds", 0))), size(carried)]
        return " · ".join(filter(None, parts))
    said = dict(detail.get("said", {}))
    words = [_("session of %(name)s") % {"name": detail["user"]}] if detail.get("user") else []
    if act == "typed":
        count = int(said.pop("characters", 0))
        secret = said.pop("secret", False)
        words.append(
            (
                ngettext("%d secret character", "%d secret characters", count)
                if secret
                else ngettext("%d character", "%d characters", count)
            )
            % count
        )
    return " · ".join([*words, *_pairs(said)])


def _of_change(act: str, detail: Detail) -> str:
    """Say what a row said: all of it, or only what is different."""
    before, after = detail.get("before") or {}, detail.get("after") or {}
    if act != "changed":
        return " · ".join(_pairs(after or before)) or " · ".join(_pairs(_apart(detail)))
    parts = []
    for name in detail.get("changed", []):
        if name in after:
            parts.append(f"{name}: {_value(before.get(name))} → {_value(after.get(name))}")
        else:
            parts.append(str(name))
    return " · ".join(parts)


def _of_admin(act: str, detail: Detail) -> str:
    return " · ".join(str(detail[name]) for name in ("object", "name", "said") if detail.get(name))


def _of_anything(act: str, detail: Detail) -> str:
    if {"before", "after"} & detail.keys():
        return _of_change(act, detail)
    return " · ".join(_pairs(_apart(detail)))


_TELLING: dict[str, Callable[[str, Detail], str]] = {
    "login": _of_login,
    "operation": _of_operation,
    "console": _of_console,
    "admin": _of_admin,
}


def _apart(detail: Detail) -> Detail:
    return {name: value for name, value in detail.items() if name not in {"id", "token"}}


def _pairs(values: Detail) -> list[str]:
    return [f"{name}: {_value(value)}" for name, value in values.items() if value not in (None, "", [], {})]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", value))
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return "\N{EN DASH}" if value is None else str(value)
