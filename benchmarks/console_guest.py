"""From a ticket to the first bytes of a real QEMU."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

from lxml import etree
from redis import Redis

from benchmarks import figures
from benchmarks.console_ways import Way, process, read_banner, ticket, upgrade, wait_until
from benchmarks.figures import Figure
from demo import acceleration, guest
from demo.guest_xml import guest_xml
from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from demo.servers import free_port
from hypervisor.pool import Pool
from kvmportal.environment import ROOT

ROUNDS = 100
TARGET = 10.0  # milliseconds
STOCK = "stock websockify, forked, no ticket"


def banners(stack: ExitStack, redis_url: str, redis: Redis, directory: Path) -> list[Figure]:
    """Time the way to the first twelve bytes, in turns."""
    libvirt = stack.enter_context(PrivateLibvirtd(temporary=True))
    machine, vnc = _run_guest(libvirt, directory)
    stock, ours = free_port(), free_port()
    stack.enter_context(process(stock, "websockify", f"127.0.0.1:{stock}", f"127.0.0.1:{vnc}"))
    settings = {"REDIS_URL": redis_url, "CONSOLE_LISTEN": f"127.0.0.1:{ours}"}
    stack.enter_context(process(ours, "consoles.proxy", **settings))
    pool = Pool()
    stack.callback(pool.close)
    domain = pool.connection(libvirt.uri).domain
    claim = {"machine": str(machine), "uri": libvirt.uri}
    opened = {
        "floor: TCP to QEMU": Way(vnc).connect,
        STOCK: Way(stock, request=lambda: upgrade(b"")).connect,
        "console proxy, from its ticket": Way(ours, request=lambda: upgrade(ticket(redis, **claim))).connect,
        "floor: openGraphicsFD": lambda: domain(machine).open_graphics("vnc"),
    }
    samples: dict[str, list[float]] = {way: [] for way in opened}
    for round_ in range(ROUNDS + 5):
        for way, connect in opened.items():
            took = _banner(connect)
            if round_ >= 5:
                samples[way].append(took)
    target = round(min(TARGET, statistics.median(samples[STOCK])), 2)
    return [
        figures.of(f"banner of QEMU, {way}", values, "ms", **_bound(way, target)) for way, values in samples.items()
    ]


def _bound(way: str, target: float) -> dict[str, float]:
    return {"target": target} if way.startswith("console proxy") else {}


def _banner(connect: Callable[[], object]) -> float:
    """Return the milliseconds until QEMU's banner has come."""
    begin = time.perf_counter()
    client = connect()
    with client:  # type: ignore[attr-defined]
        read_banner(client)  # type: ignore[arg-type]
        return (time.perf_counter() - begin) * 1000


def _run_guest(libvirt: PrivateLibvirtd, directory: Path) -> tuple[UUID, int]:
    """Run a guest whose display listens on loopback too, which stock websockify needs; return it and that port."""
    cache = ROOT / "var" / "guest"
    image, machine = guest.build(cache), uuid.uuid4()
    kind = acceleration.domain_type(image, cache)
    domain = etree.fromstring(
        guest_xml("bench", image, uuid=machine, domain_type=kind, made_by="kvmportal's benchmarks")
    )
    for listen in domain.iterfind("devices/graphics/listen"):
        listen.set("type", "address")
        listen.set("address", "127.0.0.1")
    definition = directory / "guest.xml"
    definition.write_bytes(etree.tostring(domain))
    libvirt.virsh("define", str(definition))
    libvirt.virsh("start", "bench")
    wait_until(lambda: _agent_answers(libvirt), "the guest's agent does not answer")  # a booting QEMU is a slow one
    return machine, 5900 + int(libvirt.virsh("vncdisplay", "bench").rpartition(":")[2])


def _agent_answers(libvirt: PrivateLibvirtd) -> bool:
    try:
        libvirt.virsh("qemu-agent-command", "bench", '{"execute": "guest-ping"}')
    except LibvirtFailed:
        return False
    return True
