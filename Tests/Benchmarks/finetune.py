"""Fine-tuning beside PyTorch and PEFT: how fast, in how much memory, how well, and whether PEFT uses what comes out."""

import argparse
import json
import os
import shutil
import subprocess

import numpy

import models
import proverbs
from machine import FOLDER, HERE, TALLY, median, processor, run_json, run_tally, save, say, table

PYTHON = os.environ.get("TALLY_PEFT_PYTHON", str(FOLDER.parent / "peft/bin/python"))
SPEED_BAR, MEMORY_BAR, QUALITY_BAR, FALL_BAR, LOGITS_BAR = 1.5, 0.5, 0.01, 0.25, 5e-3


def peft(name, *arguments):
    return [PYTHON, HERE / "peft" / name, *arguments]


def measure_speed(options, model):
    """Both in turn, so that a slow phase of the machine meets both."""
    shape = [options.sequences, options.tokens, options.rank]
    ours, theirs = [], {"bfloat16": [], "float32": []}
    for number in range(options.rounds):
        say(f"speed, round {number + 1} of {options.rounds}")
        ours.append(run_tally(
            "bench", "finetune", "--model", model, "--threads", options.threads, "--sequences", shape[0], "--tokens", shape[1],
            "--rank", shape[2]))
        for kind, reports in theirs.items():
            reports.append(run_json(peft("speed.py", kind, options.threads, *shape, 3)))
    figures = {"tally, Q8_0": ours, "PEFT, bfloat16": theirs["bfloat16"], "PEFT, float32": theirs["float32"]}
    return {
        name: (median(reports, "tokens_per_second"), median(reports, "peak_resident_bytes"))
        for name, reports in figures.items()
    }


def train(options, model, data, name, *arguments):
    folder = FOLDER / f"adapter-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    say(f"{name}: learning")
    return folder, run_tally(
        "finetune", data, "--model", model, "--output", folder, "--epochs", getattr(options, "epochs", 1), "--learning-rate", options.learning_rate,
        "--rank", options.rank, "--threads", options.threads, *arguments)


def read_logits(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    entry = json.loads(content[8 : 8 + size])["logits"]
    begin, end = (8 + size + offset for offset in entry["data_offsets"])
    return numpy.frombuffer(content[begin:end], "<f4").reshape(entry["shape"])


def largest_difference(model, adapter):
    """Of PEFT's logits and tally's in float32."""
    ids = numpy.random.default_rng(1).integers(100, 40_000, (2, 48)).astype("<i4")
    header = json.dumps({"input_ids": {"dtype": "I32", "shape": list(ids.shape), "data_offsets": [0, ids.nbytes]}}).encode()
    path = FOLDER / "ids.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + ids.tobytes())
    ours, theirs = FOLDER / "ours.safetensors", FOLDER / "theirs.safetensors"
    subprocess.run(
        [TALLY, "logits", "--model", model, "--adapter", adapter, "--input", path, "--output", ours, "--dequantize"], check=True)
    subprocess.run([str(word) for word in peft("logits.py", model, adapter, path, theirs)], check=True)
    return float(numpy.abs(read_logits(ours) - read_logits(theirs)).max())


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run finetune", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--sequences", type=int, default=4, help="of a step (4)")
    arguments.add_argument("--tokens", type=int, default=256, help="of a sequence (256)")
    arguments.add_argument("--rank", type=int, default=8)
    arguments.add_argument("--learning-rate", type=float, default=1e-3)
    arguments.add_argument("--topic", action="append", help="of Debian's fortunes; definitions and zippy if left out")
    options = arguments.parse_args()

    FOLDER.mkdir(parents=True, exist_ok=True)
    model = models.path_of("Q8_0")
    speed = measure_speed(options, model)
    data = FOLDER / "proverbs.jsonl"
    say(f"{proverbs.write(options.topic or ['definitions', 'zippy'], data)} sayings")
    adapter, quantised = train(options, model, data, "quantised")
    _, exact = train(options, model, data, "float32", "--dequantize")
    difference = largest_difference(model, adapter)

    fall = 1 - quantised["loss_after"] / quantised["loss_before"]
    apart = quantised["loss_after"] / exact["loss_after"] - 1
    (rate, memory), (their_rate, their_memory) = speed["tally, Q8_0"], speed["PEFT, bfloat16"]
    rows = [[name, f"{tokens:.0f}", f"{peak / 1e9:.1f} GB"] for name, (tokens, peak) in speed.items()]
    print(f"{processor()}, {options.threads} threads, medians of {options.rounds} rounds; steps of {options.sequences} x "
          f"{options.tokens} tokens, rank {options.rank} on all matrices of 135 million weights\n")
    print(table(["", "tokens a second", "peak memory"], rows))
    print(f"\n{rate / their_rate:.2f} times PEFT's bfloat16 (bar {SPEED_BAR}), {memory / their_memory:.2f} of its memory "
          f"(bar {MEMORY_BAR})")
    print(f"{quantised['examples']} sayings, once: held-out loss {quantised['loss_before']:.4f} to {quantised['loss_after']:.4f}, "
          f"{100 * fall:.1f} % less (bar {100 * FALL_BAR:.0f}); in float32 {exact['loss_after']:.4f}, {100 * apart:+.2f} % apart "
          f"(bar {100 * QUALITY_BAR:.0f})")
    print(f"PEFT's logits with the adapter are within {difference:.1e} (bar {LOGITS_BAR})")
    save("finetune", dict(speed=speed, quantised=quantised, float32=exact, logits=difference))
    fine = (
        rate >= SPEED_BAR * their_rate and memory <= MEMORY_BAR * their_memory and abs(apart) <= QUALITY_BAR
        and fall >= FALL_BAR and difference <= LOGITS_BAR)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
