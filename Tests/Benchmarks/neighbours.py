"""Measures tally beside other programs: how much speed it keeps when one core is taken, and how much a compiler loses
to a worker at nice 19."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from machine import CHECKOUT, DEMO_MODEL, TALLY, median, processor, run_tally, save, say, table

KEPT_BAR, SLOWED_BAR = 0.40, 0.10
RUNS = {"prefill 512": ("prefill", "512"), "decode 8": ("decode", "8"), "decode 32": ("decode", "32")}


@contextmanager
def running(command, **options):
    """A program that is there while the block runs, and gone afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended too early"
    finally:
        process.kill()
        process.wait()


def hog():
    """A program of one thread that never rests, bound to the last core."""
    core = max(os.sched_getaffinity(0))
    return running(
        [sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )


def measure_kept(options):
    """The speeds alone and beside a program that takes a core, in turn."""
    command = ["bench", "--model", options.model, "--threads", options.threads, "--repeats", 2]
    for kind, size in RUNS.values():
        command += [f"--{kind}", size]
    report = {"alone": [], "beside": []}
    for number in range(options.rounds):
        say(f"a core taken: round {number + 1} of {options.rounds}")
        report["alone"].append(run_tally(*command))
        with hog():
            report["beside"].append(run_tally(*command))
    return report


def compile_seconds(jobs):
    """Compiles the kernels, as many files at a time as there are cores."""
    compiler = shutil.which("clang") or shutil.which("gcc")
    sources = sorted((CHECKOUT / "Sources/CKernels").rglob("*.c"))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        waiting, active = list(sources), []
        while waiting or active:
            while waiting and len(active) < jobs:
                source = waiting.pop()
                target = Path(folder) / f"{len(waiting)}.o"
                active.append(subprocess.Popen([compiler, "-O3", "-c", source, "-o", target]))
            assert active.pop(0).wait() == 0, "the compiler failed"
    return time.perf_counter() - start


def measure_slowed(options):
    """Seconds of a compile alone and beside a worker's load at nice 19, in turn."""
    load = [TALLY, "bench", "--model", options.model, "--threads", options.threads, "--decode", 32, "--repeats", 1000]
    report = {"alone": [], "beside": []}
    compile_seconds(os.cpu_count())
    for number in range(options.rounds):
        say(f"a compile: round {number + 1} of {options.rounds}")
        report["alone"].append(compile_seconds(os.cpu_count()))
        with running(["nice", "-n", "19", *map(str, load)]):
            # Loading the model is not what a worker does all day.
            time.sleep(2)
            report["beside"].append(compile_seconds(os.cpu_count()))
    return report


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run neighbours", description=__doc__)
    arguments.add_argument("--model", default=DEMO_MODEL)
    arguments.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of tally (every core)")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    report = {"processor": processor(), "kept": measure_kept(options), "slowed": measure_slowed(options)}
    settings = f"{options.threads} threads, medians of {options.rounds} rounds"
    print(f"{report['processor']}, {os.cpu_count()} cores; {settings}\n")
    rows = []
    for name, keys in RUNS.items():
        alone, beside = (median(report["kept"][state], *keys) for state in ("alone", "beside"))
        kept = beside / alone
        verdict = "ok" if kept >= KEPT_BAR else f"BELOW {100 * KEPT_BAR:.0f} %"
        figures = [f"{alone:.0f} /s", f"{beside:.0f} /s", f"{100 * kept:.0f} % kept {verdict}"]
        rows.append([f"{name}, a core taken", *figures])
    alone, beside = (median(report["slowed"][state]) for state in ("alone", "beside"))
    slowed = beside / alone - 1
    verdict = "ok" if slowed <= SLOWED_BAR else f"ABOVE {100 * SLOWED_BAR:.0f} %"
    figures = [f"{alone:.2f} s", f"{beside:.2f} s", f"{100 * slowed:+.1f} % {verdict}"]
    rows.append(["a compile, tally at nice 19", *figures])
    print(table(["", "alone", "beside", ""], rows))
    save("neighbours", report)


if __name__ == "__main__":
    main()
