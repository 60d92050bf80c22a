"""OpenAI's own client, unmodified: its objects, lists, and exceptions."""

import io
import time

import openai
import pytest

from batches import answers, lines_of, submit, wait
from processes import chat_line, eventually, jsonl


@pytest.fixture
def client(fleet):
    return fleet.client(max_retries=0)


def test_files_upload_read_list_delete(client):
    content = jsonl([chat_line("f")])
    uploaded = client.files.create(file=("mine.jsonl", io.BytesIO(content)), purpose="batch")
    assert (uploaded.object, uploaded.status, uploaded.purpose) == ("file", "processed", "batch")
    assert (uploaded.bytes, uploaded.filename) == (len(content), "mine.jsonl")
    assert abs(uploaded.created_at - time.time()) < 120
    assert client.files.retrieve(uploaded.id) == uploaded
    assert client.files.wait_for_processing(uploaded.id).id == uploaded.id
    assert client.files.content(uploaded.id).content == content
    assert uploaded.id in {file.id for file in client.files.list(purpose="batch")}
    deleted = client.files.delete(uploaded.id)
    assert deleted.deleted and deleted.id == uploaded.id
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(uploaded.id)


def test_an_upload_may_expire(client):
    uploaded = client.files.create(
        file=("later.jsonl", jsonl([chat_line("x")])),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert uploaded.expires_at == uploaded.created_at + 3600


def test_lists_page_to_their_end(client):
    made = [client.files.create(file=(f"page-{i}.jsonl", jsonl([chat_line("p")])), purpose="batch").id for i in range(7)]
    for order in ("asc", "desc"):
        listed = [file.id for file in client.files.list(limit=3, order=order) if file.id in made]
        assert listed == (made if order == "asc" else made[::-1])
    first = client.files.list(limit=2)
    assert first.has_more and len(first.data) == 2
    for identifier in made:
        client.files.delete(identifier)


def test_batches_are_created_polled_and_listed(client):
    made = [submit(client, [chat_line(f"b{i}")], purpose_of_batch=f"list-{i}") for i in range(4)]
    first = made[0]
    assert first.object == "batch" and first.status in ("validating", "in_progress")
    assert first.endpoint == "/v1/chat/completions" and first.completion_window == "24h"
    assert first.expires_at == first.created_at + 86400
    assert first.metadata["purpose_of_batch"] == "list-0"
    ended = [wait(client, batch) for batch in made]
    assert all(batch.status == "completed" and batch.completed_at for batch in ended)
    assert all(batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens > 0 for batch in ended)
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert [identifier for identifier in listed if identifier in {batch.id for batch in made}] == [
        batch.id for batch in reversed(made)
    ]
    assert len(listed) == len(set(listed))
    assert len(answers(client, ended[0])) == 1


def test_a_batch_is_cancelled(fresh_fleet):
    client = fresh_fleet.client()
    batch = submit(client, [chat_line(f"never-{i}") for i in range(3)])
    eventually(lambda: client.batches.retrieve(batch.id).status == "in_progress", "the batch is in progress")
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    ended = wait(client, batch)
    assert ended.status == "cancelled" and ended.cancelled_at
    errors = lines_of(client, ended.error_file_id)
    assert {line["custom_id"] for line in errors} == {f"never-{i}" for i in range(3)}
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}


def test_models(client):
    assert "tiny" in {model.id for model in client.models.list()}
    assert client.models.retrieve("tiny").object == "model"


def check(error, status):
    assert error.status_code == status
    assert error.request_id, "the answer names its request"
    assert error.body["message"] and "type" in error.body and "param" in error.body and "code" in error.body


def test_a_wrong_key_is_an_authentication_error(fleet):
    with pytest.raises(openai.AuthenticationError) as caught:
        fleet.coordinator.client("tally-wrong", max_retries=0).files.list()
    check(caught.value, 401)


def test_a_revoked_key_stops_working(fleet):
    import json

    from processes import tally

    data = fleet.coordinator.data
    made = json.loads(tally("key", "create", "short-lived", "--data", data, "--json").stdout)
    client = fleet.coordinator.client(made["key"], max_retries=0)
    client.files.list()
    tally("key", "revoke", made["id"], "--data", data)
    with pytest.raises(openai.AuthenticationError):
        client.files.list()


def test_what_is_not_there_is_a_not_found_error(client):
    calls = [
        lambda: client.files.retrieve("file-doesnotexist"),
        lambda: client.files.content("file-doesnotexist"),
        lambda: client.files.delete("file-doesnotexist"),
        lambda: client.batches.retrieve("batch_doesnotexist"),
        lambda: client.batches.cancel("batch_doesnotexist"),
        lambda: client.models.retrieve("no-such-model"),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        check(caught.value, 404)


def test_what_is_wrong_is_a_bad_request_error(client):
    uploaded = client.files.create(file=("x.jsonl", jsonl([chat_line("x")])), purpose="batch")

    def create(**changes):
        options = {"input_file_id": uploaded.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return client.batches.create(**{**options, **changes})

    calls = [
        lambda: create(endpoint="/v1/embeddings"),
        lambda: create(completion_window="1h"),
        lambda: create(metadata={"k" * 65: "v"}),
        lambda: create(metadata={f"k{i}": "v" for i in range(17)}),
        lambda: create(metadata={"tally_pool": "nobody"}),
        lambda: create(extra_body={"unknown_thing": 1}),
        lambda: client.files.create(file=("x.jsonl", b"{}"), purpose="assistants"),
        lambda: client.files.list(limit=-1),
        lambda: client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "now"}]),
    ]
    for call in calls:
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        check(caught.value, 400)


def test_cancelling_what_has_ended_is_a_conflict(client):
    batch = wait(client, submit(client, [chat_line("done")]))
    with pytest.raises(openai.ConflictError) as caught:
        client.batches.cancel(batch.id)
    check(caught.value, 409)
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_another_keys_files_and_batches_are_invisible(fleet, client):
    batch = submit(client, [chat_line("mine")])
    other = fleet.coordinator.client(fleet.coordinator.key("other"), max_retries=0)
    for call in (
        lambda: other.batches.retrieve(batch.id),
        lambda: other.files.retrieve(batch.input_file_id),
        lambda: other.files.content(batch.input_file_id),
    ):
        with pytest.raises(openai.NotFoundError):
            call()
    assert batch.id not in {listed.id for listed in other.batches.list()}
    wait(client, batch)


def test_a_retried_creation_makes_no_second_batch(fleet, client):
    uploaded = client.files.create(file=("once.jsonl", jsonl([chat_line("once")])), purpose="batch")
    options = {"input_file_id": uploaded.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    first = client.batches.create(**options)
    again = client.batches.create(**options, extra_headers={"x-stainless-retry-count": "1"})
    meant = client.batches.create(**options)
    assert again.id == first.id
    assert meant.id != first.id


def test_no_answer_is_a_connection_error(fleet):
    from processes import free_port

    client = openai.OpenAI(base_url=f"https://127.0.0.1:{free_port()}/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.files.list()
