"""A model with experts: tokens a second of tally and llama.cpp on the same files, and of both where memory is less than
the weights, which are then read from the disk again and again. The limit is a control group's, so that takes root."""

import argparse
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import llama_cpp as llama

import models
import speed
import yardstick
from machine import FOLDER, HERE, TALLY, median, processor, run_json, run_script, run_tally, save, say, table

LAYERS, EXPERTS, CHOSEN, WIDTH = 12, 64, 8, 512
FORMATS = {"Q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "Q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0}
MEMORY = Path("/sys/fs/cgroup/memory/tally-benchmark")


def checkpoint():
    """A Qwen 3 of 1.2 billion random weights, 8 of its 64 experts for each token."""
    target = FOLDER / "experts-F16.gguf"
    if not target.exists():
        models.made(target, write_checkpoint)
    return target


def write_checkpoint(path):
    checkpoint = models.Checkpoint(path, "qwen3moe", LAYERS, WIDTH)
    head = models.HIDDEN // models.HEADS
    checkpoint.writer.add_expert_count(EXPERTS)
    checkpoint.writer.add_expert_used_count(CHOSEN)
    checkpoint.writer.add_expert_feed_forward_length(WIDTH)
    checkpoint.writer.add_key_length(head)
    checkpoint.writer.add_value_length(head)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        checkpoint.attention(block)
        checkpoint.norm(block + "attn_q_norm", head)
        checkpoint.norm(block + "attn_k_norm", head)
        checkpoint.matrix(block + "ffn_gate_inp", EXPERTS, models.HIDDEN)
        checkpoint.matrix(block + "ffn_gate_exps", EXPERTS, WIDTH, models.HIDDEN)
        checkpoint.matrix(block + "ffn_up_exps", EXPERTS, WIDTH, models.HIDDEN)
        checkpoint.matrix(block + "ffn_down_exps", EXPERTS, models.HIDDEN, WIDTH)
    checkpoint.finish()


def path_of(name):
    target = FOLDER / f"experts-{name}.gguf"
    if not target.exists():
        models.made(target, lambda partial: yardstick.quantise(checkpoint(), partial, FORMATS[name]))
    return target


def measure_speed(rounds, threads):
    """For each format the reports of both programs, one of each a round."""
    report = {}
    for name in FORMATS:
        shared = ["--model", path_of(name), "--threads", threads, "--repeats", 1]
        for kind, size in speed.PATHS.values():
            shared += [f"--{kind}", size]
        report[name] = {"tally": [], "llama.cpp": []}
        for number in range(rounds):
            say(f"experts {name}: round {number + 1} of {rounds}")
            report[name]["tally"].append(run_tally("bench", *shared))
            report[name]["llama.cpp"].append(run_script("llama_bench.py", *shared))
    return report


@contextlib.contextmanager
def limited(limit):
    """A control group with so many bytes of memory, in which a command can be run."""
    MEMORY.mkdir(exist_ok=True)
    try:
        (MEMORY / "memory.limit_in_bytes").write_text(str(limit))
        yield ["sh", "-c", f'echo $$ > {MEMORY}/cgroup.procs && exec "$@"', "sh"]
    finally:
        MEMORY.rmdir()


def measure_limited(threads, shares):
    """Single decoding of Q8_0 within shares of the bytes of its weights; None where a program is killed for it."""
    model = path_of("Q8_0")
    size = model.stat().st_size
    ours = [TALLY, "bench", "--model", model, "--threads", threads, "--repeats", 1, "--decode", 1, "--json"]
    theirs = [sys.executable, HERE / "llama_bench.py", "--model", model, "--threads", threads, "--repeats", 1, "--decode", 1]
    report = {"bytes": size, "shares": {}}
    for share in shares:
        say(f"experts: memory for {share} % of the weights")
        figures = {}
        with limited(size * share // 100) as group:
            for name, command in (("tally", ours), ("llama.cpp", theirs)):
                subprocess.run(["sh", "-c", "echo 3 > /proc/sys/vm/drop_caches"], check=False)
                try:
                    figures[name] = run_json([*group, *command])["decode"]["1"]
                except SystemExit as failure:
                    say(str(failure))
                    figures[name] = None
        report["shares"][str(share)] = figures
    return report


def rate(value):
    return "killed" if value is None else f"{value:.1f}"


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run experts", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="threads of every program (2)")
    arguments.add_argument("--rounds", type=int, default=3, help="runs of each program, in turn; medians count (3)")
    arguments.add_argument("--share", type=int, action="append", help="per cent of the weights that fit (125, 75, 50)")
    options = arguments.parse_args()
    yardstick.start()
    report = {"processor": processor(), "speed": measure_speed(options.rounds, options.threads)}
    parts = [f"{report['processor']}, {options.threads} threads, medians of {options.rounds} rounds"]
    rows = []
    for name, figures in report["speed"].items():
        cells = []
        for path in speed.PATHS.values():
            ours, theirs = (median(figures[program], *path) for program in ("tally", "llama.cpp"))
            cells.append(f"{ours:.0f} : {theirs:.0f} = **{ours / theirs:.2f}**")
        rows.append([name, *cells])
    head = ["format", *(" ".join(path) for path in speed.PATHS.values())]
    parts.append("Tokens a second, tally : llama.cpp\n\n" + table(head, rows))
    if os.access(MEMORY.parent, os.W_OK):
        report["limited"] = measure_limited(options.threads, options.share or (125, 75, 50))
        rows = [[f"{share} %", rate(each["tally"]), rate(each["llama.cpp"])] for share, each in report["limited"]["shares"].items()]
        parts.append(
            f"Single decoding with memory for less than the weights ({report['limited']['bytes'] / 1e9:.2f} GB)\n\n"
            + table(["memory", "tally", "llama.cpp"], rows)
        )
    print("\n\n".join(parts))
    save("experts", report)


if __name__ == "__main__":
    main()
