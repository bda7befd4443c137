"""Which of a machine's displays the console's page can show, and which of them it shows."""

from __future__ import annotations

from consoles.models import Protocol
from consoles.preloads import modules_of
from machines.models import Machine

MODULES = {
    Protocol.VNC: "js/console/vnc.js",
    Protocol.SPICE: "js/console/spice.js",
    Protocol.SERIAL: "js/console/serial.js",
    Protocol.PICTURES: "js/console/pictures.js",
}
"""The module that shows each (as in static/js/console/protocols.js), the display that serves most purposes first."""

SCRIPTS = tuple(f"js/console/{part}.js" for part in ("typing", "clipboard", "recorded", "doctor", "people", "page"))
"""What runs on the page, each by itself. The page itself comes last, so that the others hear of its first screen."""


def modules_for(protocol: Protocol) -> tuple[str, ...]:
    """Return every module that the page needs to show this display, by their static paths."""
    return modules_of(*SCRIPTS, MODULES[protocol])


def protocols_of(machine: Machine) -> list[Protocol]:
    """Return what can be shown of this machine, the default first; empty when it has nothing that we know."""
    return [protocol for protocol in MODULES if protocol in offered_by(machine)]


def offered_by(machine: Machine) -> set[str]:
    """Return what a machine has: pictures of every display."""
    return {*machine.consoles, *([Protocol.PICTURES] if machine.graphics else [])}


def protocols_for(machine: Machine, *, visitor: bool) -> list[Protocol]:
    """Return what can be shown of this machine to a person; a visitor must not throw others out of a SPICE screen."""
    return [protocol for protocol in protocols_of(machine) if not (visitor and protocol is Protocol.SPICE)]


def protocol_shown(offered: list[Protocol], wanted: str) -> Protocol:
    """Return the wanted one where it is offered, else the default."""
    return next((protocol for protocol in offered if protocol == wanted), offered[0] if offered else Protocol.VNC)
