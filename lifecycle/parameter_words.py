"""An operation's parameters in words, for its row and its log: files, keys and modes, never a definition's text."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from lifecycle.models import Operation
from machines.operation_table import TABLE
from machines.parameters import Choice, Flag, Parameter

LONGEST = 200


def parameter_words(operation: Operation) -> list[str]:
    """Return a phrase for each parameter that says more than the operation's name does, in the table's order.

    PostgreSQL keeps no order of its own in a JSON column.
    """
    kind = TABLE.get(operation.kind)
    known = {parameter.name: parameter for parameter in kind.parameters} if kind else {}
    given = operation.parameters
    order = [name for name in known if name in given] + [name for name in given if name not in known]
    phrases = [_phrase(known.get(name), name, given[name]) for name in order]
    return [phrase[:LONGEST] for phrase in phrases if phrase]


def _phrase(parameter: Parameter | None, name: str, value: Any) -> str:
    if parameter is None:
        return f"{name}: {_plain(value)}"
    if parameter.hidden:
        return _("with a definition of its own") if name == "xml" and value else ""
    if value == parameter.default or value in (None, "", []):
        return ""
    if isinstance(parameter, Choice):
        return str(parameter.values.get(value, value))
    if isinstance(parameter, Flag):
        return str(parameter.label) if value else _("not: %(what)s") % {"what": parameter.label}
    return f"{parameter.label}: {_plain(value)}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
