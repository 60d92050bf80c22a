"""What the scripts here share: the machine's name, running programs, medians, tables, reports."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
TALLY = Path(os.environ.get("TALLY_PROGRAM", CHECKOUT / ".build/release/tally"))
FOLDER = CHECKOUT / ".build/benchmarks"
DEMO_MODEL = CHECKOUT / ".build/demo/SmolLM2-135M-Instruct.Q4_1.gguf"


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def say(text):
    print(text, file=sys.stderr, flush=True)


def run_json(command, environment=None):
    """The JSON that a program prints; its complaints if it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def run_tally(*arguments):
    return run_json([TALLY, *arguments, "--json"])


def run_script(name, *arguments):
    return run_json([sys.executable, HERE / name, *arguments])


def median(reports, *keys):
    """The median of what `keys` lead to in each report."""
    values = []
    for value in reports:
        for key in keys:
            value = value[key]
        values.append(value)
    return statistics.median(values)


def table(head, rows):
    """A Markdown table; everything but the first column is aligned to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def compared(ours, theirs, bar):
    """Two figures and their ratio, marked where it is below its bar."""
    ratio = ours / theirs
    return f"{ours:.0f} : {theirs:.0f} = **{ratio:.2f}**" + (f" (below {bar:g})" if ratio < bar else "")


def save(name, report):
    """Keeps a report for whoever wants to compute with it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    say(f"figures kept in {path.relative_to(CHECKOUT)}")
