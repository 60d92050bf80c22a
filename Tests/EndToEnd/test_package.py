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
from processes import CHECKOUT, chat_line, eventually, free_port

PACKAGES = Path(os.environ.get("TALLY_PACKAGES", CHECKOUT / ".build-package/output"))
SUITE = "bookworm"
SECONDS_TO_FIRST_UNIT = 60


def package(pattern):
    [found] = PACKAGES.glob(pattern)
    return found


AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--preserve-env"]


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
        run(*AS_ROOT, "debootstrap", "--variant=minbase", SUITE, folder, mirror())
        for settings in Path("/etc/apt/apt.conf.d").glob("*artifact*"):
            self.copy(settings, "etc/apt/apt.conf.d")
        self.copy("/etc/resolv.conf", "etc/resolv.conf")
        self.mount()

    def mount(self):
        """Of its own: nothing of this machine's hangs below a folder that is removed later."""
        run(*AS_ROOT, "mount", "-t", "proc", "proc", self.folder / "proc")

    def unmount(self):
        run(*AS_ROOT, "umount", "--lazy", self.folder / "proc")

    def copy(self, file, path):
        run(*AS_ROOT, "cp", file, self.folder / path)

    def install(self, *names):
        self.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *names)

    def run(self, *command, **variables):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        return run(*AS_ROOT, "chroot", self.folder, *command, env={**environment, **variables})

    def start(self, log, *command):
        return subprocess.Popen(
            [*AS_ROOT, "chroot", self.folder, *map(str, command)],
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )

    def close(self):
        self.unmount()
        run(*AS_ROOT, "rm", "-rf", "--one-file-system", self.folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = Root(tmp_path_factory.mktemp("debian") / "root")
    try:
        root.copy(package("tallystick-worker_*.deb"), "worker.deb")
        root.copy(package("tallystick-coordinator_*.deb"), "coordinator.deb")
        began = time.monotonic()
        root.install("/worker.deb")
        print(f"the worker's package and what it needs: installed in {time.monotonic() - began:.1f} s")
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
    # Root's worker lives in the service's folder, though nothing runs services here.
    root.run("test", "-f", "/var/lib/tallystick-worker/key.pem")
    assert root.run("tally", "worker", "leave", "--yes").startswith("left; ")
    assert not (root.folder / "var/lib/tallystick-worker/key.pem").exists()


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


def test_removing_keeps_and_purging_forgets(root):
    folder = root.folder / "var/lib/tallystick-worker"
    root.run("mkdir", "-p", "/var/lib/tallystick-worker")
    root.run("touch", "/var/lib/tallystick-worker/worker.json")
    root.run("apt-get", "remove", "-y", "-qq", "tallystick-worker")
    assert folder.exists() and not (root.folder / "usr/bin/tally").exists()
    root.install("/worker.deb")
    root.run("apt-get", "purge", "-y", "-qq", "tallystick-worker")
    assert not folder.exists()


class Machine:
    """A Debian that systemd has started, sharing this machine's network."""

    def __init__(self, root, log):
        self.root, self.log = root, log
        self.process = subprocess.Popen(
            [*AS_ROOT, "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "-D", root.folder],
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.leader = eventually(self.find_leader, "the machine has a first process", 30)
        try:
            eventually(lambda: self.state() in ("running", "degraded"), "it has started", 180)
        except AssertionError as failure:
            waits = self.ask("systemctl", "list-jobs", "--no-pager")
            raise AssertionError(f"{failure}: {self.state()}\n{waits}\n{log.read_text()[-4000:]}") from None

    def state(self):
        return self.ask("systemctl", "is-system-running")

    def find_leader(self):
        """The process that is number 1 inside. Before it, nspawn has a child that prepares the folder and ends."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return next((pid for pid in found if self.numbers(pid)[1:] == ["1"]), None)

    @staticmethod
    def numbers(pid):
        """A process's number here, and in the machine if it lives in one (proc_pid_status(5), NSpid)."""
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return []
        return re.search(r"^NSpid:(.*)$", status, re.MULTILINE).group(1).split()

    def command(self, *command):
        inside = ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-p", "-C"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        return [*AS_ROOT, *inside, *clean, *map(str, command)]

    def run(self, *command):
        try:
            return run(*self.command(*command))
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.ask('journalctl', '--no-pager', '-n', '40')}") from None

    def ask(self, *command):
        """What a command says, whatever its exit code."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=60).stdout.strip()

    def shows(self, unit, name):
        return self.ask("systemctl", "show", "--value", "-p", name, unit)

    def close(self):
        if self.process.poll() is None:
            self.ask("systemctl", "--no-block", "poweroff")
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            run(*AS_ROOT, "kill", "-KILL", self.leader)
            self.process.wait(30)


@pytest.fixture
def machine(root, tmp_path):
    root.install("systemd-sysv", "dbus", "/worker.deb")
    settings = (
        f'TALLY_COORDINATOR_ARGUMENTS="--port {free_port()} --idle-seconds 1"\n'
        # Short enough that a certificate has to be renewed while a test looks, and long enough that a renewal which
        # meets a stopped coordinator is tried again before the end.
        "TALLY_COORDINATOR_CERTIFICATE_SECONDS=240\n"
    )
    (tmp_path / "settings").write_text(settings)
    root.copy(tmp_path / "settings", "etc/default/tallystick-coordinator")
    root.install("/coordinator.deb")
    # A machine's processes have numbers of their own, and so its own view of them.
    root.unmount()
    try:
        machine = Machine(root, tmp_path / "machine.log")
        try:
            yield machine
        finally:
            machine.close()
    finally:
        root.mount()


def test_the_services_live_under_systemd(machine):
    """One command joins and starts; the watchdog restarts what hangs; leaving leaves nothing."""
    assert machine.shows("tallystick-coordinator", "ActiveState") == "active"
    assert machine.shows("tallystick-coordinator", "StatusText").startswith("serves https://")
    assert machine.shows("tallystick-worker", "ConditionResult") == "no"

    invitation = machine.run("tally", "invite", "ada", "--uses", "2").strip()
    machine.run("tally", "worker", "join", invitation)
    assert machine.shows("tallystick-worker", "ActiveState") == "active"
    # What else this machine does is not what is looked at here.
    machine.run("tally", "worker", "preferences", "other_load_percent=0")
    eventually(lambda: "no job waits" in machine.shows("tallystick-worker", "StatusText"), "it asks for work", 30)
    assert "for           ada at" in machine.run("tally", "worker", "status")
    worker = machine.run("grep", "-o", "worker_[a-z0-9]*", "/var/lib/tallystick-worker/worker.json")
    certificate = machine.run("sha256sum", "/var/lib/tallystick-worker/client.pem")

    main = machine.shows("tallystick-worker", "MainPID")
    status = machine.run("cat", f"/proc/{main}/status")
    assert not re.search(r"^Uid:\t0", status, re.MULTILINE) and "NoNewPrivs:\t1" in status
    # SCHED_IDLE at nice 19 (proc_pid_stat(5)).
    assert machine.run("cat", f"/proc/{main}/stat").rpartition(")")[2].split()[16] == "19"
    journal = machine.run("journalctl", "--no-pager", "-u", "tallystick-worker", "-u", "tallystick-coordinator")
    assert "thread priority" not in journal and "tally1." not in journal

    for unit in ("worker", "coordinator"):
        unit = f"tallystick-{unit}"
        machine.run("systemctl", "service-watchdogs", "yes")
        machine.run("mkdir", "-p", f"/run/systemd/system/{unit}.service.d")
        override = f"/run/systemd/system/{unit}.service.d/hurry.conf"
        machine.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=6\\nRestartSec=1\\n' > {override}")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", unit)
        time.sleep(8)
        assert machine.shows(unit, "NRestarts") == "0", "a worker that lives was restarted"
        machine.run("systemctl", "kill", "--signal=STOP", unit)
        eventually(lambda unit=unit: machine.shows(unit, "NRestarts") == "1", "the watchdog restarts it", 40)
        eventually(lambda unit=unit: machine.shows(unit, "ActiveState") == "active", "it is back", 30)
    assert machine.run("grep", "-o", "worker_[a-z0-9]*", "/var/lib/tallystick-worker/worker.json") == worker

    eventually(
        lambda: machine.run("sha256sum", "/var/lib/tallystick-worker/client.pem") != certificate,
        "the certificate is renewed before it ends",
        240,
    )
    machine.run("systemctl", "restart", "tallystick-worker")
    eventually(lambda: "no job waits" in machine.shows("tallystick-worker", "StatusText"), "the new one is good", 30)

    assert machine.run("tally", "worker", "leave", "--yes").startswith("left; ")
    assert machine.shows("tallystick-worker", "ActiveState") == "inactive"
    assert machine.run("ls", "-A", "/var/lib/tallystick-worker/") == ""
    # Back again, into a folder that belongs to the service's user by now.
    machine.run("tally", "worker", "join", invitation)
    eventually(lambda: "no job waits" in machine.shows("tallystick-worker", "StatusText"), "it asks for work", 30)


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
