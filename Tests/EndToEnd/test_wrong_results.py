"""A worker that lies: found, settled by a replay, and the answers are right all the same."""

import json

from batches import answers, comparable, submit, wait
from processes import chat_line, eventually, tally

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


def test_two_accounts_that_forge_together_are_found_by_an_audit(fleet, fresh_fleet):
    line = [chat_line("w", "Name a number", max_tokens=12)]
    reference = fleet.client()
    expected = comparable(answers(reference, wait(reference, submit(reference, line))))
    coordinator = fresh_fleet.coordinator
    coordinator.stop()
    coordinator.variables = {"TALLY_COORDINATOR_AUDIT_SHARE": "1"}
    coordinator.start()
    # Both falsify a unit in the same way, so their digests are equal.
    for account in ("mallory", "mandy"):
        fresh_fleet.worker(account, arguments=("--falsify-share", "1"))
    client = fresh_fleet.client()
    batch = wait(client, submit(client, line))
    answered = answers(client, batch)
    assert comparable(answered) != expected
    assert answered["w"]["response"]["body"]["tally"]["verification"] == "quorum"

    def audits():
        return json.loads(tally("admin", "audits", "--data", coordinator.data, "--json").stdout)

    eventually(audits, "an audit finds it", 120, coordinator.process)
    [found] = audits()
    assert found["jobs"] == [batch.id] and found["accounts"] == ["mallory", "mandy"]
    assert found["delivered"] not in (None, found["result"])
    assert "an audit found an accepted result wrong" in coordinator.process.output()
    metrics = coordinator.get("/metrics", parse=False).decode()
    assert 'tally_audits_total{outcome="failed"} 1' in metrics
    assert "tally_audits_failed_delivered_total 1" in metrics
    statistics = coordinator.statistics()
    for account in statistics["accounts"]:
        assert account["contribution"]["rejected"] == 1
        assert account["contribution"]["accepted"] == account["contribution"]["credit"] == 0
    assert all(worker["suspended_until"] for worker in statistics["workers"])
