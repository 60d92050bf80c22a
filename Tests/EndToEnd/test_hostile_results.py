"""Results that are small on the wire and large in memory, from many hands at once, stop nobody."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from batches import submit
from hostile_worker import HostileWorker, compress, generate_result
from processes import MODEL, Coordinator, chat_line, eventually
from tiny_model import write_tiny_model

SEQUENCES, TOKENS, WIDTH = 256, 8000, 20
SIZE = 254 << 20
HEALTH_SECONDS = 1.0
MEMORY = 600 * 1000 * 1000


class Health:
    """Asks a coordinator again and again how it is, and remembers the slowest answer."""

    def __init__(self, coordinator):
        self.coordinator = coordinator
        self.slowest = 0.0
        self.ended = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        while not self.ended.wait(0.02):
            started = time.monotonic()
            self.coordinator.get("/healthz", parse=False)
            self.slowest = max(self.slowest, time.monotonic() - started)


@pytest.fixture(scope="module")
def long_model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "long", context=2 * TOKENS)


@pytest.fixture
def attacked(tmp_path, long_model):
    """A coordinator with units of 256 sequences, of 8,000 tokens each."""
    coordinator = Coordinator(
        tmp_path / "coordinator",
        arguments=("--first-unit-requests", SEQUENCES, "--maximum-unit-requests", SEQUENCES, "--replay-threads", 0),
    )
    coordinator.start()
    try:
        coordinator.add_model(long_model)
        yield coordinator
    finally:
        coordinator.kill()


def leased(coordinator, folder, workers, **body):
    """So many workers of different accounts, each with a lease of a large unit."""
    client = coordinator.client(coordinator.key())
    lines = [chat_line(f"line-{i}", "Hello", max_tokens=TOKENS, **body) for i in range(SEQUENCES * (workers * workers + 1))]
    batch = submit(client, lines)
    eventually(
        lambda: client.batches.retrieve(batch.id).status == "in_progress", "it is validated", 60, coordinator.process
    )
    hostile = [HostileWorker(coordinator, folder / f"hostile-{i}", f"account-{i}") for i in range(workers)]
    return [(worker, worker.lease()[0]) for worker in hostile]


def wrong(width):
    """254 MiB of zeros whose last sequence ended in a way that there is not."""
    tokens = SIZE // (SEQUENCES * (8 + 8 * width))
    return generate_result(SEQUENCES, min(tokens, TOKENS), width, [1] * (SEQUENCES - 1) + [9])


def report(name, coordinator, health, answers):
    print(
        f"{name}: answers {answers}, slowest /healthz {health.slowest:.2f} s, "
        f"peak {coordinator.note_peak() / 1e6:.0f} MB"
    )
    assert health.slowest < HEALTH_SECONDS
    assert coordinator.peak < MEMORY


def test_ten_uploads_of_one_worker(attacked, tmp_path):
    [(worker, lease)] = leased(attacked, tmp_path, 1, logprobs=True, top_logprobs=WIDTH)
    data = wrong(WIDTH)
    body, headers = compress(data), worker.result_headers(lease, data)
    assert len(data) > SIZE - (1 << 20) and len(body) < 40_000
    answers = []
    with Health(attacked) as health, ThreadPoolExecutor(10) as pool:
        for _ in range(4):
            round = list(pool.map(lambda _: worker.upload(lease, headers, body), range(10)))
            answers.append(sorted(status for status, _ in round))
            assert all("retry-after" in told for status, told in round if status != 400)
        # At once refused, without reading anything.
        started = time.monotonic()
        status, told = worker.upload(lease, headers, body)
        assert status == 429 and int(told["retry-after"]) > 60
        assert time.monotonic() - started < HEALTH_SECONDS
    # One at a time, and after three none.
    assert sum(round.count(400) for round in answers) == 3
    report("one worker", attacked, health, answers)


@pytest.mark.parametrize("width", [0, WIDTH])
def test_uploads_of_many_workers(attacked, tmp_path, width):
    logprobs = {"logprobs": True, "top_logprobs": width} if width else {}
    hostile = leased(attacked, tmp_path, 4, **logprobs)
    data = wrong(width)
    body = compress(data)
    headers = {worker: worker.result_headers(lease, data) for worker, lease in hostile}
    # One sends a part of its body and no more: it holds up nobody.
    stalled = hostile[0][0].connection()
    stalled.putrequest("PUT", f"/worker/v1/leases/{hostile[0][1]['id']}/result")
    for name, value in {**headers[hostile[0][0]], "content-length": str(len(body))}.items():
        stalled.putheader(name, value)
    stalled.endheaders()
    stalled.send(body[:10])
    with Health(attacked) as health, ThreadPoolExecutor(9) as pool:
        tasks = [one for one in hostile[1:] for _ in range(3)]
        answers = sorted(pool.map(lambda one: one[0].upload(one[1], headers[one[0]], body)[0], tasks))
    stalled.close()
    assert answers.count(400) >= len(hostile) - 1
    assert set(answers) <= {400, 429}
    report(f"many workers, {width} alternatives", attacked, health, answers)
    assert attacked.get("/v1/models", attacked.key("after"))["data"][0]["id"] == MODEL
