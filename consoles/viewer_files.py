"""Files that open a machine's screen in virt-viewer (its manual, remote-viewer(1), describes them), once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from consoles import tickets
from consoles.models import Client, Mode, Protocol
from consoles.policies import is_recorded
from consoles.proxy import viewer_tickets
from machines.access import Person
from machines.models import Machine
from machines.refused import Refused

CONTENT_TYPE = "application/x-virt-viewer"
KEYS = {
    "delete-this-file": "1",
    "toggle-fullscreen": "shift+f11",
    "release-cursor": "shift+f12",
    "secure-attention": "ctrl+alt+end",
}
"""The same in every file."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class ViewerFile:
    """One file: its name, and its text, which is a secret for as long as it has not been used."""

    name: str
    text: str


def protocols_of(machine: Machine) -> list[Protocol]:
    """Return what virt-viewer can speak with this machine through this portal; SPICE, which does more, first."""
    return [protocol for protocol in (Protocol.SPICE, Protocol.VNC) if _door(protocol) and protocol in machine.graphics]


def make(
    machine: Machine,
    *,
    by: Person,
    login: str,
    protocol: Protocol,
    mode: Mode,
    address: str | None,
    microphone: bool = False,
) -> ViewerFile:
    """Make a console session for virt-viewer and the file that opens it within a minute.

    The caller has checked that this person has `mode.right` over the machine. Arguments as of `tickets.issue`.

    Raises:
        Refused: this portal does not serve native viewers, or there is nothing to look at now.
        RedisError: tickets cannot be kept now.
    """
    if not (door := _door(protocol)):
        words = _("This portal shows no %(protocol)s screens to programs: an administrator can set that up.")
        raise Refused("no_viewer", words % {"protocol": protocol.label})
    if is_recorded(machine, by, protocol):
        words = _("Its consoles are recorded, and virt-viewer could not show that. Open it in the browser.")
        raise Refused("recorded", words)
    issued = tickets.issue(
        machine,
        by=by,
        login=login,
        protocol=protocol,
        mode=mode,
        address=address,
        client=Client.VIEWER,
        microphone=microphone,
    )
    secret, may = viewer_tickets.secret_of(issued["tickets"][0]), Mode(issued["mode"])
    title = machine.name if may is Mode.CONTROL else _("%(machine)s (view only)") % {"machine": machine.name}
    way = _spice(door, machine, secret, may) if protocol is Protocol.SPICE else _vnc(door, secret)
    return ViewerFile(f"{machine.name}.vv", _text({"type": protocol.value, "title": title} | way | KEYS))


def _door(protocol: Protocol) -> SplitResult | None:
    """Return where the console proxy waits for viewers of this protocol; None where it does not."""
    doors = {Protocol.SPICE: settings.CONSOLE_SPICE_PUBLIC, Protocol.VNC: settings.CONSOLE_VNC_PUBLIC}
    address = doors.get(protocol, "")
    return urlsplit(address if "://" in address else f"vnc://{address}") if address else None


def _spice(door: SplitResult, machine: Machine, secret: str, mode: Mode) -> dict[str, str]:
    """Name the machine as the host and the door as the proxy to it."""
    host, _colon, port = viewer_tickets.target_of(machine.uuid).rpartition(":")
    return {
        "host": host,
        "port": port,
        "proxy": f"{door.scheme}://{viewer_tickets.USER}:{secret}@{door.netloc}",
        "enable-usbredir": "1" if mode is Mode.CONTROL else "0",
        "enable-smartcard": "0",
    }


def _vnc(door: SplitResult, secret: str) -> dict[str, str]:
    """Name the door as the server."""
    return {
        "host": door.hostname or "",
        "port": str(door.port),
        "username": viewer_tickets.USER,
        "password": secret,
    }


def _text(values: Mapping[str, str]) -> str:
    """Write a GLib key file of one group. A machine's name may hold anything but must stay one value."""
    lines = (f"{key}={value.translate(_ESCAPES)}" for key, value in values.items())
    return "\n".join(["[virt-viewer]", *lines, ""])
