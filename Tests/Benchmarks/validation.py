"""Measures how fast a coordinator validates a large batch file, by the chat template of its model."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from machine import CHECKOUT, processor, save, say

sys.path.insert(0, str(CHECKOUT / "Tests/EndToEnd"))

from processes import Coordinator  # noqa: E402
from tiny_model import write_tiny_model  # noqa: E402

BAR = 7e6
WORDS = "We walk along the river in the morning and speak of what the day may bring. "


def lines(megabytes, messages, characters):
    """Chats of so many messages; 50,000 lines are the most that a batch has."""
    say_turn = (WORDS * (characters // len(WORDS) + 1))[:characters]
    turns = [
        {"role": "user" if number % 2 == 0 else "assistant", "content": say_turn} for number in range(messages)
    ]
    size, number = 0, 0
    while size < megabytes * 1e6 and number < 50_000:
        line = json.dumps({
            "custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "tiny", "max_tokens": 1, "messages": turns},
        }) + "\n"
        size += len(line)
        number += 1
        yield line


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", required=True, action="append", type=Path, help="a chat template; may be repeated")
    parser.add_argument("--megabytes", default=200, type=float)
    parser.add_argument("--messages", default=9, type=int, help="of each chat")
    parser.add_argument("--characters", default=480, type=int, help="of each message")
    options = parser.parse_args()
    report = {"processor": processor(), "cores": os.cpu_count(), "runs": []}
    for template in options.template:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            model = write_tiny_model(folder / "tiny", context=1 << 17)
            source = folder / "chats.jsonl"
            with source.open("w") as file:
                file.writelines(lines(options.megabytes, options.messages, options.characters))
            coordinator = Coordinator(folder / "coordinator", arguments=("--replay-threads", "0"))
            coordinator.start()
            try:
                coordinator.add_model(model, "tiny", "--chat-template", template)
                client = coordinator.client(coordinator.key(), timeout=600)
                with source.open("rb") as file:
                    uploaded = client.files.create(file=("chats.jsonl", file), purpose="batch")
                started = time.monotonic()
                batch = client.batches.create(
                    input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
                while (batch := client.batches.retrieve(batch.id)).status == "validating":
                    time.sleep(0.2)
                seconds = time.monotonic() - started
                size = source.stat().st_size
                report["runs"].append({
                    "template": template.name, "bytes": size, "seconds": seconds, "status": batch.status,
                    "lines": batch.request_counts.total, "peak_bytes": coordinator.process.peak_resident_bytes(),
                })
                say(
                    f"{template.name}: {batch.status}, {size / 1e6:.0f} MB in {seconds:.1f} s, {size / seconds / 1e6:.1f} MB/s "
                    f"(bar {BAR / 1e6:.0f}), peak {report['runs'][-1]['peak_bytes'] / 1e6:.0f} MB"
                )
            finally:
                coordinator.kill()
    save("validation", report)


if __name__ == "__main__":
    main()
