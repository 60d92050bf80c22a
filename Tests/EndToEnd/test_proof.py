"""The same unit gives the same bits: on every kernel variant of this machine, and on every machine.

`digests.json` has what each model must give. A change of a digest is a change of the numerics profile; the file is
written anew by `python Tests/EndToEnd/test_proof.py`, from one variant and one thread.
"""

import hashlib
import json
import tempfile
from itertools import product
from pathlib import Path

import pytest

from gguf_blocks import BLOCKS, FLOATS, write_llama
from processes import tally
from test_local import DEMO_MODEL, FIXTURES

DIGESTS = Path(__file__).with_name("digests.json")
COMMITTED = [FIXTURES / "models" / "llama3.1", FIXTURES / "gguf" / "llama2.gguf", DEMO_MODEL]
FORMATS = {f"llama-{kind.name}.gguf": kind for kind in (*FLOATS, *BLOCKS)}


CACHES = ("f16", "f32")


def prove(model, cache, threads, variant="", options=()):
    arguments = ["prove", "--model", model, "--cache", cache, "--threads", threads, "--json", *options]
    return json.loads(tally(*arguments, environment={"TALLY_CPU": variant}, timeout=900).stdout)


def check(model, name):
    expected = json.loads(DIGESTS.read_text())[name]
    if "sha256" in expected:
        content = hashlib.sha256(model.read_bytes()).hexdigest()
        assert content == expected["sha256"], "the model itself differs: its digests say nothing"
    report = prove(model, "f16", 2)
    assert report["inputs"] == expected["inputs"]
    print("variants:", report["variants"])
    everything = list(product((1, 2), CACHES))
    for variant in report["variants"]:
        # The larger model is a minute of computing: both caches and both numbers of threads, the slowest variant once.
        few = [(2, "f16")] if variant == "scalar" else [(2, "f16"), (1, "f32")]
        for threads, cache in few if model == DEMO_MODEL else everything:
            digest = prove(model, cache, threads, variant)["digest"]
            assert digest == expected[cache], f"TALLY_CPU={variant}, {threads} threads, {cache} cache"


@pytest.mark.parametrize("model", COMMITTED, ids=lambda model: model.name)
def test_one_digest_on_every_variant(model):
    check(model, model.name)


@pytest.mark.parametrize("name", FORMATS)
def test_one_digest_for_every_format(name, tmp_path):
    write_llama(tmp_path / name, FORMATS[name])
    check(tmp_path / name, name)


def test_another_digest_fails():
    model = FIXTURES / "models" / "llama3.1"
    answer = tally("prove", "--model", model, "--expect", "0" * 64, check=False)
    assert answer.returncode == 1
    assert json.loads(DIGESTS.read_text())["llama3.1"]["f16"] in answer.stderr


def digests(model):
    plain = {cache: prove(model, cache, 1, options=["--no-packed-cache"]) for cache in CACHES}
    return {"inputs": plain["f16"]["inputs"]} | {cache: report["digest"] for cache, report in plain.items()}


def write_digests():
    report = {model.name: digests(model) for model in COMMITTED}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in FORMATS.items():
            path = Path(folder) / name
            write_llama(path, kind)
            report[name] = {**digests(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    DIGESTS.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_digests()
