"""What one person sees of a machine: its row, their right, what runs on it, and a button for each operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisor.states import ACTIVE_STATES, State
from lifecycle.models import Operation
from lifecycle.operations import open_operations
from machines import quotas
from machines.access import Person, Right, rights_over
from machines.models import Machine
from machines.operation_table import SUGGESTED, TABLE, Kind, Place
from machines.quotas import Holder, Use
from machines.refusals import Refusal, RefusalCode, facts_of, refusal
from maintenance import notices
from maintenance.notices import Closure

_ANY = UUID(int=0)
_OF_SOME = frozenset({RefusalCode.STATE, RefusalCode.QUOTA})
"""What refuses some operations and not others, so that each has its own reason."""
_RIGHT_WORDS = {
    Right.SEE: gettext_lazy("helpdesk: see its state"),
    Right.VIEW: gettext_lazy("viewer: see its state and screen"),
    Right.OPERATE: gettext_lazy("operator: run it and use its screen"),
    Right.OWN: gettext_lazy("owner: everything"),
    Right.ADMIN: gettext_lazy("administrator: everything"),
}


@dataclass(frozen=True, slots=True)
class Button:
    """One operation, and why it is not possible now (None when it is)."""

    kind: Kind
    refusal: Refusal | None
    form_url: str = ""
    """The page that asks for its parameters, for those whose right reaches that far."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One machine as one person sees it. `operation` is the open one, if any; `url` is the machine's page.

    `closure` is the maintenance that lets nothing new begin, if one does.
    """

    machine: Machine
    right: Right
    operation: Operation | None
    url: str
    closure: Closure | None = None
    full: str = ""
    """Why its owner may run no more machines than run now; empty where they may."""

    @property
    def attributes(self) -> SafeString:
        """Return what scripts read from a machine's row or page (the contract's data-machine and data-state too)."""
        machine = self.machine
        unreachable = "" if machine.host.reachable else ' data-reachable="0"'
        return mark_safe(  # noqa: S308  # numbers and words of ours, and what is escaped
            f'data-machine="{machine.uuid}" data-state="{State(machine.state)}" data-version="{machine.version}"'
            f' data-right="{int(self.right)}" data-host="{machine.host_id}"{unreachable}'
            f' data-facts="{" ".join(sorted(facts_of(machine)))}"{self._full_attribute}',
        )

    @property
    def _full_attribute(self) -> SafeString:
        return format_html(' data-full="{}"', self.full) if self.full else SafeString("")

    @property
    def may_look(self) -> bool:
        """Whether this person may open its screen at all."""
        return self.right >= Right.VIEW

    @property
    def views(self) -> bool:
        """Whether this person may look at its screen."""
        return self.right >= Right.VIEW

    @property
    def operates(self) -> bool:
        """Whether this person may ask for operations."""
        return self.right >= Right.OPERATE

    @property
    def owns(self) -> bool:
        """Whether this person has the rights of an owner."""
        return self.right >= Right.OWN

    @property
    def administers(self) -> bool:
        """Whether this person has the rights of an administrator."""
        return self.right >= Right.ADMIN

    @property
    def right_words(self) -> str:
        """What this person's right lets them do."""
        return str(_RIGHT_WORDS[self.right])

    @property
    def has_screen(self) -> bool:
        """Whether the machine has a display, and this person may look at it."""
        return self.may_look and bool(self.machine.graphics)

    @property
    def shows_console(self) -> bool:
        """Whether there is a picture now that the console can show, and this person may see it."""
        return self.may_look and not self.why_no_console and self.machine.state in ACTIVE_STATES

    @property
    def why_no_console(self) -> str:
        """Why the browser's console can show nothing of it in any state; empty when it can."""
        return "" if self.machine.consoles else _("It has no display and no serial console.")

    @property
    def every(self) -> list[Button]:
        """Every operation, in the order of a machine's life."""
        return [self.button(kind) for kind in TABLE.values()]

    @property
    def buttons(self) -> list[Button]:
        """The operations that have a button of their own."""
        return [self.button(kind) for kind in TABLE.values() if kind.place is Place.BUTTON]

    @property
    def menu(self) -> list[Button]:
        """The operations of the menu “More”, and those that are asked on a page of their own."""
        return [self.button(kind) for kind in TABLE.values() if kind.place is not Place.BUTTON]

    @property
    def to_define(self) -> list[Button]:
        """The operations that bring an undefined machine back."""
        return [self.button(TABLE[name]) for name in ("define", "create")]

    @property
    def suggested(self) -> list[Button]:
        """The one or two operations that make sense next."""
        return [self.button(TABLE[name]) for name in SUGGESTED[State(self.machine.state)]]

    @property
    def obstacle(self) -> Refusal | None:
        """What stands in the way of most operations: the right, the host, another operation, not a state or a quota."""
        found = [button.refusal for button in self.buttons if button.refusal]
        return next((refusal for refusal in found if refusal.code not in _OF_SOME), None)

    def button(self, kind: Kind, given: Mapping[str, object] | None = None) -> Button:
        """Return one operation, asked with these parameters, and why it is not possible now."""
        found = refusal(
            kind,
            state=State(self.machine.state),
            right=self.right,
            host_reachable=self.machine.host.reachable,
            in_the_way=TABLE.get(self.operation.kind) if self.operation else None,
            facts=facts_of(self.machine),
            given=given,
            closure=self.closure,
            full=self.full,
        )
        form = kind.place is Place.FORM and self.right >= kind.right
        return Button(kind, found, reverse(kind.url, args=[self.machine.uuid]) if form else "")


def sights(person: Person, machines: Sequence[Machine]) -> list[Sight]:
    """Return these machines as this person sees them, in this order; those they may not see are left out.

    A constant number of queries, if host, owner and project came with the machines (`SHOWN_WITH`).
    """
    uuids = [machine.uuid for machine in machines]
    rights, running = rights_over(person, uuids), open_operations(uuids)
    closure, full = notices.closure(person), quotas.full_of_running(machines)
    url = reverse("lifecycle:machine", args=[_ANY])  # once: fifty times it would be a tenth of the list
    return [
        Sight(
            machine,
            rights[machine.uuid],
            running.get(machine.uuid),
            url.replace(str(_ANY), str(machine.uuid)),
            closure,
            _why_full(machine, full),
        )
        for machine in machines
        if machine.uuid in rights
    ]


def _why_full(machine: Machine, full: Mapping[Holder, Use]) -> str:
    """Say that one more running machine would be too many for its owner."""
    use = full.get(holder) if full and (holder := quotas.holder_of(machine)) else None
    return quotas.over_sentence(replace(use, used=use.used + 1), machine.holder) if use else ""


def sight(person: Person, machine: Machine) -> Sight:
    """Return one machine as someone who may see it sees it."""
    return sights(person, [machine])[0]
