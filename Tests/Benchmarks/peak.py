"""Table 3: products against what the processor can do, and single decoding against what memory can do."""

import models
from machine import median, run_tally, say, table

# The format of most weights in a file.
WEIGHT_TYPES = {
    "Q8_0": "q8_0", "Q4_0": "q4_0", "Q4_1": "q4_1", "F16": "f16", "F32": "f32",
    "Q4_K_M": "q4_k", "Q5_K_M": "q5_k", "Q6_K": "q6_k",
}  # fmt: skip
SHAPE = (2048, 2048)
ROWS = 512


def measure(formats, speed, rounds, threads):
    """Peaks, a large product of each format, and single decoding: from `speed`, or measured here."""
    shape = [f"--type={WEIGHT_TYPES[name]}" for name in formats]
    shape += ["--shape", f"{SHAPE[0]}x{SHAPE[1]}", "--rows", ROWS, "--threads", threads]
    report = {"peaks": [], "products": [], "decode": {}}
    for number in range(rounds):
        say(f"peak: round {number + 1} of {rounds}")
        report["peaks"].append(run_tally("bench", "peak", "--threads", threads))
        products = run_tally("bench", "products", *shape)["products"]
        report["products"].append({each["type"]: each["operations_per_second"] for each in products})
    for name in formats:
        runs = [run for run in speed.get(name, {}).get("tally", []) if "1" in run["decode"]]
        report["decode"][name] = runs or [
            run_tally("bench", "--model", models.path_of(name), "--decode", 1, "--threads", threads)
        ]
    return report


def best(peaks, name):
    """A machine's peak is the most that was ever seen."""
    return max((peak.get(name) or 0 for peak in peaks), default=0)


def share(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "?"


def markdown(report):
    floats, integers, memory = (
        best(report["peaks"], f"{name}_per_second") for name in ("float_operations", "byte_operations", "bytes_read")
    )
    rows = []
    for name, runs in report["decode"].items():
        peak = floats if name in ("F16", "F32") else integers
        rate = median(report["products"], WEIGHT_TYPES[name])
        read = median(runs, "decode", "1") * runs[0]["bytes_per_step"]
        rows.append(
            [name, f"{rate / 1e9:.0f}", share(rate, peak), f"{read / 1e9:.1f}", share(read, memory)]
        )
    head = ["format", f"Gop/s, {ROWS} rows x {SHAPE[0]} x {SHAPE[1]}", "of peak", "single decode GB/s", "of plain read"]
    return (
        table(head, rows)
        + f"\n\nPeaks measured: {floats / 1e9:.0f} GFLOP/s of fused multiply-adds in float32, "
        + f"{integers / 1e9:.0f} Gop/s of 8-bit dot products, {memory / 1e9:.1f} GB/s read"
    )
