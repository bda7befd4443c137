"""People at a machine's console, as the portal's API and the proxy's reports put them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from consoles import sessions
from consoles.models import ConsoleSession
from machines.models import Machine
from tests.consoles.test_tickets import ask


@dataclass(frozen=True)
class Seat:
    """One open console of one person, who acts through it."""

    client: Client
    session: str

    @property
    def row(self) -> ConsoleSession:
        """The session as it is now."""
        return ConsoleSession.objects.get(pk=self.session)

    @property
    def mode(self) -> str:
        """What it may do now."""
        return self.row.mode

    def act(self, action: str, to: Seat | None = None) -> Any:
        """Ask, grant, refuse, take, withdraw or give back control."""
        body = {"action": action} | ({"to": to.session} if to else {})
        return self.client.post(f"/api/v1/consoles/{self.session}/control", body, content_type="application/json")

    def post(self, what: str, body: object = None) -> HttpResponse:
        """Call another of the session's calls."""
        return self.client.post(f"/api/v1/consoles/{self.session}/{what}", body or {}, content_type="application/json")

    def events(self) -> list[tuple[str, User | None]]:
        """What the audit says happened to it, and by whom."""
        return [(event.kind, event.by) for event in self.row.events.select_related("by")]


def sit_down(client: Client, machine: Machine, mode: str = "control", protocol: str = "vnc") -> Seat:
    """Open a console: tickets from the portal, and the proxy's report that one was used."""
    answer = ask(client, machine, mode=mode, protocol=protocol)
    assert answer.status_code == 201, answer.content
    session = answer.json()["session"]
    ConsoleSession.objects.filter(pk=session).update(opened_at=timezone.now())
    return Seat(client, session)


def ends(seat: Seat) -> None:
    """Let the proxy report that it was closed."""
    sessions.close(ConsoleSession.objects.filter(pk=seat.session), sessions.Ending.LEFT)
