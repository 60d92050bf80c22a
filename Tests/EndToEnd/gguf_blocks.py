"""Weights of every format that GGUF files may hold here, from a stream of bytes that is the same everywhere."""

import hashlib

import gguf
import numpy

Type = gguf.GGMLQuantizationType

# Where a block has its float16 numbers (scale, then minimum), and the scale that gives weights a spread of about 0.06,
# with which a row of 256 keeps the size of what it multiplies; the minimum as a multiple of the scale centres them.
BLOCKS = {
    Type.Q8_0: ([0], 8e-4, 0),
    Type.Q4_0: ([0], 1.3e-2, 0),
    Type.Q4_1: ([0, 2], 1.3e-2, -7.5),
    Type.Q5_0: ([0], 6.5e-3, 0),
    Type.Q5_1: ([0, 2], 6.5e-3, -15.5),
    Type.IQ4_NL: ([0], 8e-4, 0),
    Type.Q2_K: ([80, 82], 7e-3, 1.5),
    Type.Q3_K: ([108], 1.4e-3, 0),
    Type.Q4_K: ([0, 2], 4e-4, 7.5),
    Type.Q5_K: ([0, 2], 2e-4, 15.5),
    Type.Q6_K: ([208], 5e-5, 0),
}
FLOATS = (Type.F32, Type.F16, Type.BF16)


class Bytes:
    """Bytes under a seed, by SHAKE-256: no library's random numbers may change them."""

    def __init__(self, seed):
        self.seed, self.number = str(seed), 0

    def take(self, count):
        self.number += 1
        stream = hashlib.shake_256(f"{self.seed} {self.number}".encode()).digest(count)
        return numpy.frombuffer(stream, numpy.uint8).copy()

    def between(self, low, high, *shape):
        """Float32 numbers, evenly spread: each operation is exact or rounds alike everywhere."""
        count = int(numpy.prod(shape))
        steps = self.take(2 * count).view("<u2").astype(numpy.float32) / numpy.float32(65536)
        return (numpy.float32(low) + numpy.float32(high - low) * steps).reshape(shape)


def random_rows(source, kind, rows, columns, halves=None):
    """Rows as a file has them: uint8 [rows, bytes].

    `halves(count)` gives the float16 numbers of the blocks instead of ordinary ones.
    """
    if kind in FLOATS:
        values = source.between(-0.1, 0.1, rows, columns)
        if kind == Type.F16:
            values = values.astype(numpy.float16)
        if kind == Type.BF16:
            values = (values.view(numpy.uint32) >> 16).astype(numpy.uint16)
        return values.view(numpy.uint8)
    size, length = gguf.GGML_QUANT_SIZES[kind]
    count = rows * columns // size
    blocks = source.take(count * length).reshape(count, length)
    offsets, scale, minimum = BLOCKS[kind]
    ordinary = source.between(0.5 * scale, 1.5 * scale, count)
    for offset, factor in zip(offsets, (1, minimum)):
        numbers = halves(count) if halves else (ordinary * numpy.float32(factor)).astype(numpy.float16)
        blocks[:, offset : offset + 2] = numbers.astype("<f2").view(numpy.uint8).reshape(count, 2)
    return blocks.reshape(rows, -1)


def write_llama(path, kind, *, hidden=256, layers=1, vocabulary=96, seed=1):
    """A Llama whose matrices are all of one format; what it says means nothing."""
    source = Bytes(f"{kind.name} {seed}")
    heads, key_value_heads, dimension = 8, 2, hidden // 8
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_value_heads)
    writer.add_rope_dimension_count(dimension)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_eos_token_id(2)

    def matrix(name, outputs, inputs):
        writer.add_tensor(f"{name}.weight", random_rows(source, kind, outputs, inputs), raw_dtype=kind)

    def norm(name):
        writer.add_tensor(f"{name}.weight", source.between(0.5, 1.5, hidden))

    matrix("token_embd", vocabulary, hidden)
    for layer in range(layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm")
        matrix(block + "attn_q", hidden, hidden)
        matrix(block + "attn_k", key_value_heads * dimension, hidden)
        matrix(block + "attn_v", key_value_heads * dimension, hidden)
        matrix(block + "attn_output", hidden, hidden)
        norm(block + "ffn_norm")
        matrix(block + "ffn_gate", hidden, hidden)
        matrix(block + "ffn_up", hidden, hidden)
        matrix(block + "ffn_down", hidden, hidden)
    norm("output_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
