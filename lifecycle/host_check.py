"""Carrying out a test of the connection to a host: a fresh connection is opened, asked what it is, and closed.

Nothing of what it reads is written to the host's row: that mirrors what the watcher sees (`machines.mirror`).
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisor.connection import Connection
from hypervisor.errors import HostUnreachable, HypervisorError
from hypervisor.translation import UNREACHABLE
from lifecycle.host_tests import advance, ending_columns
from lifecycle.models import HostTest, Status
from lifecycle.outcomes import Ending, broken, failed, succeeded

log = logging.getLogger(__name__)

LIMIT = 25.0
"""Seconds that a test may take a worker's thread: opening waits 10 s, and as long for an attempt that hangs already."""

Facts = dict[str, Any]


def run(test_id: int, limit: float = LIMIT) -> None:
    """Carry out a queued test; nothing when it is gone or already taken."""
    test = HostTest.objects.select_related("host").filter(pk=test_id, status=Status.QUEUED).first()
    if test is None or not advance(test, status=Status.RUNNING, started_at=timezone.now()):
        return
    began = time.monotonic()
    facts, ending = _tried(test, limit)
    facts["milliseconds"] = round((time.monotonic() - began) * 1000)
    test.status = Status.RUNNING
    if not advance(test, **ending_columns(ending), facts=facts):
        log.warning("Connection test %s was ended by somebody else before this worker could", test.pk)


def _tried(test: HostTest, limit: float) -> tuple[Facts, Ending]:
    try:
        facts = _within(limit, test.host.uri)
    except HypervisorError as error:
        log.info("The test of the connection to %s failed: %s", test.host, error)
        return {}, _failed(error)
    except Exception:
        log.exception("The test of the connection to %s failed", test.host)
        return {}, broken()
    return facts, succeeded(_success(facts))


def _within(seconds: float, uri: str) -> Facts:
    """Read the facts in a thread of its own, so that a host that hangs holds up no worker.

    Raises:
        HypervisorError: it cannot be opened or read, or not in time. The thread ends when libvirt's keepalive gives up.
    """
    answer: Future[Facts] = Future()
    threading.Thread(target=_answer, args=(uri, answer), name=f"test {uri}", daemon=True).start()
    try:
        return answer.result(seconds)
    except FutureTimeout:
        sentence = _("The host took the connection but does not answer. An administrator has to look at its libvirtd.")
        raise HostUnreachable(sentence, text=f"no answer within {seconds:.0f} s") from None


def _answer(uri: str, answer: Future[Facts]) -> None:
    try:
        answer.set_result(_read(uri))
    except Exception as error:
        answer.set_exception(error)


def _read(uri: str) -> Facts:
    """Read what the host says of itself on a connection of its own, not one of the process's."""
    connection = Connection(uri)
    connection.open()
    try:
        said = connection.host_facts()
        domains = len(connection.read_all(()))
    finally:
        connection.close()
    return {
        "hostname": said.hostname,
        "libvirt_version": said.libvirt_version,
        "hypervisor_version": said.hypervisor_version,
        "cpus": said.cpus,
        "memory_bytes": said.memory_bytes,
        "domains": domains,
    }


def _success(facts: Facts) -> str:
    sentence = ngettext(
        "Connected: libvirt %(libvirt_version)s on %(hostname)s, with %(domains)s machine.",
        "Connected: libvirt %(libvirt_version)s on %(hostname)s, with %(domains)s machines.",
        facts["domains"],
    )
    return sentence % facts


def _failed(error: HypervisorError) -> Ending:
    """Return the end of a failed test: it is not tried again all the time, as a host is that is watched."""
    ending = failed(error)
    if error.sentence != UNREACHABLE[1]:
        return ending
    sentence = _(
        "The host does not answer. Check that it is up, that libvirtd runs there, and that the portal may log in to it."
    )
    return Ending(Status.FAILED, sentence, ending.code, ending.text)
