"""Workers that may use a part of the machine only: by their affinity, and by control groups around them."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

from batches import ENDED, submit
from conftest import Fleet
from processes import chat_line, eventually, tally
from tiny_model import write_tiny_model

GROUPS = Path("/sys/fs/cgroup")
MEMORY = 200_000_000
ENTER = ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@"', "sh"]


def taskset():
    return ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


@contextmanager
def control_group(name):
    """A command that runs another with half a processor and `MEMORY`, in groups of either version; None where no group
    can be made."""
    outer = [GROUPS / controller / name for controller in ("cpu", "memory")]
    if (GROUPS / "cgroup.controllers").exists():
        outer = [GROUPS / name]
    inner = [group / "inner" for group in outer]
    limits = {
        "cpu.max": "50000 100000", "memory.max": MEMORY,
        "cpu.cfs_quota_us": 50000, "memory.limit_in_bytes": MEMORY,
    }
    try:
        try:
            if len(outer) == 1:
                (GROUPS / "cgroup.subtree_control").write_text("+cpu +memory")
            for group in [*outer, *inner]:
                group.mkdir()
            held = 0
            for limit in limits:
                for group in outer:
                    if (group / limit).exists():
                        (group / limit).write_text(str(limits[limit]))
                        held += 1
            made = held == 2
        except OSError:
            made = False
        yield [*ENTER, *inner, "--"] if made else None
    finally:
        for group in [*inner, *outer]:
            if group.exists():
                eventually(lambda group=group: removed(group), f"{group} is empty")


def removed(group):
    try:
        group.rmdir()
    except OSError:
        return False
    return True


def status_or_nothing(worker):
    done = tally("worker", "status", "--data", worker.data, check=False)
    return done.stdout if done.returncode == 0 else ""


def test_a_worker_on_one_processor_has_one_thread(fresh_fleet):
    worker = fresh_fleet.worker("ada", threads=None, within=taskset())
    eventually(lambda: "idle" in status_or_nothing(worker), "the worker is idle", process=worker.process)
    limits = worker.status()["limits"]
    assert limits["threads"] == 1
    if os.cpu_count() > 1:
        assert "1 thread (processors allowed to this process)" in status_or_nothing(worker)
    told = json.loads(tally("admin", "workers", "--data", fresh_fleet.coordinator.data, "--json").stdout)
    assert told[0]["machine"]["processors"] == 1, told


def test_long_contexts_fit_into_a_small_group(tmp_path):
    # 12 KB of cache a token: 32 sequences of this length together would not fit.
    model = write_tiny_model(tmp_path / "long", hidden=64, layers=12, context=2048, head=256)
    with control_group(f"tally-test-{os.getpid()}") as group:
        fleet = Fleet(tmp_path, model)
        try:
            client = fleet.client()
            lines = [chat_line(f"long-{i}", f"Tell of the number {i}.", max_tokens=600) for i in range(40)]
            batch = submit(client, lines, tally_pool="trusted")
            arguments = ("--seconds-wanted", "600") + (() if group else ("--memory", "0.1"))
            worker = fleet.worker(
                "ada", invite=("--trusted",), threads=None, arguments=arguments, within=group or taskset()
            )
            eventually(lambda: status_or_nothing(worker), "the worker answers", process=worker.process)
            limits = worker.status()["limits"]
            assert limits["threads"] == 1 and limits["memory_bytes"] <= 0.9 * MEMORY, limits
            if group:
                assert limits["memory_because"] == "control group's limit", limits
            done = eventually(
                lambda: ended(client, batch, worker), "the batch has ended", 240, process=worker.process
            )
            assert done.request_counts.completed == len(lines), done
        finally:
            fleet.close()


def ended(client, batch, worker):
    # Killed for its memory, it would be gone.
    assert worker.process.poll() is None, worker.process.output()
    now = client.batches.retrieve(batch.id)
    return now if now.status in ENDED else None
