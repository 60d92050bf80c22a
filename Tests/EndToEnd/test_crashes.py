"""SIGKILL at bad moments: the batch completes, nothing is lost, nothing is counted twice."""

import re

from batches import answers, assert_counted_once, comparable, submit, wait
from processes import chat_line, eventually, tally

LINES = [chat_line(f"crash-{i}", f"Tell me about the number {i}", max_tokens=96) for i in range(60)]


# Slow enough that a unit can be seen while it runs, and that one of its requests ends before the others.
SLOW = ["cpu_percent=2"]
UNHURRIED = ["cpu_percent=10"]
FULL_SPEED = "cpu_percent="


def undisturbed(fleet):
    client = fleet.client()
    return comparable(answers(client, wait(client, submit(client, LINES))))


def finish(fresh_fleet, batch, expected):
    client = fresh_fleet.client()
    ended = wait(client, batch, 300)
    assert ended.status == "completed"
    assert ended.request_counts.completed == len(LINES)
    assert comparable(answers(client, ended)) == expected
    progress = fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key)
    assert progress["replicas"]["rejected"] == 0
    statistics = fresh_fleet.coordinator.statistics()
    assert_counted_once(statistics)
    assert statistics["requests_completed"] == len(LINES)


def running(fresh_fleet, batch):
    return fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key)["replicas"]["running"] > 0


def test_a_worker_is_killed_in_the_middle_of_a_unit(fleet, fresh_fleet):
    expected = undisturbed(fleet)
    victim = fresh_fleet.worker("ada", preferences=SLOW)
    client = fresh_fleet.client()
    batch = submit(client, LINES)
    eventually(lambda: running(fresh_fleet, batch), "a unit runs")
    victim.kill()
    fresh_fleet.worker("grace")
    victim.prefer(FULL_SPEED)
    victim.start()
    finish(fresh_fleet, batch, expected)


def test_a_killed_worker_resumes_its_unit_where_it_was(fleet, fresh_fleet):
    """The next run computes what is missing alone, and the answers have the same bits."""
    lines = [chat_line(f"resume-{i}", "Count", max_tokens=n, logprobs=True) for i, n in enumerate((8, 60, 200, 400))]
    client = fleet.client()
    expected = comparable(answers(client, wait(client, submit(client, lines))))

    victim = fresh_fleet.worker(
        "ada", invite=("--trusted",), arguments=("--checkpoint-seconds", "0"), preferences=UNHURRIED
    )
    client = fresh_fleet.client()
    batch = submit(client, lines, tally_pool="trusted")
    eventually(lambda: finished_requests(victim) > 0, "a request of the unit is on disk", process=victim.process)
    victim.kill()
    kept = finished_requests(victim)
    assert 0 < kept < len(lines)
    assert "unit resumed" not in victim.process.output()

    victim.prefer(FULL_SPEED)
    victim.start()
    ended = wait(client, batch)
    assert comparable(answers(client, ended)) == expected
    told = victim.process.output()
    assert re.search(rf"sequences={kept} .*unit resumed", told), told
    assert victim.status()["resumed_sequences"] == kept
    # What its owner is told, and how the account stands.
    assert f"{kept} requests of interrupted units" in tally("worker", "status", "--data", victim.data).stdout
    assert "unit resumed" in tally("worker", "logs", "--data", victim.data).stdout
    # What it took, in both runs, and how that is known.
    told = tally("worker", "status", "--data", victim.data).stdout
    assert re.search(r"energy +.* today; .* in all \((measured: RAPL|estimate: 6 W a busy core)\)", told), told
    totals = fresh_fleet.coordinator.get("/stats")["totals"]
    assert 0 < totals["energy_joules"] <= victim.status()["energy"]["total_joules"] + 0.001
    assert victim.status()["standing"]["rank"] == 1
    replicas = fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key)["replicas"]
    assert (replicas["accepted"], replicas["rejected"], replicas["lost"]) == (1, 0, 0)
    assert not list((victim.data / "units").iterdir())


def finished_requests(worker):
    """Requests of the held unit that the worker's folder has the end of."""
    files = (worker.data / "units").glob("*.checkpoint")
    lists = [re.findall(rb'"finished":\{[^}]*"sequences":\[([\d,]*)\]', path.read_bytes()) for path in files]
    return sum(len(numbers.split(b",")) for found in lists for numbers in found)


def test_the_coordinator_is_killed_in_the_middle_of_a_batch(fleet, fresh_fleet):
    expected = undisturbed(fleet)
    fresh_fleet.worker("ada")
    fresh_fleet.worker("grace")
    client = fresh_fleet.client(max_retries=10)
    batch = submit(client, LINES)
    for moment in (1, len(LINES) // 3, 2 * len(LINES) // 3):
        eventually(
            lambda: (now := client.batches.retrieve(batch.id)).request_counts.completed >= moment
            or now.status == "completed",
            f"{moment} requests are done",
        )
        fresh_fleet.coordinator.kill()
        fresh_fleet.coordinator.start()
    finish(fresh_fleet, batch, expected)


def test_killed_while_validating(fresh_fleet):
    client = fresh_fleet.client(max_retries=10)
    batch = submit(client, [chat_line(f"v{i}") for i in range(3000)])
    fresh_fleet.coordinator.kill()
    fresh_fleet.coordinator.start()
    eventually(lambda: client.batches.retrieve(batch.id).status == "in_progress", "validated after the restart")
    assert client.batches.retrieve(batch.id).request_counts.total == 3000


def test_a_worker_ends_cleanly_on_sigterm_and_its_work_goes_on(fleet, fresh_fleet):
    expected = undisturbed(fleet)
    leaving = fresh_fleet.worker("ada", preferences=SLOW)
    client = fresh_fleet.client()
    batch = submit(client, LINES)
    eventually(lambda: running(fresh_fleet, batch), "a unit runs")
    leaving.stop()
    fresh_fleet.worker("grace")
    fresh_fleet.worker("barbara")
    finish(fresh_fleet, batch, expected)
