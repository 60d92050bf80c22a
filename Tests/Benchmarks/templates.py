#!/usr/bin/env python3
"""Times chat templates in `tally render` and in Python's Jinja2: many short messages, and fewer long ones. What both do beside
rendering (starting, reading the case) is measured with an empty template and subtracted. Fails where tally takes more than
ten times Jinja2's time.

    Tests/Benchmarks/templates.py --program .build/release/tally FOLDER    # .json files with a "template", as in Tests/Fixtures
"""
import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time

FIXTURES = pathlib.Path(__file__).parent.parent / "Fixtures/chat_templates"
spec = importlib.util.spec_from_file_location("make_templates", FIXTURES / "make_templates.py")
make_templates = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_templates)


def conversation(count, size):
    text = "lorem ipsum dolor " * (size // 18 + 1)
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": f"m{i} {text}"[:size]} for i in range(count)], "tools": None,
            "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>"}


def tally_seconds(program, template, case):
    with tempfile.NamedTemporaryFile("w", suffix=".jinja", encoding="utf-8") as file:
        file.write(template)
        file.flush()
        start = time.perf_counter()
        done = subprocess.run([program, "render", "--template", file.name], input=json.dumps(case), capture_output=True,
                              text=True, encoding="utf-8")
        seconds = time.perf_counter() - start
    return seconds, done.stdout if done.returncode == 0 else done.stderr


def jinja_seconds(template, case):
    compiled = make_templates.environment().from_string(template)
    start = time.perf_counter()
    try:
        text = compiled.render(**case)
    except Exception as error:
        text = str(error)
    return time.perf_counter() - start, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", default=FIXTURES)
    parser.add_argument("--program", default=".build/release/tally")
    parser.add_argument("--short", type=int, default=4096, help="how many short messages")
    parser.add_argument("--long", type=int, default=200, help="how many messages of 10 kB")
    parser.add_argument("--rounds", type=int, default=5, help="the shortest of so many runs counts")
    options = parser.parse_args()
    slow = []
    print("| template | messages | Jinja2 | tally | ratio |\n|---|---|---|---|---|")
    for count, size in ((options.short, 8), (options.long, 10_000)):
        case = conversation(count, size)
        rest = min(tally_seconds(options.program, "", case)[0] for _ in range(options.rounds))
        for file in sorted(options.folder.glob("*.json")):
            template = json.loads(file.read_text(encoding="utf-8"))["template"]
            theirs, wanted = min(jinja_seconds(template, case) for _ in range(options.rounds))
            ours, text = min(tally_seconds(options.program, template, case) for _ in range(options.rounds))
            ours = max(0.0, ours - rest)
            if text != wanted and wanted not in text:
                sys.exit(f"{file.name}: another text than Jinja2's: {text[:200]!r}")
            print(f"| {file.stem} | {count} of {size} B | {theirs:.4f} s | {ours:.4f} s | {ours / theirs:.1f} |", flush=True)
            # Below a few milliseconds the clock measures the machine.
            if ours > 10 * theirs + 0.005:
                slow.append(file.name)
    if slow:
        sys.exit("more than ten times Jinja2's time: " + ", ".join(slow))


if __name__ == "__main__":
    main()
