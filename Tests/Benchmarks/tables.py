"""Prints three tables in Markdown: tally against llama.cpp, against OpenBLAS, and against what this machine can do."""

import argparse
import os

import models
import peak
import products
import speed
import yardstick
from machine import processor, run_tally, save

QUICK = ("Q8_0", "Q4_1", "F32", "Q4_K_M")


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="threads of every program (2)")
    arguments.add_argument("--rounds", type=int, default=3, help="runs of each program, in turn; medians count (3)")
    arguments.add_argument("--repeats", type=int, default=1, help="measurements a run, after a warm-up (1)")
    arguments.add_argument("--format", action="append", choices=models.FORMATS, help="may be repeated; all if left out")
    arguments.add_argument("--path", action="append", choices=speed.PATHS, help="may be repeated; all if left out")
    arguments.add_argument("--table", type=int, action="append", choices=(1, 2, 3), help="may be repeated; all if left out")
    arguments.add_argument("--quick", action="store_true", help=f"one round of {', '.join(QUICK)}")
    options = arguments.parse_args()
    formats = options.format or (QUICK if options.quick else tuple(models.FORMATS))
    paths = options.path or tuple(speed.PATHS)
    wanted = options.table or (1, 2, 3)
    rounds = 1 if options.quick else options.rounds
    yardstick.start()

    report = {"processor": processor(), "cores": os.cpu_count(), "threads": options.threads, "rounds": rounds}
    report["variant"] = run_tally("bench", "products", "--shape", "16x16", "--rows", 1, "--seconds", 0)["variant"]
    report["llama.cpp"] = yardstick.system_info()
    print(
        f"{report['processor']}, {report['cores']} cores, {report['variant']} kernels, {options.threads} threads, "
        f"medians of {rounds} rounds.\n\nllama.cpp: {report['llama.cpp']}"
    )
    if 1 in wanted:
        report["speed"] = speed.measure(formats, paths, rounds, options.repeats, options.threads)
        print("\n" + speed.markdown(report["speed"], paths), flush=True)
    if 2 in wanted:
        report["products"] = products.measure(rounds, options.threads, 0.02 if options.quick else 0.1)
        print("\n" + products.markdown(report["products"]), flush=True)
    if 3 in wanted:
        report["peak"] = peak.measure(formats, report.get("speed", {}), rounds, options.threads)
        print("\n" + peak.markdown(report["peak"]), flush=True)
    save("tables", report)


if __name__ == "__main__":
    main()
