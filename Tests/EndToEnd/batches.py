"""Batches through the official client, and what must hold of every answer."""

import json
import time

ENDED = {"completed", "failed", "expired", "cancelled"}


def submit(client, lines, endpoint="/v1/chat/completions", **metadata):
    """Uploads lines (bytes or objects) and creates a batch."""
    content = lines if isinstance(lines, bytes) else "".join(json.dumps(line) + "\n" for line in lines).encode()
    uploaded = client.files.create(file=("batch.jsonl", content), purpose="batch")
    options = {"metadata": metadata} if metadata else {}
    return client.batches.create(
        input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", **options
    )


def wait(client, batch, seconds=180):
    """Polls until the batch has ended."""
    deadline = time.monotonic() + seconds
    while True:
        now = client.batches.retrieve(batch.id)
        if now.status in ENDED:
            return now
        assert time.monotonic() < deadline, f"the batch did not end within {seconds} s: {now}"
        time.sleep(0.1)


def lines_of(client, file_id):
    """The objects of an output or error file."""
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def answers(client, batch):
    """Output lines by custom_id; each appears once."""
    if batch.output_file_id is None:
        return {}
    lines = lines_of(client, batch.output_file_id)
    by_id = {line["custom_id"]: line for line in lines}
    assert len(by_id) == len(lines), "a line was answered twice"
    return by_id


def text(line):
    """What the first choice says."""
    return line["response"]["body"]["choices"][0]["message"]["content"]


def comparable(answered):
    """Answers without what differs between two runs of the same batch."""
    return {
        custom_id: [
            (choice["index"], choice["message"]["content"], choice["finish_reason"], choice.get("logprobs"))
            for choice in line["response"]["body"]["choices"]
        ]
        for custom_id, line in answered.items()
    }


def assert_counted_once(statistics, *, workers=2):
    """In the public pool every unit was accepted from exactly two accounts, and totals are sums."""
    assert statistics["totals"]["accepted"] == workers * statistics["units_accepted"]
    for kind in ("accounts", "workers"):
        for field in ("accepted", "rejected", "tokens"):
            assert sum(one["contribution"][field] for one in statistics[kind]) == statistics["totals"][field], field
        credit = sum(one["contribution"]["credit"] for one in statistics[kind])
        assert abs(credit - statistics["totals"]["credit"]) <= 1e-4 * max(1, credit)
