"""The portal's part of the console doctor: what it knows of everything between a browser and a machine's screen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from consoles import tickets
from consoles.models import Protocol
from consoles.proxy import redis_names
from hypervisor.states import ACTIVE_STATES
from machines.models import Machine
from machines.redis_client import redis_client
from machines.refused import Refused


@dataclass(frozen=True, slots=True)
class Finding:
    """What is found of one part: the host, the display, the proxy, the agent. A part that is not well has advice."""

    part: str
    well: bool
    sentence: str


def examine(machine: Machine, protocol: Protocol) -> list[Finding]:
    """Look at what a console of this machine needs, from the host on; asks Redis and the database, never a host.

    Raises:
        RedisError: Redis does not answer, so no console can be opened at all.
    """
    return [*_host(machine), *_display(machine, protocol), *_proxy(), *_agent(machine)]


def _host(machine: Machine) -> Iterator[Finding]:
    if machine.host.enabled and machine.host.reachable:
        yield Finding("host", True, _("The machine's host answers."))
    elif machine.host.enabled:
        words = _(
            "The machine's host does not answer. It is tried again all the time; tell an administrator if it lasts."
        )
        yield Finding("host", False, words)
    else:
        yield Finding("host", False, _("An administrator has disabled the machine's host."))


def _display(machine: Machine, protocol: Protocol) -> Iterator[Finding]:
    try:
        tickets.check_display(machine, protocol)
    except Refused as refused:
        yield Finding("display", False, refused.sentence)
    else:
        yield Finding("display", True, _("The machine is on and has this display."))


def _proxy() -> Iterator[Finding]:
    recent = time.time() - redis_names.PULSE_SECONDS
    count = redis_client().zcount(redis_names.PROXIES, recent, "+inf")
    if count:
        words = ngettext("%(count)d console proxy serves.", "%(count)d console proxies serve.", count)
        yield Finding("proxy", True, words % {"count": count})
    else:
        words = _("No console proxy has reported for a while: an administrator has to see why it does not run.")
        yield Finding("proxy", False, words)


def _agent(machine: Machine) -> Iterator[Finding]:
    if machine.state not in ACTIVE_STATES:
        return
    if machine.agent_connected:
        yield Finding("agent", True, _("The guest's agent is connected."))
    else:
        words = _(
            "The guest's agent is not connected. The screen works without it; addresses and a shutdown by agent "
            "need it: install qemu-guest-agent in the guest."
        )
        yield Finding("agent", False, words)
