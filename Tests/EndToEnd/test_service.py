"""What a worker and a coordinator tell the service manager that started them (sd_notify(3))."""

import socket
import time

from batches import submit, wait
from conftest import HURRIED
from processes import Coordinator, chat_line, eventually


class Manager:
    """The socket of a service manager."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.path = path.replace("\0", "@", 1)
        self.told = []

    def environment(self, watchdog_seconds):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(watchdog_seconds * 1e6))}

    def has(self, wanted):
        """Whether something was told that contains the words."""
        try:
            while True:
                self.told.append((time.monotonic(), self.socket.recv(4096).decode()))
        except BlockingIOError:
            pass
        return [at for at, text in self.told if wanted in text]


def test_a_worker_tells_what_it_does_and_that_it_lives(fresh_fleet, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    worker = fresh_fleet.worker("ada", environment=manager.environment(0.9))
    eventually(lambda: manager.has("READY=1"), "the worker is ready", 30, worker.process)
    eventually(lambda: manager.has("STATUS=idle: no job waits"), "it says why it idles", 30)
    eventually(lambda: len(manager.has("WATCHDOG=1")) >= 5, "it gives signs of life", 10)
    beats = manager.has("WATCHDOG=1")
    # A third of the time that it has, so that one may be late.
    assert max(b - a for a, b in zip(beats, beats[1:])) < 0.9
    worker.stop()
    assert manager.has("STOPPING=1") and len(manager.has("READY=1")) == 1


def test_a_coordinator_in_an_abstract_socket(tmp_path):
    manager = Manager(f"\0tally-{tmp_path.name}-{time.monotonic_ns()}")
    coordinator = Coordinator(tmp_path / "coordinator", arguments=HURRIED)
    coordinator.variables = manager.environment(9)
    coordinator.start()
    try:
        eventually(lambda: manager.has(f"READY=1\nSTATUS=serves {coordinator.url}"), "it says where it is", 10)
        eventually(lambda: len(manager.has("WATCHDOG=1")) >= 2, "it gives signs of life", 15)
        coordinator.stop()
        assert manager.has("STOPPING=1")
    finally:
        coordinator.kill()


def test_a_restart_of_the_machine_keeps_the_unit(fresh_fleet, tmp_path):
    """A service manager's stop waits for no unit, and the next start goes on with it."""
    manager = Manager(str(tmp_path / "notify"))
    worker = fresh_fleet.worker(
        "ada", invite=("--trusted",), environment=manager.environment(30), preferences=["cpu_percent=1"]
    )
    client = fresh_fleet.client()
    batch = submit(client, [chat_line("long", "Count", max_tokens=400)], tally_pool="trusted")
    eventually(lambda: manager.has("STATUS=running a unit"), "a unit runs", 60, worker.process)
    worker.stop()
    stored = list((worker.data / "units").iterdir())
    assert len(stored) == 1
    worker.prefer("cpu_percent=")
    worker.start()
    assert wait(client, batch).request_counts.completed == 1
    assert f"lease={stored[0].name.split('-')[0]} [WorkerDaemon] unit finished" in worker.process.output()
    assert fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key)["replicas"]["lost"] == 0
