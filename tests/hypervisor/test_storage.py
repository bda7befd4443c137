"""Storage pools of a real libvirtd: made where missing, used as they are where not, with virsh as the witness."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from hypervisor.connection import Connection
from hypervisor.errors import HypervisorError, NotSupported, PoolNotFound, VolumeInUse, VolumeNotFound
from hypervisor.names import VolumeName
from hypervisor.storage import Storage


@pytest.fixture
def name(libvirtd: PrivateLibvirtd) -> Iterator[str]:
    """A pool's name that nobody has, and that nobody has afterwards."""
    name = f"kvmportal-test-{uuid4().hex[:8]}"
    yield name
    for command in ("pool-destroy", "pool-undefine"):
        with suppress(LibvirtFailed):
            libvirtd.virsh(command, name)


@pytest.fixture
def storage(host: Connection) -> Storage:
    """The storage of the private libvirtd."""
    return host.storage


def info(libvirtd: PrivateLibvirtd, name: str) -> dict[str, str]:
    lines = (line.partition(":") for line in libvirtd.virsh("pool-info", name).splitlines())
    return {key.strip(): value.strip() for key, _colon, value in lines}


def test_a_missing_pool_is_made_with_its_directory_and_a_second_time_nothing_happens(
    libvirtd: PrivateLibvirtd, storage: Storage, name: str, tmp_path: Path
) -> None:
    place = tmp_path / "deep" / "saved <&> files"
    storage.ensure_pool(name, str(place))
    assert place.is_dir()
    first = info(libvirtd, name)
    assert (first["State"], first["Persistent"], first["Autostart"]) == ("running", "yes", "yes")
    storage.ensure_pool(name, str(tmp_path / "elsewhere"))
    assert info(libvirtd, name)["UUID"] == first["UUID"]
    assert not (tmp_path / "elsewhere").exists()


def test_a_pool_that_an_administrator_made_is_used_as_it_is_and_started(
    libvirtd: PrivateLibvirtd, storage: Storage, name: str, tmp_path: Path
) -> None:
    libvirtd.virsh("pool-define-as", name, "dir", "--target", str(tmp_path))
    storage.ensure_pool(name, "/nonexistent/elsewhere")
    assert info(libvirtd, name)["State"] == "running"
    assert info(libvirtd, name)["Autostart"] == "no"
    assert storage.volume_path(name, "new") == str(tmp_path / "new")


def test_several_workers_may_make_the_pool_at_once(storage: Storage, name: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: storage.ensure_pool(name, str(tmp_path / "saved")), range(6)))
    assert storage.volumes(name) == []


def test_a_pool_that_cannot_be_built_does_not_stay(
    libvirtd: PrivateLibvirtd, storage: Storage, name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HypervisorError) as caught:
        storage.ensure_pool(name, str(tmp_path / "file" / "below"))
    assert caught.value.text
    with pytest.raises(LibvirtFailed):
        libvirtd.virsh("pool-info", name)


def test_files_are_seen_as_soon_as_they_are_there_and_deleted(storage: Storage, name: str, tmp_path: Path) -> None:
    storage.ensure_pool(name, str(tmp_path))
    assert storage.volume(name, "mine") is None
    path = Path(storage.volume_path(name, "mine"))
    path.write_bytes(b"x" * 8192)
    volume = storage.volume(name, "mine")
    assert volume
    assert (volume.name, volume.path, volume.capacity) == ("mine", str(path), 8192)
    assert volume.allocation >= 8192
    assert storage.volumes(name) == [volume]
    assert storage.free_bytes(name) > 0
    for _ in range(2):
        storage.delete_volume(name, "mine")
        assert not path.exists()


@pytest.mark.parametrize("volume", ["", ".", "..", "../passwd", "a/b", "a\0b"])
def test_a_path_never_leaves_the_pool(storage: Storage, volume: str) -> None:
    with pytest.raises(ValueError, match="no name of a volume"):
        storage.volume_path("any", volume)


def test_a_pool_that_is_not_there_says_so(storage: Storage) -> None:
    for call in (storage.volumes, storage.free_bytes):
        with pytest.raises(PoolNotFound):
            call("nowhere")
    for ask in (storage.volume, storage.volume_path, storage.delete_volume):
        with pytest.raises(PoolNotFound):
            ask("nowhere", "x")


def test_a_pool_whose_directory_has_gone_says_so_until_it_is_made_again(
    storage: Storage, name: str, tmp_path: Path
) -> None:
    place = tmp_path / "saved"
    storage.ensure_pool(name, str(place))
    place.rmdir()
    with pytest.raises(PoolNotFound) as caught:
        storage.volumes(name)
    assert "storage" in caught.value.sentence
    storage.ensure_pool(name, str(place))
    assert storage.volumes(name) == []


def qemu_img(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(run("info", "--output=json", str(path)))
    return said


def run(*command: str) -> str:
    return subprocess.run(["qemu-img", *command], check=True, capture_output=True, text=True).stdout


def test_a_disk_is_made_once_empty_or_on_an_image(storage: Storage, name: str, tmp_path: Path) -> None:
    storage.ensure_pool(name, str(tmp_path))
    empty = Path(storage.make_disk(VolumeName(name, "empty <&>.qcow2"), 3 * 2**20))
    found = qemu_img(empty)
    assert (found["format"], found["virtual-size"], "backing-filename" in found) == ("qcow2", 3 * 2**20, False)
    inode = empty.stat().st_ino
    assert Path(storage.make_disk(VolumeName(name, "empty <&>.qcow2"), 5 * 2**20)) == empty
    assert (empty.stat().st_ino, qemu_img(empty)["virtual-size"]) == (inode, 3 * 2**20)

    (tmp_path / "image.raw").write_bytes(b"image" + bytes(2**20 - 5))
    run("create", "-f", "qcow2", str(tmp_path / "image.qcow2"), "1M")
    for image in ("raw", "qcow2"):
        path = storage.make_disk(VolumeName(name, f"on-{image}"), 2**21, VolumeName(name, f"image.{image}"))
        found = qemu_img(Path(path))
        assert found["virtual-size"] == 2**21
        assert (found["backing-filename"], found["backing-filename-format"]) == (
            str(tmp_path / f"image.{image}"),
            image,
        )
    run("convert", "-O", "raw", str(tmp_path / "on-raw"), str(tmp_path / "whole"))
    assert (tmp_path / "whole").read_bytes()[:5] == b"image"
    with pytest.raises(VolumeInUse):
        storage.delete_disk(str(tmp_path / "image.raw"))


def test_a_disk_that_cannot_be_made_leaves_nothing(storage: Storage, name: str, tmp_path: Path) -> None:
    storage.ensure_pool(name, str(tmp_path))
    (tmp_path / "image").write_bytes(bytes(2**20))
    run("create", "-f", "vmdk", str(tmp_path / "foreign"), "1M")
    wanted = VolumeName(name, "new")
    for image, error, words in (
        (VolumeName(name, "image"), NotSupported, "larger than the disk"),
        (VolumeName(name, "foreign"), NotSupported, "in a format"),
        (VolumeName(name, "nothing"), VolumeNotFound, "image"),
        (VolumeName("nowhere", "image"), PoolNotFound, "storage pool"),
    ):
        with pytest.raises(error) as caught:
            storage.make_disk(wanted, 2**19 if image.volume == "image" else 2**21, image)
        assert words in caught.value.sentence
    assert not (tmp_path / "new").exists()
    with pytest.raises(PoolNotFound):
        storage.make_disk(VolumeName("nowhere", "new"), 2**20)


def test_a_disk_is_deleted_where_a_pool_has_it_and_refused_elsewhere(
    storage: Storage, name: str, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "pool" / "disk.img", tmp_path / "disk.img"
    storage.ensure_pool(name, str(inside.parent))
    for path in (inside, outside):
        path.write_bytes(b"x")
    storage.delete_disk(str(inside))
    assert not inside.exists()
    for path in (inside, outside, inside.parent / ".." / "disk.img"):
        with pytest.raises(VolumeNotFound) as caught:
            storage.delete_disk(str(path))
        assert "has to delete it on the host" in caught.value.sentence
    assert outside.exists()


def test_a_disk_that_a_machine_has_or_an_overlay_builds_on_stays(
    host: Connection, libvirtd: PrivateLibvirtd, storage: Storage, name: str, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    storage.ensure_pool(name, str(pool))
    libvirtd.virsh("vol-create-as", name, "base", "1M", "--format", "qcow2")
    backing = ("--backing-vol", "base", "--backing-vol-format", "qcow2")
    libvirtd.virsh("vol-create-as", name, "overlay", "1M", "--format", "qcow2", *backing)
    with pytest.raises(VolumeInUse):
        storage.delete_disk(str(pool / "base"))
    source = f"<disk type='file'><source file='{pool}//overlay'/><target dev='sda' bus='scsi'/></disk>"
    uuid = host.define(
        f"<domain type='qemu'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{source}</devices></domain>"
    )
    try:
        with pytest.raises(VolumeInUse) as caught:
            storage.delete_disk(str(pool / "overlay"))
    finally:
        host.domain(uuid).undefine()
    assert "Another machine" in caught.value.sentence
    assert (pool / "overlay").exists()
    for disk in ("overlay", "base"):
        storage.delete_disk(str(pool / disk))
        assert not (pool / disk).exists()


def test_a_real_host_says_what_it_can_run(host: Connection) -> None:
    facts = host.host_facts()
    assert "qemu" in facts.domain_types
    assert "q35" in facts.machine_types
    assert len(set(facts.machine_types)) == len(facts.machine_types)
    assert "acpi" in facts.features
    assert 0 < facts.free_memory_bytes < facts.memory_bytes
