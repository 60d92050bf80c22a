"""What a volunteer decides of account, work and machine, through the worker alone."""

import json

from batches import submit, wait
from processes import MODEL, chat_line, eventually, tally


def worker_command(worker, *arguments, **options):
    return tally("worker", *arguments, "--data", worker.data, **options)


def answer(worker, *arguments):
    return json.loads(worker_command(worker, *arguments, "--json").stdout)


def joined(worker):
    """The worker once it can ask its coordinator."""
    eventually(
        lambda: worker_command(worker, "account", check=False).returncode == 0, "the worker answers", 60, worker.process
    )
    return worker


def test_consent_is_the_volunteers_own(fresh_fleet):
    fleet = fresh_fleet
    worker = joined(fleet.worker("ada"))
    tally("account", "set", "ada", "--private", "--email", "ada@example.org", "--data", fleet.coordinator.data)
    shown = worker_command(worker, "account")
    assert "ada is private" in shown.stdout and "account set --public" in shown.stderr
    changed = answer(worker, "account", "set", "--public", "--team", "Engines", "--country", "Ireland")
    assert changed == {"name": "ada", "public": True, "team": "Engines", "country": "Ireland"}
    eventually(lambda: [one["name"] for one in fleet.coordinator.statistics()["accounts"]] == ["ada"], "it is named", 10)
    assert answer(worker, "account", "set", "--private", "--team", "") == {
        "name": "ada",
        "public": False,
        "country": "Ireland",
    }
    eventually(lambda: fleet.coordinator.statistics()["accounts"] == [], "it is nameless again", 10)
    refused = worker_command(worker, "account", "set", "--url", "javascript:alert(1)", check=False)
    assert refused.returncode == 1 and "https://" in refused.stderr


def test_account_keys_are_shown_once_and_are_in_no_log(fresh_fleet):
    fleet = fresh_fleet
    worker = joined(fleet.worker("ada"))
    made = answer(worker, "account", "key")
    assert made["key"].startswith("tally-account-") and made["page"] == fleet.coordinator.url + "/account"
    by_operator = json.loads(tally("account", "key", "ada", "--data", fleet.coordinator.data, "--json").stdout)["key"]
    assert by_operator.startswith("tally-account-") and by_operator != made["key"]
    assert answer(worker, "account", "key", "--revoke") == {"revoked": 2}
    unknown = tally("account", "key", "nobody", "--data", fleet.coordinator.data, check=False)
    assert unknown.returncode == 1 and "nobody" in unknown.stderr
    logs = fleet.coordinator.process.output() + worker.process.output()
    logs += "".join(path.read_text(errors="replace") for path in (worker.data / "log").iterdir())
    for key in (made["key"], by_operator):
        assert key not in logs
        assert not any(key.encode() in path.read_bytes() for path in fleet.coordinator.data.rglob("*.sqlite*"))


def test_a_worker_takes_what_its_owner_chose(fresh_fleet):
    fleet = fresh_fleet
    workers = [joined(fleet.worker(account)) for account in ("ada", "grace")]
    for worker in workers:
        assert answer(worker, "choose", "models=other-*, -secret") == {"models": ["other-*", "-secret"]}
        # In force before there is work.
        eventually(lambda: worker.status().get("choices"), "the worker knows")
    client = fleet.client()
    batch = submit(client, [chat_line(f"{n}") for n in range(4)])
    eventually(lambda: "did not choose" in workers[0].status()["summary"], "the worker says why it idles")
    assert client.batches.retrieve(batch.id).request_counts.completed == 0
    assert "models other-*, -secret" in worker_command(workers[0], "status").stdout
    for worker in workers:
        worker_command(worker, "choose", f"models={MODEL}", "licences=unknown", "pools=public")
    assert wait(client, batch).status == "completed"
    misspelt = worker_command(workers[0], "choose", "kinds=dance", check=False)
    assert misspelt.returncode != 0 and "generate" in misspelt.stderr
    assert answer(workers[0], "choose")["models"] == [MODEL]


def test_the_machine_is_known_until_its_owner_keeps_it_private(fresh_fleet):
    fleet = fresh_fleet
    worker = joined(fleet.worker("ada"))

    def machine():
        [row] = json.loads(tally("admin", "workers", "--json", "--data", fleet.coordinator.data).stdout)
        return row.get("machine")

    known = eventually(machine, "the operator sees the machine")
    assert known["processors"] >= 1 and known["memory_bytes"] > 1 << 28 and known["system"] == "Linux"
    assert known["program_version"] and known["kernels"]
    worker.prefer("share_machine=false")
    eventually(lambda: machine() is None, "the coordinator has forgotten it")
