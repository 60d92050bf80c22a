"""Fixtures: one fleet for the tests that only look, fresh ones for those that break things."""

import os

import pytest

from processes import Coordinator, Worker
from tiny_model import write_tiny_model

# A worker that says nothing is given up after seconds, not minutes, and asks for work again after one.
HURRIED = ("--heartbeat-seconds", "3", "--silence-seconds", "12", "--idle-seconds", "1", "--statistics-seconds", "1")


@pytest.fixture(scope="session", autouse=True)
def packed_cache(tmp_path_factory):
    """Keeps packed models out of the folder of whoever runs the tests."""
    os.environ["TALLY_PACKED_CACHE"] = str(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


class Fleet:
    """A coordinator with the tiny model, an API key, and workers as the test asks for them."""

    def __init__(self, folder, model):
        self.folder = folder
        self.coordinator = Coordinator(folder / "coordinator", arguments=HURRIED)
        self.workers = []
        self.coordinator.start()
        self.coordinator.add_model(model)
        self.key = self.coordinator.key()

    def worker(self, account, *, preferences=(), **options):
        worker = Worker(self.coordinator, self.folder / f"worker-{len(self.workers)}", account, **options)
        self.workers.append(worker)
        if preferences:
            worker.prefer(*preferences)
        return worker.start()

    def client(self, **options):
        return self.coordinator.client(self.key, **options)

    def close(self):
        for worker in self.workers:
            worker.kill()
        self.coordinator.kill()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory, tiny_model):
    """Two accounts with a worker each, for the whole run."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), tiny_model)
    try:
        fleet.worker("ada")
        fleet.worker("grace")
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def fresh_fleet(tmp_path, tiny_model):
    """A coordinator of the test's own, without workers."""
    fleet = Fleet(tmp_path, tiny_model)
    try:
        yield fleet
    finally:
        fleet.close()
