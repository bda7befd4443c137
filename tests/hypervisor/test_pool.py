"""The pool: one connection for all threads of a process, and a host that fails or hangs harms only itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypervisor import connection as connection_module
from hypervisor import pool as pool_module
from hypervisor.errors import HostUnreachable
from hypervisor.pool import Pool
from tests.hypervisor.conftest import TEST_DRIVER

NOWHERE = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def failure(pool: Pool, uri: str) -> HostUnreachable:
    with pytest.raises(HostUnreachable) as caught:
        pool.connection(uri)
    return caught.value


def test_threads_share_one_connection(pool: Pool) -> None:
    with ThreadPoolExecutor(20) as threads:
        connections = list(threads.map(lambda _: pool.connection(TEST_DRIVER), range(100)))
    assert len({id(connection) for connection in connections}) == 1
    assert connections[0].alive


def test_a_dead_connection_is_replaced(pool: Pool) -> None:
    first = pool.connection(TEST_DRIVER)
    first.close()
    second = pool.connection(TEST_DRIVER)
    assert second is not first
    assert second.alive


def test_a_host_that_failed_fails_again_at_once_and_the_same(pool: Pool) -> None:
    first, second = failure(pool, NOWHERE), failure(pool, NOWHERE)
    assert first is not second
    assert (first.sentence, first.code, first.text) == (second.sentence, second.code, second.text)


def test_a_host_that_failed_is_tried_again_after_a_rest(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "REST_SECONDS", 0.1)
    node = tmp_path / "node.xml"
    uri = f"test://{node}"
    failure(pool, uri)
    node.write_text("<node/>")
    failure(pool, uri)
    time.sleep(0.1)
    assert pool.connection(uri).alive


def test_a_host_that_hangs_holds_up_nobody_else(pool: Pool, silent_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "OPEN_SECONDS", 2)
    waiting = threading.Thread(target=failure, args=(pool, silent_uri))
    waiting.start()
    time.sleep(0.1)
    begun = time.monotonic()
    assert pool.connection(TEST_DRIVER).read_all()
    failure(pool, NOWHERE)
    assert time.monotonic() - begun < 1
    waiting.join()


def test_those_who_wait_for_a_host_that_hangs_are_told_together(
    pool: Pool, silent_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "OPEN_SECONDS", 0.3)
    begun = time.monotonic()
    with ThreadPoolExecutor(10) as threads:
        errors = list(threads.map(lambda _: failure(pool, silent_uri), range(10)))
    assert time.monotonic() - begun < 2
    assert len({error.text for error in errors}) == 1


def test_a_closed_pool_closes_its_connections_and_can_be_used_again(pool: Pool) -> None:
    first = pool.connection(TEST_DRIVER)
    pool.close()
    pool.close()
    assert not first.alive
    assert pool.connection(TEST_DRIVER).alive
