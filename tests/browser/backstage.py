"""Runs Python in a process of the live portal, for what a test changes behind the scenes.

As `python -m tests.browser.backstage` it reads {"code": ..., "names": ...} from each line of standard input and answers
{"value": ...} or {"error": ...}. The code sees User, Machine, Grant, Operation and the like, and answers in `value`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Self

from kvmportal.environment import ROOT


class Backstage:
    """The test's end of that process; a context manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.backstage"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(self, code: str, **names: Any) -> Any:
        """Run the code with these names; return what it left in `value`."""
        self._process.stdin.write(json.dumps({"code": code, "names": names}) + "\n")
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def serve() -> None:
    """Answer until standard input ends."""
    import django

    django.setup()
    from django.contrib.auth.models import Group, User
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    from consoles.models import ConsoleSession
    from lifecycle.models import Operation
    from machines.models import Grant, Host, Machine
    from people.models import ApiToken

    known = {
        each.__name__: each
        for each in (ApiToken, ConsoleSession, Grant, Group, Host, Machine, Operation, Session, User)
    }
    for line in sys.stdin:
        asked = json.loads(line)
        names = {**known, "timezone": timezone, "value": None, **asked["names"]}
        try:
            exec(asked["code"], names)  # noqa: S102 - the tests' own code
            answer = {"value": names["value"]}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    serve()
