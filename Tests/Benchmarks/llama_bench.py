"""Measures llama.cpp as `tally bench` measures itself: same model, same shapes, JSON on standard output."""

import argparse
import ctypes
import json
import statistics
import time

import llama_cpp as llama

CONTEXT, STEPS = 128, 32


def load(path, threads, sequences):
    model_settings = llama.llama_model_default_params()
    model_settings.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), model_settings)
    settings = llama.llama_context_default_params()
    settings.n_ctx = max(1024, (CONTEXT + STEPS) * sequences)
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = threads
    if hasattr(settings, "kv_unified"):
        settings.kv_unified = False
    context = llama.llama_init_from_model(model, settings)
    assert context, "llama.cpp gives no context"
    return model, context


class Runner:
    def __init__(self, path, threads, sequences):
        self.model, self.context = load(path, threads, sequences)
        vocabulary = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(vocabulary)
        self.sequences = sequences
        self.batch = llama.llama_batch_init(512, 0, 1)

    def close(self):
        llama.llama_batch_free(self.batch)
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)

    def clear(self):
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)

    def token(self, index, salt):
        return (index * 7919 + salt * 104729 + 17) % self.size

    def run(self, entries):
        """Entries are (token, position, sequence, wants logits)."""
        self.batch.n_tokens = len(entries)
        for row, (token, position, sequence, wanted) in enumerate(entries):
            self.batch.token[row] = token
            self.batch.pos[row] = position
            self.batch.n_seq_id[row] = 1
            self.batch.seq_id[row][0] = sequence
            self.batch.logits[row] = ctypes.c_int8(wanted).value
        status = llama.llama_decode(self.context, self.batch)
        assert status == 0, f"llama_decode: {status}"
        llama.llama_synchronize(self.context)

    def prefill(self, count, sequence=0, salt=1):
        self.run([(self.token(i, salt), i, sequence, i == count - 1) for i in range(count)])

    def measure_prefill(self):
        self.clear()
        start = time.perf_counter()
        self.prefill(512)
        return 512 / (time.perf_counter() - start)

    def measure_decode(self):
        self.clear()
        for sequence in range(self.sequences):
            self.prefill(CONTEXT, sequence, sequence)
        start = time.perf_counter()
        for step in range(STEPS):
            self.run([(self.token(0, step * self.sequences + s), CONTEXT + step, s, 1) for s in range(self.sequences)])
        return self.sequences * STEPS / (time.perf_counter() - start)


def measured(path, threads, sequences, method, repeats):
    runner = Runner(path, threads, sequences)
    try:
        figures = [method(runner) for _ in range(repeats + 1)][1:]
    finally:
        runner.close()
    return statistics.median(figures)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    silence = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silence, ctypes.c_void_p())
    llama.llama_backend_init()
    report = {"threads": options.threads, "prefill": {}, "decode": {}}
    report["prefill"]["512"] = measured(options.model, options.threads, 1, Runner.measure_prefill, options.repeats)
    for sequences in (1, 8, 32):
        report["decode"][str(sequences)] = measured(
            options.model, options.threads, sequences, Runner.measure_decode, options.repeats
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
