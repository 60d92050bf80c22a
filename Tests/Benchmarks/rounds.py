"""Fine-tuning over volunteers' machines: three workers, one of them killed and one late, beside the same samples on one
machine: how well, how much travels, whether a replay ends in the same bytes, and whether PEFT uses what comes out."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import threading
import time

import models
import proverbs
from finetune import largest_difference, train
from machine import CHECKOUT, FOLDER, TALLY, processor, save, say

os.environ.setdefault("TALLY_PROGRAM", str(TALLY))
sys.path.insert(0, str(CHECKOUT / "Tests/EndToEnd"))

from batches import submit, wait as wait_for_batch  # noqa: E402
from processes import Coordinator, Worker, chat_line, free_port, tally  # noqa: E402

FALL_BAR, APART_BAR, TRAFFIC_BAR, LOGITS_BAR = 0.25, 0.02, 50, 5e-3
BASE_RATE = 2e-4  # of jobs, times their multiplier
HURRIED = ("--idle-seconds", "1", "--silence-seconds", "15", "--heartbeat-seconds", "3")


class Relay:
    """Passes connections on to a port and counts their bytes: everything that workers and coordinator say, TLS and all."""

    def __init__(self, target):
        self.port, self.target, self.bytes = free_port(), target, 0
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(started)), daemon=True).start()
        started.wait(10)

    async def serve(self, started):
        server = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        started.set()
        async with server:
            await server.serve_forever()

    async def connect(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pass_on(reader, back), self.pass_on(there, writer))

    async def pass_on(self, source, sink):
        try:
            while piece := await source.read(1 << 16):
                self.bytes += len(piece)
                sink.write(piece)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


class Fleet:
    """A coordinator whose workers come through the relay and have fetched the model before anything is counted."""

    def __init__(self, folder, model):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        self.coordinator = Coordinator(folder / "coordinator", arguments=HURRIED).start()
        self.coordinator.add_model(model, "demo")
        self.key = self.coordinator.key()
        self.client = self.coordinator.client(self.key)
        self.relay = Relay(self.coordinator.port)
        self.workers = {}
        self.trusted = None
        # Invitations name the relay; the certificate is of the host, whatever the port.
        self.coordinator.url = f"https://127.0.0.1:{self.relay.port}"
        for account in ("ada", "grace", "barbara"):
            self.workers[account] = Worker(self.coordinator, folder / account, account)
        # Each pair of accounts computes something: then all have the model.
        for pair in (("ada", "grace"), ("ada", "barbara")):
            running = [self.workers[account].start() for account in pair]
            lines = [chat_line(f"line-{number}", model="demo", max_tokens=1) for number in range(2)]
            assert wait_for_batch(self.client, submit(self.client, lines), 600).status == "completed"
            for worker in running:
                worker.stop()

    def trust(self, threads):
        """A machine of the operator's own, alone."""
        for worker in self.workers.values():
            worker.kill()
        self.trusted = Worker(self.coordinator, self.folder / "trusted", "operator", invite=("--trusted",), threads=threads)
        self.trusted.start()

    def close(self):
        for worker in (*self.workers.values(), self.trusted):
            if worker:
                worker.kill()
        self.coordinator.kill()


def create(fleet, options, data, pool):
    client = fleet.client
    file = client.files.create(file=("proverbs.jsonl", data.read_bytes()), purpose="fine-tune")
    parameters = {
        "n_epochs": options.epochs, "batch_size": 4, "rank": options.rank, "shards": options.shards,
        "local_steps": options.local_steps, "learning_rate_multiplier": options.learning_rate / BASE_RATE,
    }
    return client.fine_tuning.jobs.create(
        model="demo", training_file=file.id, seed=0, suffix="proverbs",
        metadata={"tally_data_source": "Debian, package fortunes", "tally_pool": pool},
        method={"type": "supervised", "supervised": {"hyperparameters": parameters}})


def ended(fleet, job):
    """Follows a job to its end; the job and its progress."""
    client, told = fleet.client, 0
    while True:
        job = client.fine_tuning.jobs.retrieve(job.id)
        events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))[::-1]
        for event in events[told:]:
            say(f"  {event.message}")
        told = len(events)
        if job.status in ("succeeded", "failed", "cancelled"):
            assert job.status == "succeeded", job
            return job, fleet.coordinator.get(f"/tally/v1/fine_tuning/jobs/{job.id}", fleet.key)
        time.sleep(1)


def learn(fleet, options, data):
    """The job with one worker killed in the middle of a unit and one that comes late."""
    client = fleet.client
    fleet.workers["ada"].start()
    fleet.workers["grace"].start()
    before, start = fleet.relay.bytes, time.monotonic()
    job = create(fleet, options, data, "public")
    while client.fine_tuning.jobs.retrieve(job.id).status != "running":
        time.sleep(0.2)
    time.sleep(5)
    say("grace is killed in the middle of a unit")
    fleet.workers["grace"].kill()
    time.sleep(10)
    say("barbara comes late")
    fleet.workers["barbara"].start()
    job, progress = ended(fleet, job)
    return job, progress, fleet.relay.bytes - before, time.monotonic() - start


def weights(fleet, job):
    """The adapter's bytes, as the job gives them."""
    for file in job.result_files:
        if fleet.client.files.retrieve(file).filename == "adapter_model.safetensors":
            return fleet.client.files.content(file).read()
    raise AssertionError("the job gave no adapter")


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run rounds", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="of the machine that learns alone, and of the replay (2)")
    arguments.add_argument("--rank", type=int, default=8)
    arguments.add_argument("--epochs", type=int, default=1)
    arguments.add_argument("--shards", type=int, default=2)
    arguments.add_argument("--local-steps", type=int, default=65)
    arguments.add_argument("--learning-rate", type=float, default=1e-3)
    arguments.add_argument("--topic", action="append", help="of Debian's fortunes; definitions and zippy if left out")
    options = arguments.parse_args()

    FOLDER.mkdir(parents=True, exist_ok=True)
    model = models.path_of("Q8_0")
    data = FOLDER / "proverbs.jsonl"
    say(f"{proverbs.write(options.topic or ['definitions', 'zippy'], data)} sayings")
    _, alone = train(options, model, data, "alone")
    fleet = Fleet(FOLDER / "fleet", model)
    try:
        job, progress, traffic, seconds = learn(fleet, options, data)
        environment = fleet.coordinator.environment(fleet.key)
        adapter = FOLDER / "adapter-rounds"
        shutil.rmtree(adapter, ignore_errors=True)
        tally("adapter", "export", job.fine_tuned_model, "--output", adapter, environment=environment)
        say("the same job again, on one machine of the operator's own that nothing happens to")
        fleet.trust(options.threads)
        again, _ = ended(fleet, create(fleet, options, data, "trusted"))
        is_same = weights(fleet, again) == weights(fleet, job)
        say("replaying")
        replay = json.loads(
            tally("audit", job.id, "--json", "--cache", FOLDER / "audit", "--threads", options.threads,
                  environment=environment, timeout=3600, check=False).stdout)
    finally:
        fleet.close()
    difference = largest_difference(model, adapter)

    rounds = progress["rounds"]
    before, after = rounds[0]["valid_loss"], min(one["valid_loss"] for one in rounds[1:])
    fall, apart = 1 - after / before, after / alone["loss_after"] - 1
    parameters = alone["trainable_parameters"]
    # Every shard's float32 gradient to the coordinator and the mean back, at each of its steps.
    synchronised = 8 * parameters * progress["steps_planned"] * options.shards
    print(f"{processor()}; three workers with a thread each, one killed, one late; {options.epochs} epoch of "
          f"{alone['examples']} sayings, {options.shards} shards, {progress['rounds_planned']} rounds of "
          f"{options.local_steps} steps at most; {seconds:.0f} s\n")
    print(f"held-out loss {before:.4f} to {after:.4f}, {100 * fall:.1f} % less (bar {100 * FALL_BAR:.0f}); on one machine alone "
          f"{alone['loss_after']:.4f}: {100 * apart:+.2f} % apart (bar {100 * APART_BAR:.0f})")
    print(f"{traffic / 1e6:.0f} MB between workers and coordinator, every unit run by two accounts; synchronising gradients at "
          f"every step would be {synchronised / 1e9:.1f} GB: 1/{synchronised / traffic:.0f} (bar 1/{TRAFFIC_BAR})")
    print(f"the same job on one undisturbed machine ends in {'the same' if is_same else 'OTHER'} bytes")
    print(f"a replay of {replay['train_units']} units that learn and {replay['validate_units']} that measure differs in "
          f"{len(replay['differences'])} places (bar 0)")
    print(f"PEFT's logits with the adapter are within {difference:.1e} (bar {LOGITS_BAR})")
    save("rounds", dict(alone=alone, rounds=rounds, traffic=traffic, synchronised=synchronised, seconds=seconds,
                        replay=replay, is_same=is_same, logits=difference, options=vars(options)))
    fine = (
        fall >= FALL_BAR and abs(apart) <= APART_BAR and synchronised >= TRAFFIC_BAR * traffic
        and is_same and not replay["differences"] and difference <= LOGITS_BAR)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
