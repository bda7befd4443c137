"""The failures that people meet, provoked for real: our error, its sentence, and libvirt's own words kept.

Those of a running guest share one, which boots without a disk; the others need a definition only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import libvirt
import pytest
from lxml import etree
from lxml.builder import E

from demo.guest import GuestImage
from demo.guest_xml import DomainType, guest_xml
from demo.libvirtd import PrivateLibvirtd
from hypervisor import errors
from hypervisor.connection import Connection
from hypervisor.domain import Domain
from tests.guest import Guest, unused_name

pytestmark = pytest.mark.guest


@dataclass
class Scene:
    """One guest that runs with its agent, a way to have others for a while, and a directory on the host."""

    host: Connection
    libvirtd: PrivateLibvirtd
    image: GuestImage
    kind: DomainType
    guest: Guest
    place: Path

    @property
    def running(self) -> Domain:
        """The guest that runs, with its agent."""
        return self.host.domain(self.guest.uuid)

    def xml(self, *, uuid: UUID | None = None, name: str = "", **options: bool) -> str:
        """Return the definition of another small guest."""
        return guest_xml(name or unused_name(), self.image, uuid=uuid or uuid4(), domain_type=self.kind, **options)

    def with_device(self, *devices: etree._Element, **options: bool) -> str:
        """Return the definition of another small guest with more devices."""
        root = etree.fromstring(self.xml(**options))
        root.find("devices").extend(devices)
        return etree.tostring(root, encoding="unicode")

    @contextmanager
    def defined(self, xml: str) -> Iterator[Domain]:
        """Have a domain for a while."""
        domain = self.host.domain(self.host.define(xml))
        try:
            yield domain
        finally:
            Guest(self.libvirtd, domain.name, domain.uuid).remove()

    @contextmanager
    def transient(self) -> Iterator[Domain]:
        """Have a transient domain that runs for a while."""
        domain = self.host.domain(self.host.create_transient(self.xml(agent=False)))
        try:
            yield domain
        finally:
            domain.destroy()

    def file(self, name: str, content: bytes) -> str:
        """Write a file on the host and return its path."""
        (self.place / name).write_bytes(content)
        return str(self.place / name)


@pytest.fixture(scope="module")
def scene(
    libvirtd: PrivateLibvirtd, guest_image: GuestImage, guest_type: DomainType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The one booted guest of this module."""
    guest = Guest.define(libvirtd, unused_name(), guest_image, domain_type=guest_type)
    host = Connection(libvirtd.uri)
    host.open()
    try:
        guest.virsh("start")
        guest.wait_for_agent()
        yield Scene(host, libvirtd, guest_image, guest_type, guest, tmp_path_factory.mktemp("files"))
    finally:
        host.close()
        guest.remove()


def start_defined(scene: Scene, xml: str) -> None:
    with scene.defined(xml) as domain:
        domain.start()


def start_running(scene: Scene) -> None:
    scene.running.start()


def no_such_domain(scene: Scene) -> None:
    scene.host.domain(uuid4())


def name_taken(scene: Scene) -> None:
    scene.host.define(scene.xml(name=scene.guest.name))


def uuid_of_another(scene: Scene) -> None:
    scene.host.define(scene.xml(uuid=scene.guest.uuid))


def malformed_xml(scene: Scene) -> None:
    scene.host.define(scene.xml()[:-12])


def against_the_schema(scene: Scene) -> None:
    scene.host.define(scene.xml().replace("<vcpu>", "<wibble/><vcpu>"))


def unknown_machine_type(scene: Scene) -> None:
    scene.host.define(scene.xml().replace('machine="q35"', 'machine="pc-q35-99"'))


def unknown_emulator(scene: Scene) -> None:
    scene.host.define(scene.xml().replace("/usr/bin/qemu-system-x86_64", "/nonexistent/qemu"))


def off(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.suspend()


def save_of_one_that_is_off(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.save_to(str(scene.place / "off"))


def missing_disk(scene: Scene) -> None:
    disk = E.disk(E.source(file="/nonexistent/disk.img"), E.target(dev="vda"), type="file", device="disk")
    start_defined(scene, scene.with_device(disk))


def missing_network(scene: Scene) -> None:
    start_defined(scene, scene.with_device(E.interface(E.source(network="nowhere"), type="network")))


def missing_pool_of_a_disk(scene: Scene) -> None:
    disk = E.disk(E.source(pool="nowhere", volume="x"), E.target(dev="vda"), type="volume", device="disk")
    start_defined(scene, scene.with_device(disk))


def disk_in_use(scene: Scene) -> None:
    path = scene.file("disk.img", b"\0" * 2**20)
    driver = E.driver(name="qemu", type="raw")
    first_xml, second_xml = (
        scene.with_device(
            E.disk(deepcopy(driver), E.source(file=path), E.target(dev="vda"), type="file", device="disk")
        )
        for _ in range(2)
    )
    with scene.defined(first_xml) as first:
        first.start()
        start_defined(scene, second_xml)


def missing_saved_file(scene: Scene) -> None:
    scene.host.restore_from(str(scene.place / "nothing"))


def no_saved_file(scene: Scene) -> None:
    scene.host.restore_from(scene.file("text", b"hello " * 1000))


def cut_off_head(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.start()
        domain.save_to(str(scene.place / "whole"))
    whole = (scene.place / "whole").read_bytes()
    scene.host.restore_from(scene.file("head", whole[:200]))


def cut_off_memory(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.start()
        domain.save_to(str(scene.place / "whole"))
        whole = (scene.place / "whole").read_bytes()
        scene.host.restore_from(scene.file("half", whole[: len(whole) // 2]))


def restore_of_one_that_runs(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.start()
        domain.save_to(str(scene.place / "whole"))
        domain.start()
        scene.host.restore_from(str(scene.place / "whole"))


def create_of_one_that_runs(scene: Scene) -> None:
    scene.host.create_transient(scene.running.xml())


def no_directory_for_saved_files(scene: Scene) -> None:
    scene.running.save_to(str(scene.place / "nowhere" / "file"))


def managed_save_of_a_transient(scene: Scene) -> None:
    with scene.transient() as domain:
        domain.save_managed()


def autostart_of_a_transient(scene: Scene) -> None:
    with scene.transient() as domain:
        domain.set_autostart(True)


def undefine_with_a_saved_image(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.start()
        domain.save_managed()
        domain.undefine()


def undefine_with_snapshots(scene: Scene) -> None:
    path = str(scene.place / "disk.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    driver = E.driver(name="qemu", type="qcow2")
    disk = E.disk(driver, E.source(file=path), E.target(dev="vda"), type="file", device="disk")
    with scene.defined(scene.with_device(disk)) as domain:
        scene.libvirtd.virsh("snapshot-create-as", domain.name, "first")
        domain.undefine()


def undefine_of_a_transient(scene: Scene) -> None:
    with scene.transient() as domain:
        domain.undefine()


def agent_without_a_channel(scene: Scene) -> None:
    with scene.transient() as domain:
        domain.pm_suspend("mem")


def agent_that_does_not_answer(scene: Scene) -> None:
    with scene.defined(scene.xml()) as domain:
        domain.start()
        domain.shutdown("agent")


def sleep_that_the_definition_forbids(scene: Scene) -> None:
    scene.running.pm_suspend("disk")


def wake_of_one_awake(scene: Scene) -> None:
    scene.running.pm_wakeup()


def unknown_key(scene: Scene) -> None:
    scene.running.send_keys([999])


def too_many_keys(scene: Scene) -> None:
    scene.running.send_keys([28] * 17)


def missing_pool(scene: Scene) -> None:
    scene.host.storage.volumes("nowhere")


def disk_in_no_pool(scene: Scene) -> None:
    scene.host.storage.delete_disk(scene.file("alone.img", b""))


Provoke = Callable[[Scene], None]
CASES: list[tuple[Provoke, type[errors.HypervisorError], str]] = [
    (start_running, errors.DomainInWrongState, "The machine's state does not allow this."),
    (off, errors.DomainInWrongState, "The machine's state does not allow this."),
    (no_such_domain, errors.DomainNotFound, "The host does not know this machine any more."),
    (name_taken, errors.BadDefinition, "The host already has another machine of this name"),
    (uuid_of_another, errors.BadDefinition, "The host already has another machine of this name"),
    (malformed_xml, errors.BadDefinition, "This is not well-formed XML."),
    (against_the_schema, errors.BadDefinition, "an element or a value in it is not as it should be"),
    (unknown_machine_type, errors.BadDefinition, "a machine type, a processor or a device"),
    (unknown_emulator, errors.BadDefinition, "names a file that is not on the host: its emulator"),
    (missing_disk, errors.HypervisorError, "A file that the machine needs, a disk for example, is not on its host."),
    (missing_network, errors.HypervisorError, "The network that the machine needs is not there."),
    (missing_pool_of_a_disk, errors.PoolNotFound, "The storage pool that the machine needs is not there."),
    (disk_in_use, errors.HypervisorError, "another machine uses one of its disks"),
    (missing_saved_file, errors.SavedFileMissing, "The saved file is not on the host"),
    (no_saved_file, errors.SavedFileBroken, "This file is no saved machine"),
    (cut_off_head, errors.SavedFileBroken, "saving it was interrupted"),
    (cut_off_memory, errors.HypervisorError, "could not be restored; its file is still there"),
    (restore_of_one_that_runs, errors.DomainInWrongState, "it has to be off before it can be restored"),
    (create_of_one_that_runs, errors.DomainInWrongState, "runs on the host already"),
    (no_directory_for_saved_files, errors.PoolNotFound, "The directory for saved files is not on the host."),
    (save_of_one_that_is_off, errors.DomainInWrongState, "it has to be on"),
    (managed_save_of_a_transient, errors.DomainInWrongState, "transient can only be saved to a file"),
    (autostart_of_a_transient, errors.DomainInWrongState, "This one is transient."),
    (undefine_with_a_saved_image, errors.DomainInWrongState, "it has a saved image, snapshots or checkpoints"),
    (undefine_with_snapshots, errors.DomainInWrongState, "it has a saved image, snapshots or checkpoints"),
    (undefine_of_a_transient, errors.DomainInWrongState, "or it is transient"),
    (agent_without_a_channel, errors.AgentUnavailable, "has no channel for a guest agent"),
    (agent_that_does_not_answer, errors.AgentUnavailable, "The guest agent does not answer."),
    (sleep_that_the_definition_forbids, errors.NotSupported, "This machine has no such sleep"),
    (wake_of_one_awake, errors.DomainInWrongState, "not asleep"),
    (unknown_key, errors.NotSupported, "could not press these keys"),
    (too_many_keys, errors.NotSupported, "Between one and sixteen keys"),
    (missing_pool, errors.PoolNotFound, "The host has no such storage pool."),
    (disk_in_no_pool, errors.VolumeNotFound, "has to delete it on the host"),
]


@pytest.mark.parametrize(("provoke", "kind", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_failure_has_its_sentence_and_libvirts_words(
    scene: Scene, provoke: Provoke, kind: type[errors.HypervisorError], words: str
) -> None:
    with pytest.raises(errors.HypervisorError) as caught:
        provoke(scene)
    error = caught.value
    assert type(error) is kind, error
    assert words in error.sentence
    assert error.text
    assert scene.guest.state == "running"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_save_to_a_full_disk_leaves_no_file_and_the_guest_goes_on(scene: Scene) -> None:
    inside = ["nsenter", "--target", str(scene.libvirtd.pid), "--mount"]
    image, place = scene.place / "small.img", scene.place / "small"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    subprocess.run([*inside, "mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        with pytest.raises(errors.HypervisorError) as caught:
            scene.running.save_to(str(place / "full"))
        left = subprocess.run([*inside, "ls", str(place)], check=True, capture_output=True, text=True).stdout.split()
    finally:
        subprocess.run([*inside, "umount", str(place)], check=True)
    assert "storage" in caught.value.sentence
    assert "full" in caught.value.sentence
    assert caught.value.text
    assert left == ["lost+found"]
    assert scene.guest.state == "running"
    assert scene.guest.agent_answers()


def test_a_connection_that_may_only_read_is_denied(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "open", libvirt.openReadOnly)
    reader = Connection(scene.libvirtd.uri)
    reader.open()
    try:
        with pytest.raises(errors.PermissionDenied) as caught:
            reader.domain(scene.guest.uuid).suspend()
    finally:
        reader.close()
    assert caught.value.sentence.startswith("The host does not let the portal do this.")
    assert caught.value.text


def test_no_job_to_end_is_fine(scene: Scene) -> None:
    scene.running.abort_job()
    assert scene.running.job_progress() is None


@pytest.mark.parametrize("told", [False, True])
def test_the_firmwares_variables_stay_unless_they_are_to_go(scene: Scene, told: bool) -> None:
    variables = scene.place / f"variables-{told}"
    variables.write_bytes(b"x")
    root = etree.fromstring(scene.xml())
    loader = E.loader(scene.file("firmware", b"x"), readonly="yes", type="pflash")
    root.find("os").extend([loader, E.nvram(str(variables))])
    with scene.defined(etree.tostring(root, encoding="unicode")) as domain:
        domain.undefine(nvram=told)
        assert scene.host.read(domain.uuid) is None
    assert variables.exists() is not told


def test_a_host_that_is_not_there_says_so() -> None:
    with pytest.raises(errors.HostUnreachable) as caught:
        Connection("qemu+unix:///system?socket=/nonexistent/libvirt-sock").open()
    assert caught.value.sentence.startswith("The host does not answer.")
    assert caught.value.text
