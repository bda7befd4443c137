"""Who someone is to an assist, and what each may do in which state: the one table that API, pages and moves read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assist.models import Assist, Kind, State
from machines.access import Person, Right, right_over
from machines.refused import Refused
from people.roles import is_administrator, is_helpdesk


class Party(StrEnum):
    """Who someone is to an assist; one may be several."""

    USER = "user"
    HELPER = "helper"
    HELPDESK = "helpdesk"
    """Who may help, though somebody else does."""
    OWNER = "owner"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Move:
    """Something that may be done with an assist.

    - parties: who may do it, by the assist's kind.
    - states: from which.
    """

    name: str
    label: str | Promise
    icon: str
    parties: dict[Kind, frozenset[Party]]
    states: frozenset[State]
    primary: bool = False


def _by(*parties: Party) -> frozenset[Party]:
    return frozenset(parties)


_ENDING = _by(Party.USER, Party.HELPER, Party.OWNER, Party.ADMIN)
_TAKEN = frozenset({State.TAKEN})
MOVES: dict[str, Move] = {
    move.name: move
    for move in (
        Move(
            "accept",
            gettext_lazy("Let them see the screen"),
            "check",
            {Kind.ASKED: _by(Party.USER), Kind.OFFERED: _by(Party.USER)},
            _TAKEN,
            primary=True,
        ),
        Move(
            "decline",
            gettext_lazy("No"),
            "x",
            {Kind.ASKED: _by(Party.USER), Kind.OFFERED: _by(Party.USER)},
            _TAKEN,
        ),
        Move(
            "take",
            gettext_lazy("Take it"),
            "hand-finger",
            {Kind.ASKED: _by(Party.HELPDESK)},
            frozenset({State.WAITING}),
            primary=True,
        ),
        Move(
            "join",
            gettext_lazy("Open the screen"),
            "screen-share",
            dict.fromkeys(Kind, _by(Party.HELPER)),
            frozenset({State.TAKEN, State.ACTIVE}),
            primary=True,
        ),
        Move("release", gettext_lazy("Give it back"), "arrow-back-up", {Kind.ASKED: _by(Party.HELPER)}, _TAKEN),
        Move(
            "withdraw",
            gettext_lazy("Withdraw"),
            "x",
            {Kind.ASKED: _by(Party.USER), Kind.OFFERED: _by(Party.HELPER)},
            frozenset({State.WAITING, State.TAKEN}),
        ),
        Move(
            "end",
            gettext_lazy("End the help"),
            "player-stop",
            {Kind.ASKED: _ENDING, Kind.OFFERED: _ENDING, Kind.BREAK_GLASS: _by(Party.HELPER, Party.ADMIN)},
            frozenset({State.ACTIVE}),
        ),
    )
}


def helps(person: Person) -> bool:
    """Return whether this person may help others."""
    return is_administrator(person) or is_helpdesk(person)


def parties(person: Person, assist: Assist, right: Right | None = None) -> set[Party]:
    """Return who this person is to an assist; empty for a stranger.

    Args:
        person: who.
        assist: with its machine.
        right: theirs over that machine, where it is known already.
    """
    right = right_over(person, assist.machine) if right is None else right
    found: set[Party] = set()
    if person.pk and person.pk == assist.user_id:
        found.add(Party.USER)
    if person.pk and person.pk == assist.helper_id:
        found.add(Party.HELPER)
    if is_administrator(person):
        found.add(Party.ADMIN)
    if helps(person) and Party.USER not in found:
        found.add(Party.HELPDESK)
    if right >= Right.OWN:
        found.add(Party.OWNER)
    return found


def assist_or_404(person: Person, pk: int) -> Assist:
    """Fetch an assist for someone who has a part in it, owns its machine, or helps.

    Raises:
        Http404: there is none, or this person may not know of it.
    """
    rows = Assist.objects.select_related("machine__host", "machine__owner", "user", "helper", "visit")
    found = rows.defer("machine__definition_xml", "picture").filter(pk=pk).first()
    if found is None or not parties(person, found):
        raise Http404(_("There is no such request for help."))
    return found


def moves_of(person: Person, assist: Assist, right: Right | None = None) -> list[Move]:
    """Return what this person may do with an assist now; see `parties`."""
    mine = parties(person, assist, right)
    return [move for move in MOVES.values() if _is_possible(move, mine, assist)]


def check(move: Move, person: Person, assist: Assist) -> None:
    """Refuse what this person may not do, or not in this state.

    Raises:
        PermissionDenied: it is for others to do.
        Refused: it is not in a state for it; a race is told by the compare-and-swap itself.
    """
    if not move.parties.get(Kind(assist.kind), _by()) & parties(person, assist):
        raise PermissionDenied(_("This is for others to do: “%(move)s”.") % {"move": move.label})
    if move.name == "join" and assist.state == State.TAKEN and settings.ASSIST_POLICY == "consent":
        raise Refused("no_consent", _("%(user)s has not consented yet.") % {"user": assist.user})
    if assist.state not in move.states:
        raise moved_on(assist)


def moved_on(assist: Assist) -> Refused:
    """Say where an assist is now that it could not be moved, and who took it."""
    helper = assist.helper.get_username() if assist.helper else ""
    if helper and assist.is_open:
        sentence = _("%(helper)s has taken it.") % {"helper": helper}
    else:
        sentence = _("It is %(state)s now.") % {"state": State(assist.state).label}
    return Refused("assist_moved", sentence, details={"state": assist.state, "helper": helper or None})


def _is_possible(move: Move, mine: set[Party], assist: Assist) -> bool:
    if assist.state not in move.states or not move.parties.get(Kind(assist.kind), _by()) & mine:
        return False
    if move.name == "join":
        return assist.state == State.ACTIVE or settings.ASSIST_POLICY == "notify"
    if move.name == "withdraw":
        return assist.state == State.WAITING or Party.HELPER in mine  # a user who is asked for consent says no instead
    return True
