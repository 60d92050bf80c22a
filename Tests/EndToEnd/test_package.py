"""The packages as a volunteer gets them: what they weigh, what they may do, and the way from an empty Debian to the
first accepted unit."""

import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from batches import submit
from processes import CHECKOUT, chat_line, eventually

PACKAGES = Path(os.environ.get("TALLY_PACKAGES", CHECKOUT / ".build-package/output"))
SUITE = "bookworm"
SECONDS_TO_FIRST_UNIT = 60


def package(pattern):
    [found] = PACKAGES.glob(pattern)
    return found


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def mirror():
    """Where this machine's packages come from."""
    policy = run("apt-cache", "policy", "libc6")
    return re.search(r"^\s+\d+ (\S+) " + SUITE + "/main ", policy, re.MULTILINE).group(1)


class Root:
    """A Debian that has nothing but what debootstrap gives it, and this machine's network."""

    def __init__(self, folder):
        self.folder = folder
        run("debootstrap", "--variant=minbase", SUITE, folder, mirror())
        for settings in Path("/etc/apt/apt.conf.d").glob("*artifact*"):
            shutil.copy(settings, folder / "etc/apt/apt.conf.d")
        shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
        # Of its own: nothing of this machine's hangs below a folder that is removed later.
        run("mount", "-t", "proc", "proc", folder / "proc")

    def run(self, *command, **variables):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        return run("chroot", self.folder, *command, env={**environment, **variables})

    def start(self, log, *command):
        return subprocess.Popen(
            ["chroot", self.folder, *map(str, command)],
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )

    def close(self):
        run("umount", "--lazy", self.folder / "proc")
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = Root(tmp_path_factory.mktemp("debian") / "root")
    try:
        shutil.copy(package("tallystick-worker_*.deb"), root.folder / "worker.deb")
        root.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "/worker.deb")
        yield root
    finally:
        root.close()


def test_the_packages_are_small_and_sound():
    for name in ("worker", "coordinator"):
        found = package(f"tallystick-{name}_*.deb")
        assert found.stat().st_size < 40e6
        run("lintian", "--fail-on", "error", found)


@pytest.mark.parametrize("name", ["worker", "coordinator"])
def test_the_services_may_do_little(name):
    unit = CHECKOUT / f"Deploy/systemd/tallystick-{name}.service"
    told = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
    exposure = float(re.search(r"Overall exposure level for .*: ([\d.]+)", told).group(1))
    assert exposure <= 2.0, told


def test_from_an_empty_debian_to_an_accepted_unit(root, fresh_fleet, tmp_path):
    """With the package and an invitation alone: one command."""
    fleet = fresh_fleet
    fleet.worker("grace")
    batch = submit(fleet.client(), [chat_line(f"line-{i}") for i in range(8)])
    invitation = fleet.coordinator.invitation("ada")
    began = time.monotonic()
    worker = root.start(tmp_path / "worker.log", "tally", "worker", "run", "--invitation", invitation, "--always")
    try:
        eventually(
            lambda: fleet.client().batches.retrieve(batch.id).request_counts.completed > 0
            or (worker.poll() is not None and pytest.fail((tmp_path / "worker.log").read_text())),
            "a unit is accepted",
            SECONDS_TO_FIRST_UNIT,
        )
        print(f"first accepted unit after {time.monotonic() - began:.1f} s")
        told = root.run("tally", "worker", "doctor", "--seconds", "0", "--memory", "0.1")
        assert "BAD" not in told and "all bits are those of the reference" in told
        assert re.search(r"ok +network .* answers in \d+ ms", told) and re.search(r"ok +clock ", told), told
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def test_the_package_has_what_a_person_looks_for(root):
    assert root.run("tally", "--version").startswith("tally ")
    files = root.run("dpkg", "-L", "tallystick-worker").split()
    for path in (
        "/lib/systemd/system/tallystick-worker.service",
        "/usr/share/bash-completion/completions/tally",
        "/usr/share/man/man1/tally-worker-run.1.gz",
        "/usr/share/doc/tallystick-worker/copyright",
    ):
        assert path in files
    # Joined as a service, though nothing here runs services: root's folder is the service's.
    assert "/var/lib/tallystick-worker" in root.run("tally", "worker", "join", "--help")


def test_removing_keeps_and_purging_forgets(root):
    folder = root.folder / "var/lib/tallystick-worker"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.json").write_text("{}")
    root.run("apt-get", "remove", "-y", "-qq", "tallystick-worker")
    assert folder.exists() and not (root.folder / "usr/bin/tally").exists()
    root.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "/worker.deb")
    root.run("apt-get", "purge", "-y", "-qq", "tallystick-worker")
    assert not folder.exists()


def test_the_tarball_runs_from_any_folder(tmp_path):
    with tarfile.open(package("tallystick-*-linux-*.tar.xz")) as archive:
        archive.extractall(tmp_path)
    [folder] = tmp_path.iterdir()
    moved = folder.rename(tmp_path / "elsewhere")
    program = moved / "bin/tally"
    assert run(program, "--version", env={}).startswith("tally ")
    libraries = run("ldd", program, env={"PATH": os.environ["PATH"]})
    for name in ("libzstd", "libsqlite3", "libpcre2-8", "libcrypto"):
        assert re.search(rf"{name}\S* => {re.escape(str(moved))}/", libraries), libraries
    assert "libswift" not in libraries and "libFoundation" not in libraries
