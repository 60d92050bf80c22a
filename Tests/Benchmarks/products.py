"""Table 2: products of float32 matrices by tally and by OpenBLAS, measured in turn."""

import os
import subprocess

from machine import FOLDER, HERE, compared, median, run_json, run_tally, say, table

# Outputs and inputs of the demo model's matrices, and the rows that go through them together.
SHAPES = {
    "query, output": (576, 576),
    "key, value": (192, 576),
    "gate, up": (1536, 576),
    "down": (576, 1536),
    "head": (49152, 576),
}
ROWS = (1, 8, 32, 512)


def build():
    program = FOLDER / "openblas_bench"
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", program, HERE / "openblas_bench.c", "-lopenblas"], check=True)
    return program


def measure(rounds, threads, seconds):
    program = build()
    # What a machine's owner tells OpenBLAS of its processor is not what it would choose itself.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS"):
        os.environ.pop(name, None)
    report = {"tally": [], "OpenBLAS": []}
    shapes = [f"{outputs}x{inputs}" for outputs, inputs in SHAPES.values()]
    for number in range(rounds):
        say(f"products: round {number + 1} of {rounds}")
        ours = ["--threads", threads, "--seconds", seconds, "--type", "f32"]
        for shape in shapes:
            ours += ["--shape", shape]
        for rows in ROWS:
            ours += ["--rows", rows]
        report["tally"].append(by_shape(run_tally("bench", "products", *ours)))
        theirs = run_json([program, threads, seconds, *(f"{shape}x{rows}" for shape in shapes for rows in ROWS)])
        report["OpenBLAS"].append(by_shape(theirs))
    return report


def by_shape(report):
    report["products"] = {
        f"{each['outputs']}x{each['inputs']}x{each['rows']}": each["operations_per_second"]
        for each in report["products"]
    }
    return report


def markdown(report):
    rows = []
    for name, (outputs, inputs) in SHAPES.items():
        cells = []
        for count in ROWS:
            keys = ("products", f"{outputs}x{inputs}x{count}")
            ours, theirs = (median(report[program], *keys) / 1e9 for program in ("tally", "OpenBLAS"))
            cells.append(compared(ours, theirs, 1))
        rows.append([f"{name}: {outputs} x {inputs}", *cells])
    config = report["OpenBLAS"][0]["config"]
    head = ["outputs x inputs", *(f"{count} rows" if count > 1 else "1 row" for count in ROWS)]
    return f"GFLOP/s of float32 products, tally : OpenBLAS ({config})\n\n" + table(head, rows)
