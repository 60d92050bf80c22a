"""Fine-tuning jobs: the official client asks, volunteers' machines learn, and anyone can repeat it to the bit."""

import csv
import io
import json
import sqlite3

import openai
import pytest

import jobs
from batches import answers, submit, wait as wait_for_batch
from processes import chat_line, eventually, tally

HELD = jobs.examples(5)


@pytest.fixture(scope="module")
def learnt(fleet):
    """A job of three rounds that has succeeded."""
    client = fleet.client()
    job = jobs.create(client, validation=HELD, suffix="sayings", metadata={"tally_data_licence": "CC0-1.0", "who": "a test"})
    assert job.status == "validating_files" and job.fine_tuned_model is None and job.result_files == []
    return jobs.wait(client, job)


def test_a_job_learns_and_says_how(fleet, learnt):
    client = fleet.client()
    assert learnt.status == "succeeded" and learnt.error is None
    assert learnt.fine_tuned_model == f"ft:tiny:tallystick:sayings:{learnt.id[-8:]}"
    assert learnt.hyperparameters.n_epochs == 6 and learnt.hyperparameters.batch_size == 4
    assert learnt.method.supervised.hyperparameters.learning_rate_multiplier == 50
    assert learnt.seed == 7 and learnt.trained_tokens > 0 and learnt.finished_at >= learnt.created_at
    assert client.fine_tuning.jobs.list(metadata={"who": "a test"}).data[0].id == learnt.id
    assert client.fine_tuning.jobs.list(metadata={"who": "nobody"}).data == []

    events = list(client.fine_tuning.jobs.list_events(learnt.id, limit=5))
    assert len({event.id for event in events}) == len(events) > 5
    assert events[-1].message == f"Created fine-tuning job: {learnt.id}"
    assert events[0].message == "The job has successfully completed"
    assert any(event.type == "metrics" and "train_loss" in event.data for event in events)

    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(learnt.id))
    assert [point.step_number for point in checkpoints] == [18, 12, 6]
    assert all(point.fine_tuning_job_id == learnt.id for point in checkpoints)
    losses = [point.metrics.full_valid_loss for point in checkpoints]

    metrics = jobs.result(client, learnt, "step_metrics.csv").decode()
    rows = list(csv.DictReader(io.StringIO(metrics)))
    assert metrics.startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n")
    assert [int(row["step"]) for row in rows] == list(range(19))
    before = float(rows[0]["valid_loss"])
    assert min(losses) < 0.7 * before
    assert float(rows[-1]["train_loss"]) < 0.7 * float(rows[1]["train_loss"])


def test_the_card_says_what_the_adapter_is_made_of(fleet, learnt):
    client = fleet.client()
    card = jobs.result(client, learnt, "README.md").decode()
    assert card.startswith("---\nlibrary_name: peft\n") and "CC0-1.0" in card
    assert f"tally audit {learnt.id}" in card
    # Both agreed to be named.
    assert card.split("## Who computed it")[1].split() == ["-", "ada", "-", "grace"]
    config = json.loads(jobs.result(client, learnt, "adapter_config.json"))
    assert config["r"] == 4 and config["base_model_name_or_path"] == "tiny" and len(config["target_modules"]) == 7


def test_batches_use_the_tuned_model_at_once(fleet, learnt, tiny_model, tmp_path):
    client = fleet.client()
    names = [model.id for model in client.models.list()]
    assert learnt.fine_tuned_model in names and not any(":ckpt-" in name for name in names)
    checkpoint = client.fine_tuning.jobs.checkpoints.list(learnt.id).data[0].fine_tuned_model_checkpoint

    def said(model):
        lines = [chat_line(f"line-{number}", f"Saying {number}?", model=model, max_tokens=8) for number in range(5)]
        batch = wait_for_batch(client, submit(client, lines))
        assert batch.status == "completed", batch
        return {name: line["response"]["body"]["choices"][0]["message"]["content"] for name, line in answers(client, batch).items()}

    tuned = said(learnt.fine_tuned_model)
    assert tuned != said("tiny")
    assert said(checkpoint) != said("tiny")
    # As one machine answers with the files that the job gave.
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(jobs.result(client, learnt, name))
    for number in range(5):
        options = ["--adapter", tmp_path, "--max-tokens", "8", "--json"]
        alone = tally("generate", "--model", tiny_model, *options, f"Saying {number}?")
        assert json.loads(alone.stdout)["text"] == tuned[f"line-{number}"]


def test_a_tuned_model_is_its_owners_alone(fleet, learnt):
    stranger = fleet.coordinator.client(fleet.coordinator.key("stranger"))
    with pytest.raises(openai.NotFoundError):
        stranger.models.retrieve(learnt.fine_tuned_model)
    with pytest.raises(openai.NotFoundError):
        stranger.fine_tuning.jobs.retrieve(learnt.id)
    with pytest.raises(openai.NotFoundError):
        stranger.fine_tuning.jobs.list_events(learnt.id)
    assert learnt.fine_tuned_model not in [model.id for model in stranger.models.list()]
    batch = wait_for_batch(stranger, submit(stranger, [chat_line("a", model=learnt.fine_tuned_model)]))
    assert batch.status == "failed"


def test_an_audit_repeats_the_run_to_the_bit(fleet, learnt, tmp_path):
    environment = fleet.coordinator.environment(fleet.key)
    done = tally("audit", learnt.id, "--json", "--cache", tmp_path / "cache", environment=environment, timeout=300)
    report = json.loads(done.stdout)
    assert report["train_units"] == 6 and report["validate_units"] == 8 and report["rounds"] == 3
    assert report["differences"] == []
    exported = tmp_path / "adapter"
    tally("adapter", "export", learnt.fine_tuned_model, "--output", exported, environment=environment)
    weights = (exported / "adapter_model.safetensors").read_bytes()
    assert weights == jobs.result(fleet.client(), learnt, "adapter_model.safetensors")
    assert json.loads(tally("adapter", "show", exported, "--json").stdout)["ranks"] == [4]
    listed = tally("adapter", "list", environment=environment).stdout
    assert learnt.fine_tuned_model in listed
    tally("adapter", "export", learnt.fine_tuned_model, "--format", "gguf", "--output", tmp_path / "a.gguf", environment=environment)
    assert (tmp_path / "a.gguf").read_bytes()[:4] == b"GGUF"


def test_the_same_job_again_ends_in_the_same_bytes(fleet, learnt):
    client = fleet.client()
    again = jobs.wait(client, jobs.create(client, validation=HELD))
    assert jobs.result(client, again, "adapter_model.safetensors") == jobs.result(client, learnt, "adapter_model.safetensors")
    assert jobs.result(client, again, "step_metrics.csv") == jobs.result(client, learnt, "step_metrics.csv")


def test_a_killed_worker_and_a_killed_coordinator_cost_nothing(fleet, learnt, fresh_fleet):
    """One of three workers is killed, another comes late, and the coordinator dies in the middle: the same bytes."""
    fresh_fleet.worker("ada")
    victim = fresh_fleet.worker("grace")
    client = fresh_fleet.client()
    job = jobs.create(client, validation=HELD)
    eventually(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "running", "a unit is handed out")
    victim.kill()
    fresh_fleet.worker("barbara")
    eventually(lambda: len(client.fine_tuning.jobs.checkpoints.list(job.id).data) > 0, "a round is joined", 120)
    fresh_fleet.coordinator.kill()
    fresh_fleet.coordinator.start()
    done = jobs.wait(client, job)
    assert done.status == "succeeded"
    expected = jobs.result(fleet.client(), learnt, "adapter_model.safetensors")
    assert jobs.result(client, done, "adapter_model.safetensors") == expected


def test_a_worker_that_lies_is_caught_and_the_adapter_is_right_all_the_same(fleet, learnt, fresh_fleet):
    """The coordinator's own machine takes the disputed steps again."""
    fresh_fleet.worker("honest")
    fresh_fleet.worker("liar", arguments=("--falsify-share", "1"))
    client = fresh_fleet.client()
    job = jobs.create(client, validation=HELD)

    def contribution(name):
        accounts = fresh_fleet.coordinator.statistics()["accounts"]
        return next(one["contribution"] for one in accounts if one["name"] == name)

    eventually(lambda: contribution("liar")["rejected"], "a wrong result is found", 120, fresh_fleet.coordinator.process)
    fresh_fleet.worker("upright")
    done = jobs.wait(client, job)
    assert done.status == "succeeded"
    expected = jobs.result(fleet.client(), learnt, "adapter_model.safetensors")
    assert jobs.result(client, done, "adapter_model.safetensors") == expected
    assert contribution("liar")["accepted"] == 0 and contribution("honest")["rejected"] == 0


def test_an_audit_finds_what_was_changed(fresh_fleet, tmp_path):
    fresh_fleet.worker("ada")
    fresh_fleet.worker("grace")
    client = fresh_fleet.client()
    job = jobs.wait(client, jobs.create(client, validation=HELD, n_epochs=2, local_steps=2))
    environment = fresh_fleet.coordinator.environment(fresh_fleet.key)

    def audit():
        done = tally("audit", job.id, "--joins", "--json", "--cache", tmp_path / "cache", environment=environment, check=False)
        return done.returncode, json.loads(done.stdout)["differences"] if done.stdout else done.stderr

    assert audit() == (0, [])
    with sqlite3.connect(fresh_fleet.coordinator.data / "coordinator.sqlite", timeout=20) as database:
        database.execute("UPDATE fine_tuning_round SET validation_loss = validation_loss - 1 WHERE number = 1")
    code, differences = audit()
    assert code == 1 and [one["place"] for one in differences if "held-out loss" in one["place"]] == ["round 2, the held-out loss"]
    with sqlite3.connect(fresh_fleet.coordinator.data / "coordinator.sqlite", timeout=20) as database:
        # A shard is left out of what was joined.
        database.execute("UPDATE fine_tuning_unit SET joined = 0 WHERE round = 0 AND kind = 'train' AND shard = 1")
    code, differences = audit()
    assert code == 1 and "round 2, the adapter" in [one["place"] for one in differences]


def test_a_round_goes_on_without_a_straggler(fresh_fleet):
    """In the trusted pool each unit runs once: who goes silent in the middle costs a share of a round, or nothing."""
    fresh_fleet.worker("ada", invite=("--trusted",))
    slow = fresh_fleet.worker("grace", invite=("--trusted",))
    client = fresh_fleet.client()
    job = jobs.create(client, validation=HELD, metadata={"tally_pool": "trusted"}, shards=3, local_steps=4)
    eventually(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "running", "a unit is handed out")
    slow.kill()
    assert jobs.wait(client, job).status == "succeeded"


def test_files_that_cannot_be_learnt_from_are_refused_by_line(fleet):
    client = fleet.client()
    bad = jobs.examples(3) + b'{"messages": [{"role": "user", "content": "no answer"}]}\n{"prompt": 1}\nnonsense\n'
    job = jobs.wait(client, jobs.create(client, training=bad))
    assert job.status == "failed" and job.error.code == "invalid_training_file" and job.error.param == "training_file"
    for part in ("line 4: no message of the assistant", "line 5: ", "line 6: is no JSON"):
        assert part in job.error.message, job.error.message
    assert job.result_files == [] and job.fine_tuned_model is None
    assert any(event.level == "error" for event in client.fine_tuning.jobs.list_events(job.id))
    empty = jobs.wait(client, jobs.create(client, training=b"\n"))
    assert empty.status == "failed" and "no example" in empty.error.message


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"warmth": 3}}, "hyperparameters.warmth"),
        ({"training_file": "file-nothing"}, "training_file"),
        ({"model": "missing"}, "model"),
        ({"suffix": "s" * 65}, "suffix"),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
        ({"training_file": None}, "training_file"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(fleet, change, param):
    client = fleet.client()
    body = {"model": "tiny", "training_file": jobs.upload(client, jobs.examples(4)).id, **change}
    with pytest.raises(openai.APIStatusError) as refusal:
        client.post("/fine_tuning/jobs", body=body, cast_to=object)
    assert refusal.value.status_code in (400, 404) and refusal.value.param == param


def test_a_file_for_batches_is_no_training_file(fleet):
    client = fleet.client()
    file = client.files.create(file=("b.jsonl", jobs.examples(4)), purpose="batch")
    with pytest.raises(openai.BadRequestError) as refusal:
        client.fine_tuning.jobs.create(model="tiny", training_file=file.id)
    assert refusal.value.code == "invalid_file_purpose"


def test_a_job_is_paused_resumed_and_cancelled(fresh_fleet):
    client = fresh_fleet.client()
    job = jobs.create(client)
    job = jobs.wait(client, job, until={"queued"})
    paused = client.fine_tuning.jobs.pause(job.id)
    assert paused.status == "queued"
    fresh_fleet.worker("ada")
    fresh_fleet.worker("grace")
    batch = wait_for_batch(client, submit(client, [chat_line("a")]))
    assert batch.status == "completed"
    # The workers are there and idle, and the job has not begun.
    progress = fresh_fleet.coordinator.get(f"/tally/v1/fine_tuning/jobs/{job.id}", fresh_fleet.key)
    assert progress["paused"] and progress["units_accepted"] == 0
    assert client.fine_tuning.jobs.retrieve(job.id).status == "queued"
    environment = fresh_fleet.coordinator.environment(fresh_fleet.key)
    assert "is queued" in tally("resume", job.id, environment=environment).stdout
    assert "is paused" in tally("pause", job.id, environment=environment).stdout
    client.fine_tuning.jobs.resume(job.id)
    jobs.wait(client, job, until={"running"})
    cancelled = client.fine_tuning.jobs.cancel(job.id)
    assert cancelled.status == "cancelled" and client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.fine_tuning.jobs.resume(job.id)
    assert client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model is None


def test_a_run_ends_early_when_nothing_more_is_gained(fleet):
    client = fleet.client()
    strange = (json.dumps({"text": "9 8 7 6 5 4 3 2 1 0 " * 4}) + "\n").encode()
    job = jobs.wait(client, jobs.create(client, validation=strange, n_epochs=60, patience=2))
    assert job.status == "succeeded"
    assert 2 <= len(list(client.fine_tuning.jobs.checkpoints.list(job.id))) < 30


def test_the_command_line_does_all_of_it(fleet, tmp_path):
    environment = fleet.coordinator.environment(fleet.key)
    data = tmp_path / "data.jsonl"
    data.write_bytes(jobs.examples(24))
    options = ["--model", "tiny", "--epochs", "4", "--rank", "4", "--learning-rate", "0.01"]
    dry = tally("finetune", data, *options, "--dry-run", "--json", environment=environment)
    estimate = json.loads(dry.stdout)
    assert estimate["training_examples"] == 22 and estimate["validation_examples"] == 2
    assert estimate["train_units"] >= 3 and estimate["traffic_bytes"] > 0 and estimate["worker_memory_bytes"] > 0
    told = tally("finetune", data, *options, "--dry-run", environment=environment).stdout
    assert "memory" in told and "units" in told
    done = tally("finetune", data, *options, "--output", tmp_path / "adapter", environment=environment)
    assert "held-out loss" in done.stdout
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists() and (tmp_path / "adapter" / "README.md").exists()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nonsense\n")
    failed = tally("finetune", bad, *options, "--output", tmp_path / "other", check=False, environment=environment)
    assert failed.returncode != 0 and "line 1" in failed.stderr


def test_a_tuned_model_can_be_deleted(fleet):
    client = fleet.client()
    job = jobs.wait(client, jobs.create(client, n_epochs=1, local_steps=2))
    assert client.models.delete(job.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(job.fine_tuned_model)
    with pytest.raises(openai.NotFoundError):
        client.models.delete("tiny")
