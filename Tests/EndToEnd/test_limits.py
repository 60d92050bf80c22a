"""OpenAI's limits at once: a batch of 50,000 lines in 200 MB, on a small coordinator that is killed in the middle."""

import json
import os

from batches import assert_counted_once, submit, wait
from processes import chat_line, eventually, tally

LINES = 50_000
BYTES = 200 << 20
MEMORY = 300 * 1000 * 1000


def write_batch(path):
    """Lines of equal length; every thousandth has a prompt that no context holds."""
    size = BYTES // LINES - 1
    long_prompts = 0
    with open(path, "wb") as file:
        for number in range(LINES):
            line = chat_line(f"line-{number:05}", f"Number {number}", max_tokens=1)
            if number % 1000 == 999:
                line["body"]["messages"][0]["content"] = "word " * 600
                long_prompts += 1
            # What the request says about its user makes no difference to the answer.
            line["body"]["user"] = ""
            line["body"]["user"] = "u" * (size - len(json.dumps(line)))
            file.write(json.dumps(line).encode() + b"\n")
    assert BYTES - LINES <= os.path.getsize(path) <= BYTES
    return long_prompts


def test_fifty_thousand_lines_in_two_hundred_megabytes(fresh_fleet, tmp_path):
    source, output = tmp_path / "large.jsonl", tmp_path / "answers.jsonl"
    long_prompts = write_batch(source)
    coordinator = fresh_fleet.coordinator
    fresh_fleet.worker("ada")
    fresh_fleet.worker("grace")
    client = fresh_fleet.client(max_retries=10)
    environment = coordinator.environment(fresh_fleet.key)
    identifier = tally("submit", source, environment=environment, timeout=300).stdout.split()[0]

    def completed():
        coordinator.note_peak()
        return client.batches.retrieve(identifier).request_counts.completed

    eventually(lambda: completed() > LINES // 3, "a third is done", 600, coordinator.process)
    coordinator.kill()
    coordinator.start()
    eventually(
        lambda: completed() and client.batches.retrieve(identifier).status == "completed",
        "the batch is completed",
        600,
        coordinator.process,
    )
    coordinator.note_peak()
    print(f"coordinator's peak: {coordinator.peak / 1e6:.0f} MB")

    counts = client.batches.retrieve(identifier).request_counts
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES - long_prompts, long_prompts)
    tally("results", identifier, "--output", output, environment=environment)
    seen = set()
    with open(output) as lines:
        for line in lines:
            answer = json.loads(line)
            assert answer["response"]["body"]["usage"]["completion_tokens"] == 1
            seen.add(answer["custom_id"])
    assert len(seen) == LINES - long_prompts
    errors = tally("results", identifier, "--errors", environment=environment).stdout.splitlines()
    assert {json.loads(line)["custom_id"] for line in errors} == {f"line-{n:05}" for n in range(999, LINES, 1000)}
    assert_counted_once(coordinator.statistics())
    assert coordinator.peak < MEMORY, f"{coordinator.peak / 1e6:.0f} MB"


def test_one_more_line_than_the_limit_fails_the_batch(fleet):
    client = fleet.client()
    content = "".join(json.dumps(chat_line(f"l{n}", max_tokens=1)) + "\n" for n in range(LINES + 1)).encode()
    batch = wait(client, submit(client, content))
    assert batch.status == "failed"
    assert any("50,000" in error.message or "50000" in error.message for error in batch.errors.data)


def test_a_small_batch_does_not_wait_for_a_large_one(fresh_fleet):
    coordinator = fresh_fleet.coordinator
    fresh_fleet.worker("ada")
    fresh_fleet.worker("grace")
    large_client = fresh_fleet.client()
    large = submit(large_client, [chat_line(f"big-{n}", max_tokens=16) for n in range(20_000)])
    eventually(lambda: large_client.batches.retrieve(large.id).status == "in_progress", "the large one runs")
    small_client = coordinator.client(coordinator.key("small"))
    small = wait(small_client, submit(small_client, [chat_line(f"small-{n}") for n in range(10)]))
    assert small.status == "completed"
    now = large_client.batches.retrieve(large.id)
    assert now.status == "in_progress" and now.request_counts.completed < 20_000
    large_client.batches.cancel(large.id)
