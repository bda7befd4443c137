"""Saving a real guest to a file, restoring it, and what else only a booted guest shows, with virsh as witness."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypervisor.errors import HypervisorError, OperationAborted
from tests.hypervisor.conftest import Real, eventually

pytestmark = pytest.mark.guest


def test_a_guest_goes_on_from_its_file_asleep_and_awake_and_takes_keys(
    make_real: Callable[..., Real], tmp_path: Path
) -> None:
    real = make_real()
    path = str(tmp_path / "a file")
    real.guest.run("echo 'still here' >/mark")
    first = real.read().domain_id
    assert first == int(real.guest.virsh("domid"))
    real.domain.save_to(path)
    assert (real.guest.state, real.guest.reason) == ("shut off", "saved")
    assert (real.read().domain_id, real.read().has_saved_image) == (None, False)
    assert [each.domain_id for each in real.connection.read_all() if each.uuid == real.uuid] == [None]
    assert real.connection.saved_file_uuid(path) == real.uuid
    assert real.connection.restore_from(path) == real.uuid
    assert (real.guest.state, real.guest.reason) == ("running", "restored")
    assert real.read().domain_id not in {first, None}
    assert Path(path).exists()
    real.guest.wait_for_agent()
    assert real.guest.run("cat /mark") == "still here"
    real.domain.inject_nmi()
    real.domain.send_keys([29, 56, 111], hold_ms=50)
    real.domain.pm_suspend("mem")
    real.guest.wait_for_state("pmsuspended")
    real.domain.pm_wakeup()
    real.guest.wait_for_state("running")
    real.domain.save_managed()
    real.domain.start(fresh=True)
    assert (real.guest.state, real.guest.reason) == ("running", "booted")
    assert not real.read().has_saved_image


def test_a_save_to_a_file_can_be_aborted_and_nothing_half_written_stays(
    make_real: Callable[..., Real], tmp_path: Path
) -> None:
    real = make_real(memory_mib=512)
    path = tmp_path / "file"
    with ThreadPoolExecutor(1) as threads:
        saved = threads.submit(real.domain.save_to, str(path))
        eventually(lambda: saved.done() or real.domain.job_progress())
        real.domain.abort_job()
        with pytest.raises(OperationAborted):
            saved.result()
    assert not path.exists()
    assert (real.guest.state, real.guest.reason) == ("running", "save canceled")
    assert real.guest.agent_answers()


def test_an_interrupted_restore_loses_nothing(make_real: Callable[..., Real], tmp_path: Path) -> None:
    real = make_real(wait=False, memory_mib=512)
    path = tmp_path / "file"
    real.domain.save_to(str(path))
    with ThreadPoolExecutor(1) as threads:
        restored = threads.submit(real.connection.restore_from, str(path))
        eventually(lambda: restored.done() or _pid(real))
        os.kill(_pid(real), signal.SIGKILL)
        try:
            restored.result()
        except HypervisorError as error:
            assert error.sentence.startswith("The machine could not be restored; its file is still there.")
            assert error.text
    eventually(lambda: real.guest.state == "shut off")
    assert path.exists()
    real.connection.restore_from(str(path))
    assert (real.guest.state, real.guest.reason) == ("running", "restored")


def _pid(real: Real) -> int:
    try:
        return real.guest.qemu_pid
    except LookupError:
        return 0


def test_a_transient_guest_is_created_saved_and_restored(make_real: Callable[..., Real], tmp_path: Path) -> None:
    real = make_real(start=False)
    xml = real.domain.xml()
    real.domain.undefine()
    assert real.connection.create_transient(xml) == real.uuid
    assert "Persistent:     no" in real.guest.virsh("dominfo")
    real.domain.save_to(str(tmp_path / "file"))
    assert real.connection.read(real.uuid) is None
    real.connection.restore_from(str(tmp_path / "file"))
    assert (real.guest.state, real.guest.reason) == ("running", "restored")
    real.domain.destroy()
    assert real.connection.read(real.uuid) is None
