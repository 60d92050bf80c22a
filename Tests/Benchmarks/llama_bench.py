"""Measures llama.cpp as `tally bench` measures itself: same model, same shapes, JSON on standard output."""

import argparse
import json
import statistics
import time

import yardstick

# As in BenchModelCommand.
CONTEXT, STEPS = 128, 32


def token(runner, index, salt):
    return (index * 7919 + salt * 104729 + 17) % runner.vocabulary_size


def fill(runner, count, sequence, salt):
    """Runs a prompt, of which the last position's logits are wanted."""
    for start in range(0, count, 512):
        end = min(count, start + 512)
        runner.run([(token(runner, i, salt), i, sequence, i == count - 1) for i in range(start, end)])


def measure_prefill(runner, count):
    runner.forget(0, 0)
    start = time.perf_counter()
    fill(runner, count, 0, 1)
    return count / (time.perf_counter() - start)


def measure_decode(runner, sequences):
    for sequence in range(sequences):
        runner.forget(sequence, CONTEXT)
    start = time.perf_counter()
    for step in range(STEPS):
        runner.run([(token(runner, 0, step * sequences + s), CONTEXT + step, s, True) for s in range(sequences)])
    return sequences * STEPS / (time.perf_counter() - start)


def repeated(repeats, measure, *arguments):
    """The median after a warm-up."""
    return statistics.median([measure(*arguments) for _ in range(repeats + 1)][1:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--prefill", type=int, action="append", default=[])
    arguments.add_argument("--decode", type=int, action="append", default=[])
    options = arguments.parse_args()
    yardstick.start()
    report = {"threads": options.threads, "prefill": {}, "decode": {}, "system": yardstick.system_info()}
    for count in options.prefill:
        runner = yardstick.Runner(options.model, options.threads, 1, count)
        report["prefill"][str(count)] = repeated(options.repeats, measure_prefill, runner, count)
        runner.close()
    for sequences in options.decode:
        runner = yardstick.Runner(options.model, options.threads, sequences, CONTEXT + STEPS)
        for sequence in range(sequences):
            fill(runner, CONTEXT, sequence, sequence)
        report["decode"][str(sequences)] = repeated(options.repeats, measure_decode, runner, sequences)
        runner.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
