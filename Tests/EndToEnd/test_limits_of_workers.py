"""What the owner of a machine allows, measured from outside on a worker that computes the demo model."""

import json
import os
import time
from pathlib import Path

import pytest

from batches import ENDED, submit
from conftest import Fleet
from processes import chat_line, eventually, tally
from test_local import DEMO_MODEL

TICKS = os.sysconf("SC_CLK_TCK")
THREADS = 2


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def processors_used(process, seconds):
    """Processors in use on average over the next seconds."""
    before, start = processor_seconds(process), time.monotonic()
    time.sleep(seconds)
    return (processor_seconds(process) - before) / (time.monotonic() - start)


def status(worker):
    return json.loads(tally("worker", "status", "--data", worker.data, "--json").stdout)


def asked(worker, *words):
    return tally("worker", *words, "--data", worker.data).stdout


@pytest.fixture(scope="module")
def busy_worker(tmp_path_factory):
    """A worker in the middle of a batch that takes minutes."""
    fleet = Fleet(tmp_path_factory.mktemp("limits"), DEMO_MODEL)
    try:
        lines = [chat_line(f"long-{i}", f"Write a long story about the number {i}.", max_tokens=400) for i in range(600)]
        submit(fleet.client(), lines, tally_pool="trusted")
        worker = fleet.worker("ada", invite=("--trusted",), threads=THREADS, arguments=("--seconds-wanted", "600"))
        eventually(lambda: worker.process.poll() is None and running(worker), "a unit runs")
        yield worker
    finally:
        fleet.close()


def running(worker):
    done = tally("worker", "status", "--data", worker.data, "--json", check=False)
    return done.returncode == 0 and json.loads(done.stdout).get("unit") is not None


def test_the_processor_limit_holds(busy_worker):
    asked(busy_worker, "preferences", "cpu_percent=50")
    eventually(lambda: status(busy_worker)["limits"]["cpu_percent"] == 50, "the limit is in force", 2)
    used = processors_used(busy_worker.process, 60) / THREADS
    assert 0.45 <= used <= 0.55, f"{used:.1%} of {THREADS} processors"

    asked(busy_worker, "preferences", "cpu_percent=", "threads=1")
    eventually(lambda: status(busy_worker)["limits"]["threads"] == 1, "the limit is in force", 2)
    assert processors_used(busy_worker.process, 3) <= 1.1
    asked(busy_worker, "preferences", "threads=")


def test_a_pause_holds_within_two_seconds_and_loses_nothing(busy_worker):
    before = eventually(lambda: status(busy_worker).get("unit"), "a unit runs")
    assert asked(busy_worker, "pause", "--for", "1h").startswith("paused: by its owner, for 60 min more")
    time.sleep(2)
    assert processors_used(busy_worker.process, 5) < 0.02
    held = status(busy_worker)
    assert held["unit"]["lease"] == before["lease"]
    assert held["summary"].endswith("(a unit waits)")
    asked(busy_worker, "resume", "--always")
    eventually(
        lambda: (now := status(busy_worker))["results"] > held["results"]
        or (now["unit"] and now["unit"]["share"] > held["unit"]["share"]),
        "the unit goes on where it was",
    )


def test_what_is_asked_wrongly_is_said_plainly(busy_worker):
    for setting, words in {
        "cpu_procent=50": "cpu_procent: no such setting",
        "cpu_percent=0": "cpu_percent: 0 is not between 1 and 100",
        "cpu_percent=half": "cpu_percent takes a whole number",
        "hours=mon 8-9": "is not understood; write for example",
        "cpu_percent": "is not KEY=VALUE",
    }.items():
        done = tally("worker", "preferences", setting, "--data", busy_worker.data, check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
    done = tally("worker", "status", "--data", busy_worker.folder / "nobody", check=False)
    assert done.returncode != 0 and "no worker answers" in done.stderr


def test_an_idle_worker_costs_next_to_nothing(fresh_fleet):
    worker = fresh_fleet.worker("ada")
    eventually(lambda: "idle" in status_or_nothing(worker), "the worker is idle", process=worker.process)
    time.sleep(2)
    used = processors_used(worker.process, 10)
    assert used < 0.01, f"{used:.2%} of a processor"


def anonymous_memory(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def test_the_memory_limit_holds_while_a_unit_wants_more(tmp_path):
    limit = 220_000_000
    fleet = Fleet(tmp_path, DEMO_MODEL)
    try:
        client = fleet.client()
        lines = [chat_line(f"m-{i}", f"Write a story about the number {i}.", max_tokens=160) for i in range(32)]
        batch = submit(client, lines, tally_pool="trusted")
        # No room for a packed model beside its blobs: the weights count as memory too.
        arguments = ("--memory", str(limit / 1e9), "--cache-size", "0.11", "--seconds-wanted", "600")
        worker = fleet.worker("ada", invite=("--trusted",), threads=THREADS, arguments=arguments)
        largest = 0
        deadline = time.monotonic() + 240
        while client.batches.retrieve(batch.id).status not in ENDED:
            assert worker.process.poll() is None and time.monotonic() < deadline, worker.process.output()
            for _ in range(20):
                largest = max(largest, anonymous_memory(worker.process))
                time.sleep(0.01)
        done = client.batches.retrieve(batch.id)
        assert done.request_counts.completed == len(lines), done
        # It used what it was given, and no more.
        assert 0.6 * limit < largest <= 1.05 * limit, f"{largest} bytes of {limit}"
    finally:
        fleet.close()


def test_a_unit_that_cannot_fit_is_not_taken(tmp_path):
    fleet = Fleet(tmp_path, DEMO_MODEL)
    try:
        submit(fleet.client(), [chat_line("large", "Hello")], tally_pool="trusted")
        worker = fleet.worker("ada", invite=("--trusted",), arguments=("--memory", "0.05"))
        words = "1 units need more memory"
        eventually(lambda: words in status_or_nothing(worker), words, process=worker.process)
        asked(worker, "preferences", "monthly_megabytes=0")
        words = "no transfers: network volume of this month is used up: 0 of 0 MB"
        eventually(lambda: words in status_or_nothing(worker), words, 3, process=worker.process)
    finally:
        fleet.close()


def status_or_nothing(worker):
    done = tally("worker", "status", "--data", worker.data, check=False)
    return done.stdout if done.returncode == 0 else ""
