"""Carries a serial console: raw bytes both ways, in binary messages."""

from __future__ import annotations

import time
from collections.abc import Callable

from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.modes import Mode
from consoles.proxy.pump import Pump
from consoles.proxy.shared_console import Console, OpenConsole
from consoles.proxy.tickets import Claim
from consoles.proxy.visits import Visit
from hypervisor import errors
from hypervisor.pool import Pool

PATIENCE = (0.2, 0.5)
"""Seconds after which a console that another program holds is tried again: it may be a proxy that was just stopped."""


def carry(visit: Visit) -> Ending:
    """Carry one client's bytes to the machine's serial console, which others may look at too, and back."""
    ours = visit.desk.serial_consoles.join(visit.claim, visit.session)
    visit.opened()
    keys = Keys(visit.session.mode)
    pump = Pump(visit.client, ours, visit.line, keys, tee=visit.tee(), websocket=visit.websocket)
    return pump.run(visit.early)


class Keys:
    """What is typed: everything passes in control mode, nothing in view mode. A `filters.Filter`."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self.acts = 0

    def feed(self, data: bytes) -> bytes:
        """Return what goes on to the machine."""
        self.acts += 1
        return data if self._mode is Mode.CONTROL else b""

    def change_mode(self, mode: Mode) -> bytes:
        """Let pass, or not; a console has no key that would have to be let go."""
        self._mode = mode
        return b""


def opener(pool: Pool) -> OpenConsole:
    """Return the function that opens a claim's serial console by libvirt, raising NoDisplay."""

    def open_console(claim: Claim, on_output: Callable[[bytes], None], on_end: Callable[[], None]) -> Console:
        for pause in (*PATIENCE, 0):
            try:
                domain = pool.connection(claim.uri).domain(claim.machine)
                return domain.open_console(on_output, on_end, take_over=claim.take_over)
            except errors.ConsoleHeld as error:
                held = error
                time.sleep(pause)
            except (errors.HostUnreachable, errors.HostBusy, errors.DomainBusy) as error:
                raise NoDisplay(Ending.HOST_UNREACHABLE) from error
            except errors.HypervisorError as error:
                raise NoDisplay(Ending.NO_DISPLAY) from error
        raise NoDisplay(Ending.HELD) from held

    return open_console
