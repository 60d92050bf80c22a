"""Prints three tables in Markdown: tally against llama.cpp, against OpenBLAS, and against what this machine can do."""

import argparse
import os

import models
import peak
import products
import speed
import yardstick
from machine import CHECKOUT, processor, run_tally, save

BEGIN, END = "<!-- Printed by Tests/Benchmarks/run --readme. -->", "<!-- End of what is printed. -->"
QUICK = ("Q8_0", "Q4_1", "F32", "Q4_K_M")


def put_into_readme(text):
    """Replaces what stands between the two marks."""
    readme = CHECKOUT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest and after, "README.md lacks a mark"
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main():
    arguments = argparse.ArgumentParser(prog="Tests/Benchmarks/run", description=__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="threads of every program (2)")
    arguments.add_argument("--rounds", type=int, default=3, help="runs of each program, in turn; medians count (3)")
    arguments.add_argument("--repeats", type=int, default=1, help="measurements a run, after a warm-up (1)")
    several = {"action": "append", "help": "may be repeated; all if left out"}
    arguments.add_argument("--format", choices=models.FORMATS, **several)
    arguments.add_argument("--path", choices=speed.PATHS, **several)
    arguments.add_argument("--table", type=int, choices=(1, 2, 3), **several)
    arguments.add_argument("--quick", action="store_true", help=f"one round of {', '.join(QUICK)}")
    arguments.add_argument("--readme", action="store_true", help="put what is printed into README.md too")
    options = arguments.parse_args()
    formats = options.format or (QUICK if options.quick else tuple(models.FORMATS))
    paths = options.path or tuple(speed.PATHS)
    wanted = options.table or (1, 2, 3)
    rounds = 1 if options.quick else options.rounds
    yardstick.start()

    report = {"processor": processor(), "cores": os.cpu_count(), "threads": options.threads, "rounds": rounds}
    report["variant"] = run_tally("bench", "products", "--shape", "16x16", "--rows", 1, "--seconds", 0)["variant"]
    report["llama.cpp"] = yardstick.system_info()
    parts = [
        f"{report['processor']}, {report['cores']} cores, {report['variant']} kernels; {options.threads} threads, "
        f"medians of {rounds} rounds. llama.cpp says of itself: {report['llama.cpp'].strip(' |')}."
    ]
    if 1 in wanted:
        report["speed"] = speed.measure(formats, paths, rounds, options.repeats, options.threads)
        parts.append(speed.markdown(report["speed"], paths))
    if 2 in wanted:
        report["products"] = products.measure(rounds, options.threads, 0.02 if options.quick else 0.1)
        parts.append(products.markdown(report["products"]))
    if 3 in wanted:
        report["peak"] = peak.measure(formats, report.get("speed", {}), rounds, options.threads)
        parts.append(peak.markdown(report["peak"]))
    text = "\n\n".join(parts)
    print(text)
    if options.readme:
        put_into_readme(text)
    save("tables", report)


if __name__ == "__main__":
    main()
