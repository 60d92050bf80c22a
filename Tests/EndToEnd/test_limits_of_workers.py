"""What the owner of a machine allows, measured from outside on a worker that computes the demo model."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
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


@contextmanager
def computing(folder, **options):
    """A worker in the middle of a batch that takes minutes."""
    fleet = Fleet(folder, DEMO_MODEL)
    try:
        lines = [chat_line(f"long-{i}", f"Write a long story about the number {i}.", max_tokens=400) for i in range(600)]
        submit(fleet.client(), lines, tally_pool="trusted")
        worker = fleet.worker(
            "ada", invite=("--trusted",), threads=THREADS, arguments=("--seconds-wanted", "600"), **options
        )
        eventually(lambda: worker.process.poll() is None and running(worker), "a unit runs")
        yield worker
    finally:
        fleet.close()


@pytest.fixture(scope="module")
def busy_worker(tmp_path_factory):
    with computing(tmp_path_factory.mktemp("limits")) as worker:
        yield worker


@pytest.fixture(scope="module")
def considerate_worker(tmp_path_factory):
    """One with the defaults that an installed one has."""
    with computing(tmp_path_factory.mktemp("defaults"), considerate=True, preferences=["other_load_percent=0"]) as worker:
        yield worker


def running(worker):
    done = tally("worker", "status", "--data", worker.data, "--json", check=False)
    return done.returncode == 0 and json.loads(done.stdout).get("unit") is not None


def test_the_processor_limit_holds(busy_worker):
    asked(busy_worker, "preferences", "cpu_percent=50")
    eventually(lambda: status(busy_worker)["limits"]["cpu_percent"] == 50, "the limit is in force", 2)
    used = processors_used(busy_worker.process, 30) / THREADS
    assert 0.45 <= used <= 0.55, f"{used:.1%} of {THREADS} processors"

    asked(busy_worker, "preferences", "cpu_percent=", "threads=1")
    eventually(lambda: status(busy_worker)["limits"]["threads"] == 1, "the limit is in force", 2)
    assert processors_used(busy_worker.process, 3) <= 1.1
    asked(busy_worker, "preferences", "threads=")


def test_an_edited_file_is_in_force_within_two_seconds(busy_worker):
    file = Path(busy_worker.data, "preferences.json")
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {"cpu_percent": 35}))
    eventually(lambda: status(busy_worker)["limits"]["cpu_percent"] == 35, "the limit is in force", 2)
    file.write_text(before)
    eventually(lambda: status(busy_worker)["limits"]["cpu_percent"] != 35, "the limit before is in force", 2)


def paused_in(worker):
    """Pauses in the middle of a unit, which is given as it was before; nothing when it ended just then."""
    before = eventually(lambda: status(worker).get("unit"), "a unit runs")
    assert asked(worker, "pause", "--for", "1h").startswith("paused: by its owner, for 60 min more")
    if (status(worker).get("unit") or {}).get("lease") == before["lease"]:
        return before
    asked(worker, "resume", "--always")
    return None


def test_a_pause_holds_within_two_seconds_and_loses_nothing(busy_worker):
    before = eventually(lambda: paused_in(busy_worker), "a unit is there to be held")
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


@pytest.fixture
def terminal():
    """A terminal at which nobody has typed for an hour; the master's side is the keyboard."""
    keyboard, screen = os.openpty()
    hour_ago = time.time() - 3600
    os.utime(os.ttyname(screen), (hour_ago, hour_ago))
    yield lambda: (os.write(keyboard, b"\n"), os.read(screen, 16))
    os.close(keyboard)
    os.close(screen)


@contextmanager
def preferring(worker, *settings):
    """While these settings are in force."""
    words = "preferences taken up"
    before = worker.process.log.read_text().count(words)
    asked(worker, "preferences", *settings)
    eventually(lambda: worker.process.log.read_text().count(words) > before, "they are in force", 10)
    yield
    asked(worker, "preferences", *(f"{setting.split('=')[0]}=" for setting in settings))


def seconds_until_still(process, within):
    """Seconds from now until the last moment at which the process computed: a look around each second is none."""
    start, last = time.monotonic(), 0.0
    while time.monotonic() - start < within:
        if processors_used(process, 0.25) > 0.2:
            last = time.monotonic() - start
    return last


def test_whoever_comes_back_has_the_machine_within_two_seconds(considerate_worker, terminal):
    with preferring(considerate_worker, "computes_in_use=false", "idle_after_seconds=10"):
        eventually(lambda: processors_used(considerate_worker.process, 0.5) > 0.2, "it computes while nobody is there")
        terminal()
        still = seconds_until_still(considerate_worker.process, within=5)
        assert still < 2, considerate_worker.process.output()
        assert status(considerate_worker)["summary"] == "paused: somebody uses the machine (a unit waits)"
        eventually(lambda: processors_used(considerate_worker.process, 0.5) > 0.2, "it goes on when they have gone", 30)


def test_other_programs_have_the_machine_within_two_seconds(considerate_worker):
    eventually(lambda: processors_used(considerate_worker.process, 0.5) > 0.2, "it computes")
    asked(considerate_worker, "preferences", "other_load_percent=25")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        # What runs at the usual priority has the processors from the first moment: the worker takes what nobody wants.
        start = time.monotonic()
        given = processors_used(considerate_worker.process, 1)
        assert given < 0.05 * os.cpu_count(), f"{given:.2f} processors in the first second"
        eventually(lambda: "other programs take" in status(considerate_worker)["summary"], "it says why it rests", 10)
        assert processors_used(considerate_worker.process, 2) < 0.02
        assert time.monotonic() - start < 15
    finally:
        for other in others:
            other.kill()
            other.wait()
    asked(considerate_worker, "preferences", "other_load_percent=0")
    eventually(lambda: processors_used(considerate_worker.process, 0.5) > 0.2, "it goes on")


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
        words = "work waits that needs more memory (1 request or unit)"
        eventually(lambda: words in status_or_nothing(worker), words, process=worker.process)
        asked(worker, "preferences", "monthly_megabytes=0")
        words = "no transfers: network volume of this month is used up: 0 of 0 MB"
        eventually(lambda: words in status_or_nothing(worker), words, 3, process=worker.process)
    finally:
        fleet.close()


def status_or_nothing(worker):
    done = tally("worker", "status", "--data", worker.data, check=False)
    return done.stdout if done.returncode == 0 else ""
