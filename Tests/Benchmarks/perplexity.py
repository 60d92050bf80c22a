"""Compares the perplexity of tally and llama.cpp on the same tokens of the King James Bible, for each format of the
demo model. They may differ by half a per cent."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy

import models
import yardstick
from machine import FOLDER, TALLY, processor, run_script, run_tally, save, say, table

BAR = 0.005


def text(tokens):
    """The beginning of the Bible, a verse a line, long enough for so many tokens: a file."""
    path = FOLDER / "bible.txt"
    verses = subprocess.run(
        ["bible", "-f", "-l0", "Gen1:1-Rev22:21"], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout.splitlines()
    # Every line begins with its place: "Ge1:1 In the beginning ...". A token has four characters on average.
    content = "\n".join(verse.split(" ", 1)[1] for verse in verses if " " in verse)[: 6 * tokens]
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def tally_tokens(model, path, count):
    line = json.dumps({"text": path.read_text()}) + "\n"
    answer = subprocess.run(
        [TALLY, "tokenize", "--tokenizer", model], check=True, capture_output=True, text=True, input=line
    )
    return json.loads(answer.stdout)["ids"][:count]


def measure_llama(options):
    """The definition is that of `tally perplexity`, and of llama.cpp's own tool."""
    yardstick.start()
    context, first = options.context, options.context // 2
    runner = yardstick.Runner(options.model, options.threads, 1, context, outputs=context)
    ids = runner.tokens(Path(options.text).read_text())[: options.tokens]
    total, scored = 0.0, 0
    for start in range(0, len(ids) - context + 1, context):
        window = ids[start : start + context]
        if runner.beginning() is not None:
            window[0] = runner.beginning()
        runner.forget(0, 0)
        for part in range(0, context, 512):
            end = min(context, part + 512)
            runner.run([(window[i], i, 0, first <= i < context - 1) for i in range(part, end)])
            for position in range(max(first, part), min(end, context - 1)):
                logits = numpy.ctypeslib.as_array(runner.logits(position - part), (runner.vocabulary_size,))
                shifted = logits.astype(numpy.float64) - logits.max()
                total += numpy.log(numpy.exp(shifted).sum()) - shifted[window[position + 1]]
                scored += 1
    runner.close()
    print(json.dumps({"perplexity": float(numpy.exp(total / scored)), "scored_tokens": scored, "tokens": ids}))


def main():
    demo = [name for name, (_, origin) in models.FORMATS.items() if origin == "demo"]
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run perplexity", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--tokens", type=int, default=20_000, help="of the text (20000)")
    arguments.add_argument("--context", type=int, default=512, help="tokens of a window (512)")
    arguments.add_argument("--format", action="append", choices=demo, help="may be repeated; all if left out")
    arguments.add_argument("--model", help=argparse.SUPPRESS)
    arguments.add_argument("--text", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.model:
        return measure_llama(options)

    yardstick.start()
    path = text(options.tokens)
    shared = ["--tokens", options.tokens, "--context", options.context, "--threads", options.threads]
    report = {"processor": processor(), "formats": {}}
    rows, fine = [], True
    for name in options.format or demo:
        say(f"{name}: {options.tokens} tokens")
        model = models.path_of(name)
        theirs = run_script("perplexity.py", "--model", model, "--text", path, *shared)
        ours = run_tally("perplexity", "--model", model, path, *shared)
        if tally_tokens(model, path, options.tokens) != theirs.pop("tokens"):
            sys.exit(f"{name}: the two tokenizers differ")
        assert ours["scored_tokens"] == theirs["scored_tokens"]
        report["formats"][name] = {"tally": ours, "llama.cpp": theirs}
        difference = ours["perplexity"] / theirs["perplexity"] - 1
        fine = fine and abs(difference) <= BAR
        verdict = "ok" if abs(difference) <= BAR else f"ABOVE {100 * BAR:g} %"
        rows.append(
            [name, f"{ours['perplexity']:.4f}", f"{theirs['perplexity']:.4f}", f"{100 * difference:+.3f} % {verdict}"]
        )
    print(table(["perplexity", "tally", "llama.cpp", "difference"], rows))
    save("perplexity", report)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
