"""Table 1: tokens a second of tally and llama.cpp on the same files, measured in turn."""

import models
from machine import compared, median, run_script, run_tally, say, table

PATHS = {
    "prefill": ("prefill", "512"),
    "decode-1": ("decode", "1"),
    "decode-8": ("decode", "8"),
    "decode-32": ("decode", "32"),
}

# What tally must reach, as a multiple of llama.cpp, on the four paths in the order above.
BARS = {
    "Q8_0": (2.3, 1.3, 2.3, 2.3),
    "Q4_0": (2.0, 1.3, 1.0, 1.0),
    "Q4_1": (2.0, 1.3, 1.0, 1.0),
    "F16": (1.15, 1.2, 1.0, 1.0),
    "F32": (1.15, 1.2, 1.0, 1.0),
    "Q4_K_M": (1.2, 1.2, 1.2, 1.2),
    "Q5_K_M": (1.0, 1.0, 1.0, 1.0),
    "Q6_K": (1.2, 1.2, 1.2, 1.2),
}


def measure(formats, paths, rounds, repeats, threads):
    """For each format the reports of both programs, one of each a round."""
    report = {}
    for name in formats:
        shared = ["--model", models.path_of(name), "--threads", threads, "--repeats", repeats]
        for path in paths:
            kind, size = PATHS[path]
            shared += [f"--{kind}", size]
        report[name] = {"tally": [], "llama.cpp": []}
        for number in range(rounds):
            say(f"{name}: round {number + 1} of {rounds}")
            report[name]["tally"].append(run_tally("bench", *shared))
            report[name]["llama.cpp"].append(run_script("llama_bench.py", *shared))
    return report


def markdown(report, paths):
    rows = []
    for name, figures in report.items():
        cells = []
        for path, bar in zip(PATHS, BARS[name]):
            if path in paths:
                ours, theirs = (median(figures[program], *PATHS[path]) for program in ("tally", "llama.cpp"))
                cells.append(compared(ours, theirs, bar))
        rows.append([name, *cells])
    head = [" ".join(PATHS[path]) for path in PATHS if path in paths]
    return "Tokens a second, tally : llama.cpp\n\n" + table(["format", *head], rows)
