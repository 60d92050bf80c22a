"""Fine-tuning jobs through the official client."""

import json
import time

ENDED = {"succeeded", "failed", "cancelled"}
SAYINGS = ["Look before you leap.", "Haste makes waste.", "Still waters run deep.", "Time will tell.", "Less is more."]


def examples(count):
    """Conversations in OpenAI's format, as bytes."""
    return "".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"Saying {index % 5}?"},
                    {"role": "assistant", "content": SAYINGS[index % 5]},
                ]
            }
        )
        + "\n"
        for index in range(count)
    ).encode()


def upload(client, content, name="data.jsonl"):
    return client.files.create(file=(name, content), purpose="fine-tune")


def create(client, *, training=None, validation=None, model="tiny", metadata=None, suffix=None, seed=7, **hyperparameters):
    """A job whose steps are large enough that a tiny model learns."""
    parameters = {"n_epochs": 6, "batch_size": 4, "learning_rate_multiplier": 50, "rank": 4, "shards": 2, "local_steps": 6}
    parameters.update(hyperparameters)
    options = {}
    if validation is not None:
        options["validation_file"] = upload(client, validation, "held.jsonl").id
    if metadata:
        options["metadata"] = metadata
    if suffix:
        options["suffix"] = suffix
    return client.fine_tuning.jobs.create(
        model=model,
        training_file=upload(client, examples(24) if training is None else training).id,
        seed=seed,
        method={"type": "supervised", "supervised": {"hyperparameters": parameters}},
        **options,
    )


def wait(client, job, seconds=180, until=ENDED):
    deadline = time.monotonic() + seconds
    while True:
        now = client.fine_tuning.jobs.retrieve(job.id)
        if now.status in until:
            return now
        assert now.status not in ENDED, now
        assert time.monotonic() < deadline, f"the job is not {until} within {seconds} s: {now}"
        time.sleep(0.1)


def result(client, job, name):
    """One of the job's result files by name."""
    for file in job.result_files:
        if client.files.retrieve(file).filename == name:
            return client.files.content(file).read()
    raise AssertionError(f"no result file {name}")
