"""What an operator does while the coordinator runs reaches workers and clients."""

import json

import openai
import pytest
from batches import answers, submit, wait
from processes import chat_line, eventually, tally


def admin(fleet, *arguments, **options):
    return tally("admin", *arguments, "--data", fleet.coordinator.data, **options)


def status(worker):
    shown = tally("worker", "status", "--data", worker.data, "--json", check=False)
    # Before it listens there is none.
    return json.loads(shown.stdout) if shown.returncode == 0 else {"summary": ""}


def test_a_drained_coordinator_gives_no_work_until_resumed(fresh_fleet):
    fleet = fresh_fleet
    assert "no unit runs" in admin(fleet, "drain", "--wait").stdout
    admin(fleet, "message", "maintenance on Sunday")
    workers = [fleet.worker("ada"), fleet.worker("grace")]
    client = fleet.client()
    batch = submit(client, [chat_line(f"{n}") for n in range(4)])
    eventually(lambda: "the coordinator is paused" in status(workers[0])["summary"], "the worker says so")
    assert status(workers[0])["message"] == "maintenance on Sunday"
    assert client.batches.retrieve(batch.id).request_counts.completed == 0
    admin(fleet, "resume")
    assert wait(client, batch).status == "completed"
    log = (workers[0].folder / "worker.log").read_text()
    assert log.count("maintenance on Sunday") == 1


def test_a_banned_worker_says_why_and_others_do_its_work(fresh_fleet):
    fleet = fresh_fleet
    workers = [fleet.worker(account) for account in ("ada", "grace", "mallory")]
    client = fleet.client()
    assert wait(client, submit(client, [chat_line("a")])).status == "completed"
    admin(fleet, "ban", "mallory", "--reason", "faulty memory")
    eventually(lambda: "banned" in status(workers[2])["summary"], "the worker knows")
    assert "faulty memory" in status(workers[2])["message"]
    listed = {row["account"]: row for row in json.loads(admin(fleet, "workers", "--json").stdout)}
    assert listed["mallory"]["ban_reason"] == "faulty memory" and "banned_at" not in listed["ada"]
    assert "banned account: faulty memory" in admin(fleet, "workers").stdout
    invited = tally("invite", "mallory", "--data", fleet.coordinator.data, check=False)
    assert invited.returncode == 1 and "banned" in invited.stderr
    batch = wait(client, submit(client, [chat_line(f"{n}") for n in range(4)]))
    assert len(answers(client, batch)) == 4
    unknown = admin(fleet, "ban", "nobody", check=False)
    assert unknown.returncode == 1 and "nobody" in unknown.stderr


def test_a_quota_is_a_rate_limit_error_of_the_official_client(fresh_fleet):
    fleet = fresh_fleet
    admin(fleet, "quota", "tests", "--requests-a-day", "3", "--stored-bytes", "100000")
    client = fleet.client()
    submit(client, [chat_line("a"), chat_line("b")])
    with pytest.raises(openai.RateLimitError) as refused:
        submit(client, [chat_line("a"), chat_line("b")])
    assert refused.value.code == "rate_limit_exceeded" and "3 requests a day" in refused.value.message
    with pytest.raises(openai.RateLimitError) as refused:
        client.files.create(file=("big.jsonl", b" " * 100_000), purpose="batch")
    assert refused.value.code == "insufficient_quota"
    shown = json.loads(admin(fleet, "quota", "tests", "--json").stdout)
    assert shown["used"]["requests_a_day"] == 2 and shown["limits"]["requests_a_day"] == 3


def test_storage_is_shown_and_a_file_setting_is_obeyed(fresh_fleet):
    fleet = fresh_fleet
    client = fleet.client()
    client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    shown = json.loads(admin(fleet, "storage", "--json").stdout)
    assert shown["blobs"]["files"] == {"blobs": 1, "bytes": 2} and shown["blobs"]["models"]["blobs"] > 3
    assert shown["database_bytes"] > 0 and shown["free_bytes"] > 0
    assert "0 blobs" in admin(fleet, "storage", "--sweep", "--dry-run").stdout
    fleet.coordinator.stop()
    (fleet.coordinator.data / "coordinator.json").write_text('{"disk_free_bytes_minimum": 1000000000000000}')
    fleet.coordinator.start()
    with pytest.raises(openai.InternalServerError) as refused:
        client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert refused.value.status_code == 507 and refused.value.code == "disk_full"
    printed = tally("coordinator", "--data", fleet.coordinator.data, "--print-config").stdout
    assert '"disk_free_bytes_minimum": 1000000000000000' in printed and "Set by: file." in printed
