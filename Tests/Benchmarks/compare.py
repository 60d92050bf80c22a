"""Runs `tally bench` and llama.cpp in turn, A B A B, and prints medians and ratios (above 1: tally is faster)."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
RUNS = [("prefill", "512"), ("decode", "1"), ("decode", "8"), ("decode", "32")]


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def machine():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tally", default=CHECKOUT / ".build/release/tally")
    arguments.add_argument("--model", default=CHECKOUT / ".build/demo/SmolLM2-135M-Instruct.Q4_1.gguf")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    shared = ["--model", str(options.model), "--threads", str(options.threads)]
    commands = {
        "tally": [str(options.tally), "bench", "--json", *shared],
        "llama.cpp": [sys.executable, str(HERE / "llama_bench.py"), *shared],
    }
    figures = {name: [] for name in commands}
    for number in range(options.rounds):
        for name, command in commands.items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            figures[name].append(run(command))

    print(f"{machine()}, {options.threads} threads, {Path(options.model).name}, medians of {options.rounds} rounds\n")
    print("| tokens a second | tally | llama.cpp | ratio |\n|---|---|---|---|")
    for kind, size in RUNS:
        ours, theirs = (
            statistics.median(report[kind][size] for report in figures[name]) for name in ("tally", "llama.cpp")
        )
        print(f"| {kind} {size} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
