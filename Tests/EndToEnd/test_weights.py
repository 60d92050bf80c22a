"""Weights are what the GGUF project says they are, bit for bit."""

import json
import os

import gguf
import numpy
import pytest

from gguf_blocks import BLOCKS, FLOATS, Bytes, Type, random_rows
from processes import tally
from test_local import DEMO_MODEL, read_safetensors

SEED = int(os.environ.get("TALLY_SEED", "20261124"))
ROWS, COLUMNS = 64, 1024


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
