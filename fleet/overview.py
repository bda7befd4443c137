"""The fleet at a glance, for administrators: the same figures for the page and for the API.

A constant number of queries, however many hosts, machines, operations and consoles there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils import timezone

from consoles import sessions
from consoles.models import ConsoleSession
from hypervisor.states import ACTIVE_STATES, State
from lifecycle import hosts_page
from lifecycle.hosts_page import HostView, StateLink
from lifecycle.models import Operation, Status
from machines.access import Person, hosts_or_404
from machines.state_words import STATE_WORDS

FAILED = (Status.FAILED, Status.INTERRUPTED)
LATELY = timedelta(hours=24)
SHOWN = 20
"""Failed operations and open consoles that are listed; how many there are is always said."""


@dataclass(frozen=True)
class Overview:
    """What there is now. Lists are cut at SHOWN, the numbers beside them are of all."""

    hosts: Sequence[HostView]
    failed: Sequence[Operation]
    failed_count: int
    consoles: Sequence[ConsoleSession]
    console_count: int

    @property
    def machines_by_state(self) -> dict[State, int]:
        """Return how many machines there are in each state that has any."""
        numbers: Counter[State] = Counter()
        for host in self.hosts:
            for load in host.loads:
                numbers[load.state] += load.machines
        return {state: numbers[state] for state in STATE_WORDS if numbers[state]}

    @property
    def machines(self) -> int:
        """Return how many machines there are."""
        return sum(self.machines_by_state.values())

    @property
    def machines_on(self) -> int:
        """Return how many of them are on."""
        return sum(number for state, number in self.machines_by_state.items() if state in ACTIVE_STATES)

    @property
    def states(self) -> list[StateLink]:
        """Return each state with the list of its machines; as in that list, “running” counts the idle ones too."""
        numbers = self.machines_by_state
        if State.IDLE in numbers:
            numbers[State.RUNNING] = numbers.get(State.RUNNING, 0) + numbers[State.IDLE]
        return [
            StateLink(state, str(word), numbers[state], f"/?{urlencode({'state': state.value})}")
            for state, word in STATE_WORDS.items()
            if numbers.get(state)
        ]

    @property
    def alarming(self) -> int:
        """Return how many hosts somebody has to look after."""
        return sum(host.connection.alarming for host in self.hosts)

    @property
    def failed_left_out(self) -> int:
        """Return how many failed operations are not listed."""
        return self.failed_count - len(self.failed)

    @property
    def consoles_left_out(self) -> int:
        """Return how many open consoles are not listed."""
        return self.console_count - len(self.consoles)


def overview_or_404(person: Person) -> Overview:
    """Return the fleet to an administrator: hosts in trouble first, the newest failures and consoles.

    Raises:
        Http404: this person may not know of hosts.
    """
    hosts = sorted(hosts_page.all_of(hosts_or_404(person)), key=lambda view: not view.connection.alarming)
    failed, consoles = _failed(), _open_consoles()
    return Overview(hosts, list(failed[:SHOWN]), failed.count(), list(consoles[:SHOWN]), consoles.count())


def _failed() -> QuerySet[Operation]:
    rows = Operation.objects.with_machine().filter(status__in=FAILED, created_at__gte=timezone.now() - LATELY)
    return rows.order_by("-pk")


def _open_consoles() -> QuerySet[ConsoleSession]:
    rows = sessions.not_ended().filter(opened_at__isnull=False).select_related("machine", "user")
    return rows.defer("machine__definition_xml", "machine__description").order_by("-opened_at", "pk")
