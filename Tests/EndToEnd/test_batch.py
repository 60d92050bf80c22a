"""A whole batch, end to end: coordinator, two workers of two accounts, TLS between them."""

import json

import pytest

from batches import answers, assert_counted_once, comparable, submit, wait
from processes import chat_line, eventually, jsonl, tally


def varied_lines():
    lines = [chat_line(f"greedy-{i}", f"Prompt number {i} about bread", max_tokens=8) for i in range(20)]
    lines += [
        chat_line(f"sampled-{i}", "Say something", temperature=1.0, top_p=0.9, seed=i, max_tokens=8) for i in range(8)
    ]
    lines += [
        chat_line("several", "Three of these", n=3, temperature=0.8, seed=5),
        chat_line("logprobs", "How likely", logprobs=True, top_logprobs=3),
        chat_line("top-k", "Few choices", temperature=1.5, top_k=4, min_p=0.01, seed=9),
        chat_line("unicode", "Grüße aus 東京 🚲", max_tokens=12),
    ]
    return lines


def test_every_line_is_answered_and_verified(fleet):
    client = fleet.client()
    batch = wait(client, submit(client, varied_lines()))
    assert batch.status == "completed"
    assert batch.request_counts.total == batch.request_counts.completed == 32
    answered = answers(client, batch)
    assert set(answered) == {line["custom_id"] for line in varied_lines()}
    origin = client.models.retrieve(batch.model).tally
    assert set(origin) == {"manifest", "source", "licence", "base_models"} and origin["source"]
    for line in answered.values():
        body = line["response"]["body"]
        assert line["error"] is None and line["response"]["status_code"] == 200
        assert body["tally"]["verification"] in ("quorum", "replay")
        assert body["tally"]["replicas"] >= 2
        assert body["tally"]["model"] == origin
        assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert len(answered["several"]["response"]["body"]["choices"]) == 3
    entries = answered["logprobs"]["response"]["body"]["choices"][0]["logprobs"]["content"]
    assert entries and all(len(entry["top_logprobs"]) == 3 and entry["logprob"] <= 0 for entry in entries)
    progress = fleet.coordinator.progress(batch.id, fleet.key)
    assert progress["units"]["accepted"] == progress["units"]["total"] > 0
    assert progress["agreements"] + progress["replays"] == progress["units"]["accepted"]
    assert progress["replicas"]["rejected"] == 0
    assert_counted_once(fleet.coordinator.statistics())


def test_the_same_batch_gives_the_same_answers(fleet):
    client = fleet.client()
    first = answers(client, wait(client, submit(client, varied_lines())))
    second = answers(client, wait(client, submit(client, list(reversed(varied_lines())))))
    assert comparable(first) == comparable(second)


def test_a_bad_line_fails_the_batch_by_number_before_anything_runs(fleet):
    client = fleet.client()
    good = chat_line("a")
    bad = [
        json.dumps(good),
        json.dumps(chat_line("a")),
        "{this is not JSON",
        json.dumps(chat_line("b", model="no-such-model")),
        json.dumps(chat_line("c", frequency_penalty=0.5)),
        json.dumps(chat_line("d", temperature=17)),
    ]
    batch = wait(client, submit(client, "\n".join(bad).encode()))
    assert batch.status == "failed"
    assert {error.line for error in batch.errors.data} == {2, 3, 4, 5, 6}
    assert "duplicate_custom_id" in {error.code for error in batch.errors.data}
    assert batch.output_file_id is None


def test_what_fails_for_one_request_fails_that_line_only(fleet):
    client = fleet.client()
    lines = [
        chat_line("fine", "short"),
        chat_line("too-long", "word " * 2000),
        chat_line("bad-template", "x", messages=[{"role": "developer", "content": "x"}]),
    ]
    batch = wait(client, submit(client, lines))
    assert batch.status == "completed"
    assert batch.request_counts.completed == 1 and batch.request_counts.failed == 2
    failed = {json.loads(line)["custom_id"] for line in client.files.content(batch.error_file_id).text.splitlines()}
    assert failed == {"too-long", "bad-template"}
    assert set(answers(client, batch)) == {"fine"}


def test_completions_and_stop_strings(fleet):
    client = fleet.client()

    def line(identifier, **body):
        request = {"model": "tiny", "prompt": "Once upon a time", "max_tokens": 16, "temperature": 0, **body}
        return {"custom_id": identifier, "method": "POST", "url": "/v1/completions", "body": request}

    whole = answers(client, wait(client, submit(client, [line("whole")], "/v1/completions")))
    said = whole["whole"]["response"]["body"]["choices"][0]["text"]
    assert len(said) > 3
    stop = said[2:4]
    cut = answers(client, wait(client, submit(client, [line("cut", stop=[stop])], "/v1/completions")))
    choice = cut["cut"]["response"]["body"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["text"] == said[: said.index(stop)]


def test_the_trusted_pool_runs_once_and_says_so(fresh_fleet):
    fresh_fleet.worker("lab", invite=("--trusted",))
    client = fresh_fleet.client()
    batch = wait(client, submit(client, [chat_line(f"t{i}") for i in range(6)], tally_pool="trusted"))
    assert batch.status == "completed"
    for line in answers(client, batch).values():
        assert line["response"]["body"]["tally"]["verification"] == "trusted_pool"
    statistics = fresh_fleet.coordinator.statistics()
    assert statistics["totals"]["accepted"] == statistics["units_accepted"] > 0


def test_a_pool_of_one_account_waits_and_says_why(fresh_fleet):
    fresh_fleet.worker("alone")
    client = fresh_fleet.client()
    batch = submit(client, [chat_line("lonely")])
    progress = eventually(
        lambda: (found := fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key))["replicas"]["waiting"] and found,
        "one replica waits for another account",
    )
    assert any("account" in reason for reason in progress["wait_reasons"]), progress["wait_reasons"]
    environment = fresh_fleet.coordinator.environment(fresh_fleet.key)
    assert "account" in tally("status", batch.id, environment=environment).stdout
    fresh_fleet.worker("second")
    assert wait(client, batch).status == "completed"


def test_submit_and_results_on_the_command_line(fleet, tmp_path):
    environment = fleet.coordinator.environment(fleet.key)
    source, output = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    source.write_bytes(jsonl([chat_line(f"c{i}") for i in range(5)]))
    submitted = tally("submit", source, "--output", output, environment=environment, timeout=180)
    identifier = submitted.stdout.split()[0]
    assert "can read" in submitted.stderr
    assert "verified" in submitted.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert {line["custom_id"] for line in lines} == {f"c{i}" for i in range(5)}
    assert tally("results", identifier, environment=environment).stdout == output.read_text()
    assert "completed" in tally("status", identifier, environment=environment).stdout
    assert identifier in tally("status", environment=environment).stdout
    statistics = json.loads(tally("stats", "--json", environment=environment).stdout)
    assert {account["name"] for account in statistics["accounts"]} >= {"ada", "grace"}
    assert "ada" in tally("stats", environment=environment).stdout


def test_submitting_a_broken_file_fails_with_line_numbers(fleet, tmp_path):
    source = tmp_path / "broken.jsonl"
    source.write_bytes(jsonl([chat_line("a"), chat_line("a")]))
    answer = tally("submit", source, "--wait", check=False, environment=fleet.coordinator.environment(fleet.key))
    assert answer.returncode == 1
    assert "line 2" in answer.stderr


@pytest.mark.parametrize("pair", [("portable", "avx2"), ("scalar", "avx512"), ("avx2", "avx512")])
def test_processors_of_different_kinds_agree(fresh_fleet, pair):
    flags = open("/proc/cpuinfo").read()
    needed = {"avx2": "avx2", "avx512": "avx512f"}
    missing = [name for name in pair if name in needed and needed[name] not in flags]
    # A machine without the instructions runs the pair that it can.
    usable = ["scalar" if name in missing else name for name in pair]
    print("variants:", usable)
    fresh_fleet.worker("one", environment={"TALLY_CPU": usable[0]})
    fresh_fleet.worker("two", environment={"TALLY_CPU": usable[1]})
    client = fresh_fleet.client()
    batch = wait(client, submit(client, varied_lines()))
    assert batch.status == "completed"
    progress = fresh_fleet.coordinator.progress(batch.id, fresh_fleet.key)
    assert progress["agreements"] == progress["units"]["accepted"] > 0
    assert progress["replays"] == 0 and progress["replicas"]["rejected"] == 0
