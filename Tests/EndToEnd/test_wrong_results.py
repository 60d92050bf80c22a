"""A worker that lies: found, settled by a replay, and the answers are right all the same."""

from batches import answers, comparable, submit, wait
from processes import chat_line, eventually

LINES = [chat_line(f"w{i}", f"Name the number {i}", max_tokens=12) for i in range(40)]


def test_wrong_tokens_are_found_and_replayed(fleet, fresh_fleet):
    reference = fleet.client()
    expected = comparable(answers(reference, wait(reference, submit(reference, LINES))))
    coordinator = fresh_fleet.coordinator
    fresh_fleet.worker("honest")
    fresh_fleet.worker("liar", arguments=("--falsify-share", "1"))
    client = fresh_fleet.client()
    batch = submit(client, LINES)
    eventually(
        lambda: coordinator.progress(batch.id, fresh_fleet.key)["replicas"]["rejected"],
        "a wrong result is found",
        120,
        coordinator.process,
    )
    # The liar gets no more work; what is left needs another account.
    fresh_fleet.worker("upright")
    batch = wait(client, batch, 300)
    assert batch.status == "completed"
    answered = answers(client, batch)
    assert comparable(answered) == expected

    progress = coordinator.progress(batch.id, fresh_fleet.key)
    assert progress["replicas"]["rejected"] >= 1
    assert progress["replays"] >= 1
    assert "replay" in {line["response"]["body"]["tally"]["verification"] for line in answered.values()}
    statistics = coordinator.statistics()
    contributions = {account["name"]: account["contribution"] for account in statistics["accounts"]}
    assert contributions["liar"]["accepted"] == 0 and contributions["liar"]["credit"] == 0
    assert contributions["liar"]["rejected"] >= 1
    assert contributions["honest"]["rejected"] == 0 and contributions["honest"]["accepted"] >= 1
    [liar] = [worker for worker in statistics["workers"] if worker["name"].startswith("liar")]
    assert liar["consecutive_valid"] == 0
    assert liar["suspended_until"] is not None
