"""Weights are what the GGUF project says they are, bit for bit."""

import hashlib
import json
import os
from pathlib import Path

import gguf
import numpy
import pytest

from gguf_blocks import BLOCKS, FLOATS, Bytes, Type, random_rows
from processes import tally
from test_local import DEMO_MODEL, FIXTURES, read_safetensors
from tiny_model import write_tiny_model

SEED = int(os.environ.get("TALLY_SEED", "20261124"))
ROWS, COLUMNS = 64, 1024


def copy_model(source, writer, convert):
    """Metadata and tensors of a GGUF file; `convert` gives a tensor's data and type."""
    for key, field in source.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(key, field.contents())
        else:
            writer.add_key_value(key, field.contents(), field.types[0])
    for tensor in source.tensors:
        data, kind = convert(tensor)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def open_model(path):
    source = gguf.GGUFReader(path)
    return source, source.fields["general.architecture"].contents()


def write_float_model(path):
    """The demo model with its matrices in BF16."""

    def convert(tensor):
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        return (gguf.quantize(values, Type.BF16), Type.BF16) if values.ndim == 2 else (values, None)

    source, architecture = open_model(DEMO_MODEL)
    copy_model(source, gguf.GGUFWriter(path, architecture), convert)


def extreme_halves(source):
    """Float16 numbers of every kind but infinities and NaNs: subnormals, zeros, both signs, the largest."""

    def halves(count):
        bits = source.take(2 * count).view("<u2")
        bits = numpy.where(bits & 0x7C00 == 0x7C00, bits & 0x83FF, bits)
        picked = source.take(count)
        bits = numpy.where(picked < 16, bits & 0x8000, bits)
        bits = numpy.where((picked >= 16) & (picked < 48), bits & 0x83FF, bits)
        return bits.astype("<u2").view("<f2")

    return halves


def write_random_weights(path):
    """A tensor of each format; returns what the file has of each."""
    source = Bytes(SEED)
    writer = gguf.GGUFWriter(path, "none")
    written = {}
    for kind in (*FLOATS, *BLOCKS):
        rows = random_rows(source, kind, ROWS, COLUMNS, extreme_halves(source))
        written[kind.name] = (kind, rows)
        writer.add_tensor(kind.name, rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.gguf"
    return path, write_random_weights(path)


@pytest.mark.parametrize("name", [kind.name for kind in (*FLOATS, *BLOCKS)])
def test_dequantised_weights_are_those_of_the_gguf_package(weights, name, tmp_path):
    print("TALLY_SEED:", SEED)
    path, written = weights
    kind, rows = written[name]
    expected = gguf.quants.dequantize(rows, kind)
    tally("model", "tensor", path, name, "--output", tmp_path / "out.safetensors")
    computed = read_safetensors(tmp_path / "out.safetensors")[name]
    assert computed.shape == expected.shape == (ROWS, COLUMNS)
    different = computed.view(numpy.uint32) != expected.astype("<f4").view(numpy.uint32)
    assert not different.any(), f"{different.sum()} differ, the first at {numpy.argwhere(different)[0]}"


def test_a_tensor_of_the_demo_model_is_that_of_the_gguf_package(tmp_path):
    name = "blk.7.ffn_down.weight"
    [tensor] = [each for each in gguf.GGUFReader(DEMO_MODEL).tensors if each.name == name]
    expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    tally("model", "tensor", DEMO_MODEL, name, "--output", tmp_path / "out.safetensors")
    assert numpy.array_equal(read_safetensors(tmp_path / "out.safetensors")[name], expected)


def test_tensors_are_listed(weights):
    path, written = weights
    listed = {row["name"]: row for row in json.loads(tally("model", "tensor", path, "--json").stdout)}
    assert listed.keys() == written.keys()
    for name, (kind, rows) in written.items():
        assert listed[name] == {"name": name, "type": kind.name, "shape": [ROWS, COLUMNS], "bytes": rows.nbytes}


def test_an_unknown_tensor_is_refused_with_what_may_be_meant(tmp_path):
    output = tmp_path / "out.safetensors"
    answer = tally("model", "tensor", DEMO_MODEL, "layers.3.attn_norm.weight", "--output", output, check=False)
    assert answer.returncode == 1
    assert "layers.3.attn_norm.weight" in answer.stderr
    assert "blk.3.attn_norm.weight" in answer.stderr
    assert not output.exists()


def test_calibrated_rounding_loses_less_on_a_text_it_has_not_seen(tmp_path):
    model, seen, unseen = tmp_path / "float.gguf", tmp_path / "seen.txt", "/usr/share/common-licenses/GPL-3"
    write_float_model(model)
    readme = Path(__file__).parents[2] / "README.md"
    seen.write_text(readme.read_text(encoding="utf-8"), encoding="utf-8")

    def perplexity(*options):
        measured = tally("perplexity", "--model", model, unseen, "--tokens", "1024", "--json", *options)
        return json.loads(measured.stdout)["perplexity"]

    rounding = ("--quantize", "q4_0")
    exact, plain = perplexity(), perplexity(*rounding)
    calibrated = perplexity(*rounding, "--calibrate", seen, "--calibration-tokens", "2048")
    assert exact < calibrated < exact + 0.9 * (plain - exact)


def test_what_a_model_was_calibrated_on_is_kept(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 100)
    folder, data = write_tiny_model(tmp_path / "tiny"), ("--data", tmp_path / "data")
    added = ("model", "add", folder, "--name", "m", "--quantize", "q8_0")
    tally(*added, "--calibrate", text, "--calibration-context", "64", *data)
    provenance = json.loads(tally("model", "show", "m", "--json", *data).stdout)["provenance"]
    assert provenance["rounding"] == "q8_0"
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    assert provenance["calibration"] == {"name": "text.txt", "bytes": text.stat().st_size, "sha256": digest}
    assert not list((tmp_path / "data").glob("tally-calibration-*"))
    text.write_text("too short")
    refused = tally(*added, "--calibrate", text, *data, check=False)
    assert refused.returncode == 1 and "tokens; 512 or more are needed" in refused.stderr
    assert tally("model", "add", folder, "--calibrate", text, *data, check=False).returncode == 64


def test_a_model_in_parts_is_one_model(tmp_path):
    whole = FIXTURES / "gguf" / "qwen3.gguf"
    source, architecture = open_model(whole)
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", architecture, split_max_tensors=13)
    copy_model(source, writer, lambda tensor: (tensor.data, tensor.tensor_type))
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert [part.name for part in parts] == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    ids = FIXTURES / "models" / "qwen3" / "reference.safetensors"

    def logits(model, check=True):
        output = tmp_path / "logits.safetensors"
        answer = tally("logits", "--model", model, "--input", ids, "--output", output, check=check)
        return output.read_bytes() if check else answer.stderr

    assert logits(parts[0]) == logits(whole)
    assert "-00001-of-00003.gguf" in logits(parts[1], check=False)
    data = ("--data", tmp_path / "data")
    tally("model", "add", parts[0], "--name", "m", *data)
    shown = json.loads(tally("model", "show", "m", "--json", *data).stdout)
    assert [file["name"] for file in shown["provenance"]["files"]] == [part.name for part in parts]
    parts[2].write_bytes(parts[1].read_bytes())
    assert "is not part 3 of 3" in logits(parts[0], check=False)
    parts[2].unlink()
    assert parts[2].name in logits(parts[0], check=False)
