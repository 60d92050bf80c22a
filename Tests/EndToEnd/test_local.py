"""The commands for looking closer, against files that other programs made."""

import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

from processes import CHECKOUT, TALLY, tally

FIXTURES = CHECKOUT / "Tests" / "Fixtures"
DEMO_MODEL = Path(os.environ.get("TALLY_DEMO_MODEL", CHECKOUT / ".build/demo/SmolLM2-135M-Instruct.Q4_1.gguf"))


def read_safetensors(path):
    content = Path(path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    types = {"F32": "<f4", "I32": "<i4"}
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = numpy.frombuffer(content[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write_ids(path, ids):
    body = numpy.asarray(ids, "<i4")
    header = json.dumps(
        {"input_ids": {"dtype": "I32", "shape": list(body.shape), "data_offsets": [0, body.nbytes]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    Path(path).write_bytes(len(header).to_bytes(8, "little") + header + body.tobytes())


def models():
    for folder in sorted((FIXTURES / "models").iterdir()):
        yield pytest.param(folder, folder, id=folder.name)
    for file in sorted((FIXTURES / "gguf").glob("*.gguf")):
        yield pytest.param(file, FIXTURES / "models" / file.stem, id=file.name)


@pytest.mark.parametrize(("model", "reference"), list(models()))
@pytest.mark.parametrize(("cache", "tolerance"), [("f32", 1e-3), ("f16", 1e-2)])
def test_logits_are_those_of_transformers(model, reference, cache, tolerance, tmp_path):
    output = tmp_path / "logits.safetensors"
    reference = reference / "reference.safetensors"
    tally("logits", "--model", model, "--input", reference, "--output", output, "--cache", cache)
    expected, computed = read_safetensors(reference)["logits"], read_safetensors(output)["logits"]
    assert computed.shape == expected.shape
    assert numpy.abs(computed - expected).max() <= tolerance


def test_logits_are_the_same_bits_on_every_kernel(tmp_path):
    model = FIXTURES / "models" / "llama3.1"
    flags = Path("/proc/cpuinfo").read_text()
    variants = ["scalar", "portable"] + [name for name, flag in (("avx2", "avx2"), ("avx512", "avx512f")) if flag in flags]
    print("variants:", variants)
    files = set()
    for variant in variants:
        for threads in (1, 2, 5):
            output = tmp_path / f"{variant}-{threads}.safetensors"
            tally(
                "logits", "--model", model, "--input", model / "reference.safetensors", "--output", output,
                "--cache", "f16", "--threads", threads, environment={"TALLY_CPU": variant},
            )
            files.add(output.read_bytes())
    assert len(files) == 1


# A process begins with the peak of the one that starts it, so a small one does that.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_bytes(*arguments):
    """The largest resident size that a command had."""
    command = [sys.executable, "-c", MEASURE, str(TALLY), *map(str, arguments)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) * 1024


def test_loading_takes_little_more_memory_than_the_weights(tmp_path):
    ids, output = tmp_path / "ids.safetensors", tmp_path / "logits.safetensors"
    write_ids(ids, [[1, 2, 3, 4]])
    # The program itself, its libraries and their tables, is there without any model.
    program = peak_bytes("--version")
    peak = peak_bytes("logits", "--model", DEMO_MODEL, "--input", ids, "--output", output, "--threads", "1")
    weights = DEMO_MODEL.stat().st_size
    print(f"{peak / 1e6:.0f} MB, of which {program / 1e6:.0f} MB the program; {weights / 1e6:.0f} MB of weights")
    assert peak - program < 1.3 * weights


def generate(cache, *arguments, **options):
    return tally(
        "generate", "--model", DEMO_MODEL, "--raw", "--max-tokens", "8", "--threads", "1", *arguments, "Once upon",
        environment={"TALLY_PACKED_CACHE": str(cache)}, **options,
    )


def test_weights_are_no_memory_of_the_program(tmp_path):
    """With less memory of its own than the weights take: they are the file's pages, which the system may drop."""
    weights = DEMO_MODEL.stat().st_size

    def limit():
        # Private writable memory; what a read-only mapping of a file takes is not counted.
        resource.setrlimit(resource.RLIMIT_DATA, (weights * 3 // 4, weights * 3 // 4))

    free = generate(tmp_path / "packed", "--no-packed-cache")
    assert not (tmp_path / "packed").exists()
    for start in ("packing", "packed"):
        assert generate(tmp_path / "packed", preexec_fn=limit).stdout == free.stdout, start
    refused = generate(tmp_path / "packed", "--no-packed-cache", preexec_fn=limit, check=False)
    assert refused.returncode != 0


def test_processes_that_pack_at_once_do_not_disturb_each_other(tmp_path):
    cache = tmp_path / "packed"
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: generate(cache).stdout, range(4)))
    assert len(set(answers)) == 1
    (packed,) = cache.iterdir()
    before = packed.stat()
    assert generate(cache).stdout == answers[0]
    (packed,) = cache.iterdir()
    assert packed.stat().st_ino == before.st_ino


def test_a_run_takes_little_more_memory_than_weights_and_cache(tmp_path):
    weights = DEMO_MODEL.stat().st_size
    for cache in ("--packed-cache", "--packed-cache", "--no-packed-cache"):
        sizes = ("--prefill", "512", "--decode", "32")
        peak = peak_bytes("bench", "--model", DEMO_MODEL, *sizes, "--repeats", "1", "--threads", "2", "--json", cache)
        # 32 sequences of 160 positions, in blocks of 64, of 30 layers with 3 heads of 64 keys and 64 values of 2 bytes.
        caches = 32 * 192 * 30 * 3 * (64 + 64) * 2
        print(f"{cache}: {peak / 1e6:.0f} MB with {weights / 1e6:.0f} MB of weights, {caches / 1e6:.0f} MB of cache")
        assert peak < 1.15 * weights + caches + 120e6


@pytest.mark.parametrize("folder", sorted((FIXTURES / "tokenizers").iterdir()), ids=lambda folder: folder.name)
def test_tokenize_is_the_tokenizers_library(folder):
    cases = json.loads((folder / "cases.json").read_text())

    def run(lines, *arguments):
        answer = tally(
            "tokenize", "--tokenizer", folder / "tokenizer.json", *arguments,
            input="".join(json.dumps(line) + "\n" for line in lines),
        )
        return [json.loads(line) for line in answer.stdout.split("\n")[:-1]]

    texts = [case["text"] for case in cases]
    ids = run([{"text": text, "add_special_tokens": True} for text in texts])
    assert [line["ids"] for line in ids] == [case["ids"] for case in cases]
    bare = run([{"text": text, "add_special_tokens": False} for text in texts])
    assert [line["ids"] for line in bare] == [case["ids_without_special"] for case in cases]
    decoded = run([{"ids": case["ids_without_special"]} for case in cases], "--decode")
    assert [line["text"] for line in decoded] == [case["decoded"] for case in cases]
    skipped = run([{"ids": case["ids"], "skip_special_tokens": True} for case in cases], "--decode")
    assert [line["text"] for line in skipped] == [case["decoded_skip_special"] for case in cases]


def test_tokenize_names_the_line_that_is_wrong():
    path = FIXTURES / "tokenizers" / "llama3" / "tokenizer.json"
    answer = tally("tokenize", "--tokenizer", path, check=False, input='{"text": "fine"}\n{"txt": 1}\n')
    assert answer.returncode == 1
    assert "line 2" in answer.stderr


def test_a_damaged_model_is_refused_by_name_and_place(tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes((FIXTURES / "gguf" / "llama2.gguf").read_bytes()[:5000])
    ids = tmp_path / "ids.safetensors"
    write_ids(ids, [[1, 2]])
    answer = tally("logits", "--model", damaged, "--input", ids, "--output", tmp_path / "out", check=False)
    assert answer.returncode == 1
    assert "damaged.gguf" in answer.stderr


def test_bench_prints_its_figures():
    report = json.loads(tally("bench", "--model", DEMO_MODEL, "--json", "--repeats", "1", timeout=300).stdout)
    assert set(report) == {"threads", "variant", "prefill", "decode", "bytes_per_step", "peak_resident_bytes"}
    assert set(report["prefill"]) == {"512"} and set(report["decode"]) == {"1", "8", "32"}
    assert all(rate > 0 for rate in [*report["prefill"].values(), *report["decode"].values()])
    assert 0.9 < report["bytes_per_step"] / DEMO_MODEL.stat().st_size < 1.1


def test_bench_runs_what_is_named():
    model = FIXTURES / "models" / "llama3.1"
    report = json.loads(tally("bench", "model", "--model", model, "--decode", 3, "--repeats", 1, "--json").stdout)
    assert set(report["decode"]) == {"3"} and not report["prefill"]


def test_bench_measures_products_of_every_format():
    formats = ["f32", "f16", "bf16", "f8_e4m3", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl"]
    formats += ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k"]
    arguments = [word for name in formats for word in ("--type", name)]
    answer = tally("bench", "products", "--shape", "48x256", "--rows", 3, "--seconds", 0, "--json", *arguments)
    products = json.loads(answer.stdout)["products"]
    assert [(each["type"], each["outputs"], each["inputs"], each["rows"]) for each in products] == [
        (name, 48, 256, 3) for name in formats
    ]
    assert all(each["operations_per_second"] > 0 for each in products)


def test_bench_measures_the_machine():
    report = json.loads(tally("bench", "peak", "--json", "--threads", 1).stdout)
    assert report["bytes_read_per_second"] > 0


def test_perplexity_is_what_the_logits_say(tmp_path):
    """Two windows of the demo model, from the program's own logits and tokens."""
    context, first = 64, 32
    text = "".join((CHECKOUT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))[:1500]
    source = tmp_path / "text.txt"
    source.write_text(text)
    line = json.dumps({"text": text}) + "\n"
    answer = tally("tokenize", "--tokenizer", DEMO_MODEL, input=line)
    windows = numpy.array(json.loads(answer.stdout)["ids"][: 2 * context]).reshape(2, context)
    write_ids(tmp_path / "ids.safetensors", windows)
    output = tmp_path / "logits.safetensors"
    tally("logits", "--model", DEMO_MODEL, "--input", tmp_path / "ids.safetensors", "--output", output)
    logits = read_safetensors(output)["logits"].astype(numpy.float64)[:, first:-1]
    chosen = numpy.take_along_axis(logits, windows[:, first + 1 :, None], 2)[..., 0]
    expected = (numpy.log(numpy.exp(logits).sum(2)) - chosen).mean()
    options = ["--tokens", 2 * context + 5, "--context", context, "--cache", "f32", "--json"]
    report = json.loads(tally("perplexity", "--model", DEMO_MODEL, source, *options).stdout)
    assert report["windows"] == 2 and report["scored_tokens"] == 2 * (context - first - 1)
    assert abs(report["mean_negative_log"] - expected) < 1e-5
    assert abs(report["perplexity"] / numpy.exp(expected) - 1) < 1e-5


def test_perplexity_refuses_a_text_that_is_too_short(tmp_path):
    source = tmp_path / "text.txt"
    source.write_text("In the beginning.")
    answer = tally("perplexity", "--model", DEMO_MODEL, source, check=False)
    assert answer.returncode == 1
    assert "less than one window of 512" in answer.stderr
