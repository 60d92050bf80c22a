"""Measures workers as people run them: two of default settings on one machine against one alone, and one in a small
control group against the same limits set by hand."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from machine import CHECKOUT, DEMO_MODEL, median, processor, save, say, table

sys.path.insert(0, str(CHECKOUT / "Tests/EndToEnd"))

from batches import submit, wait  # noqa: E402
from processes import Coordinator, Worker, eventually, tally  # noqa: E402
from test_limits_of_machines import MEMORY, control_group  # noqa: E402
from tiny_model import write_tiny_model  # noqa: E402

TOGETHER_BAR, HELD_BAR = 0.90, 0.50


def lines(count, tokens):
    """Chats that run into their last token."""
    return [
        {
            "custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions",
            "body": {
                "model": "tiny", "max_tokens": tokens, "temperature": 1, "seed": number,
                "messages": [{"role": "user", "content": f"Tell me all that you know of the number {number}."}],
            },
        }
        for number in range(count)
    ]


class Fleet:
    """A coordinator with one model in a folder of its own, and workers of the trusted pool."""

    def __init__(self, folder, model):
        self.folder = Path(folder)
        self.coordinator = Coordinator(self.folder / "coordinator").start()
        self.coordinator.add_model(model)
        self.client = self.coordinator.client(self.coordinator.key())
        self.workers = []

    def start(self, **options):
        """One more worker, with what a person gets who sets nothing."""
        worker = Worker(
            self.coordinator, self.folder / f"worker-{len(self.workers)}", "ada", invite=("--trusted",),
            threads=options.pop("threads", None), considerate=True, **options,
        ).start()
        self.workers.append(worker)
        eventually(lambda: answers(worker), "the worker answers", process=worker.process)
        return worker

    def speed(self, count, tokens):
        """Tokens a second over a whole batch; every worker lives through it."""
        started = time.monotonic()
        batch = wait(self.client, submit(self.client, lines(count, tokens), tally_pool="trusted"), 3600)
        seconds = time.monotonic() - started
        assert batch.request_counts.completed == count, batch
        assert all(worker.process.poll() is None for worker in self.workers)
        read = self.client.files.content(batch.output_file_id).text.splitlines()
        return sum(json_tokens(line) for line in read) / seconds

    def close(self):
        for worker in self.workers:
            worker.kill()
        self.coordinator.kill()


def answers(worker):
    return tally("worker", "status", "--data", worker.data, check=False).returncode == 0


def json_tokens(line):
    return json.loads(line)["response"]["body"]["usage"]["completion_tokens"]


def measure_together(options):
    """Tokens a second of one default worker and of two, in turn."""
    report = {"one": [], "two": []}
    for number in range(options.rounds):
        for workers, figures in enumerate(report.values(), 1):
            say(f"round {number + 1} of {options.rounds}: {workers} of default settings")
            with tempfile.TemporaryDirectory() as folder:
                fleet = Fleet(folder, options.model)
                try:
                    for _ in range(workers):
                        fleet.start()
                    # The model is fetched, packed, and its speed here is known.
                    fleet.speed(64 * workers, 32)
                    figures.append(fleet.speed(options.requests, 64))
                finally:
                    fleet.close()
    return report


def measure_held(options):
    """Tokens a second in a group of 200 MB and half a processor, by itself and with the limits set by hand."""
    by_hand = {"threads": 1, "arguments": ("--memory", str(0.9 * MEMORY / 1e9))}
    report = {"by itself": [], "by hand": []}
    for number in range(options.rounds):
        for (name, figures), settings in zip(report.items(), ({}, by_hand)):
            say(f"round {number + 1} of {options.rounds}: a small group, limits {name}")
            with tempfile.TemporaryDirectory() as folder, control_group(f"tally-bench-{os.getpid()}") as group:
                if group is None:
                    sys.exit("control groups cannot be made here: run this as root")
                # 12 KB of cache a token: a few of these contexts fill the group.
                fleet = Fleet(folder, write_tiny_model(Path(folder) / "long", hidden=64, layers=12, context=16384, head=256))
                try:
                    worker = fleet.start(within=group, **settings)
                    limits = worker.status()["limits"]
                    assert limits["threads"] == 1, limits
                    figures.append(fleet.speed(options.contexts, options.long))
                finally:
                    fleet.close()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEMO_MODEL, type=Path, help="what the workers of default settings run")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--requests", default=512, type=int, help="of a batch for workers of default settings")
    parser.add_argument("--contexts", default=40, type=int, help="requests of a batch in the small group")
    parser.add_argument("--long", default=15000, type=int, help="tokens of each answer in the small group")
    parser.add_argument("--only", choices=["together", "held"])
    options = parser.parse_args()
    report, rows = {"processor": processor(), "cores": os.cpu_count()}, []
    if options.only != "held":
        report["together"] = measure_together(options)
        one, two = median(report["together"]["one"]), median(report["together"]["two"])
        rows.append(["two default workers : one", f"{two:.0f}", f"{one:.0f}", f"{two / one:.2f}", TOGETHER_BAR])
    if options.only != "together":
        report["held"] = measure_held(options)
        itself, hand = median(report["held"]["by itself"]), median(report["held"]["by hand"])
        rows.append(["small group by itself : by hand", f"{itself:.0f}", f"{hand:.0f}", f"{itself / hand:.2f}", HELD_BAR])
    save("workers", report)
    print(f"{report['processor']}, {report['cores']} cores; tokens/s, medians of {options.rounds}\n")
    print(table(["", "tokens/s", "against", "ratio", "bar"], rows))


if __name__ == "__main__":
    main()
