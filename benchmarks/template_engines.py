"""Django's templates beside Jinja2: the same fifty machines, drawn by the portal's own templates and by a copy.

Run it by `python -m benchmarks.template_engines`; docs/decisions.md has the figures the decision stands on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.scratch import fill, portal_in_process

ROUNDS = 60
MACHINES = 10_000
ROWS = '{% for sight in list.rows %}{% include "lifecycle/machine_row.html" %}{% endfor %}'


def main() -> None:
    """Print what both engines and the rest of the request take, interleaved so that noise hits all alike."""
    with portal_in_process():
        fill(MACHINES)
        from django.contrib.auth.models import User
        from django.http import QueryDict
        from django.template import engines
        from django.test import Client

        from lifecycle.list_page import ListPage

        admin = User.objects.create_superuser("admin")
        client = Client()
        client.force_login(admin)
        page = ListPage(admin, QueryDict())
        django, jinja = engines["django"].from_string(ROWS), _jinja()
        assert _words(django.render({"list": page})) == _words(jinja.render(list=page))
        calls: dict[str, Callable[[], object]] = {
            "fifty rows, Django's templates": lambda: django.render({"list": page}),
            "the same rows, Jinja2": lambda: jinja.render(list=page),
            "their queries, with either": lambda: ListPage(admin, QueryDict()),
            "the whole request as it is": lambda: client.get("/"),
        }
        samples: dict[str, list[float]] = {what: [] for what in calls}
        for _ in range(ROUNDS):
            for what, call in calls.items():
                samples[what].append(_cpu_milliseconds(call))
    print(figures.table([figures.of(what, found, "ms of CPU") for what, found in samples.items()]))


def _jinja() -> Any:
    from django.utils.translation import gettext, ngettext
    from jinja2 import Environment, FileSystemLoader

    from lifecycle.templatetags import operations
    from machines.templatetags import portal

    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        extensions=["jinja2.ext.i18n"],
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    filters = ("state_word", "size", "first_addresses", "more_label")
    environment.filters |= {name: getattr(portal, name) for name in filters}
    environment.globals |= {
        "icon_use": portal.icon_use,
        "since": portal.since,
        "operation_button": operations.operation_button,
    }
    return environment.get_template("rows.jinja")


def _cpu_milliseconds(call: Callable[[], object]) -> float:
    begin = time.thread_time()
    call()
    return (time.thread_time() - begin) * 1000


def _words(html: str) -> list[str]:
    """Return the text and tags of a page without the white space between them."""
    return html.replace(">", "> ").replace("<", " <").split()


if __name__ == "__main__":
    main()
