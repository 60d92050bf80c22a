"""The models that are measured, made once in .build/benchmarks with llama.cpp's own quantiser: from the demo model, and
from a Llama of random weights whose widths are multiples of 256, as the larger formats need."""

import sys

import gguf
import llama_cpp as llama
import numpy

import yardstick
from machine import DEMO_MODEL, FOLDER, say

# What to call a format, its number in llama.cpp, and what it is made from.
FORMATS = {
    "Q8_0": (llama.LLAMA_FTYPE_MOSTLY_Q8_0, "demo"),
    "Q4_0": (llama.LLAMA_FTYPE_MOSTLY_Q4_0, "demo"),
    "Q4_1": (llama.LLAMA_FTYPE_MOSTLY_Q4_1, "demo"),
    "F16": (llama.LLAMA_FTYPE_MOSTLY_F16, "demo"),
    "F32": (llama.LLAMA_FTYPE_ALL_F32, "demo"),
    "Q4_K_M": (llama.LLAMA_FTYPE_MOSTLY_Q4_K_M, "random"),
    "Q5_K_M": (llama.LLAMA_FTYPE_MOSTLY_Q5_K_M, "random"),
    "Q6_K": (llama.LLAMA_FTYPE_MOSTLY_Q6_K, "random"),
}

SEED = 20
HIDDEN, FEED_FORWARD, LAYERS, HEADS, KEY_VALUE_HEADS, CONTEXT = 1024, 2816, 12, 16, 4, 8192


def path_of(name):
    """The file of a format, made if it is missing."""
    file_type, origin = FORMATS[name]
    if name == "Q4_1":
        return DEMO_MODEL
    target = FOLDER / f"{origin}-{name}.gguf"
    if not target.exists():
        source = DEMO_MODEL if origin == "demo" else random_checkpoint()
        made(target, lambda partial: yardstick.quantise(source, partial, file_type))
    return target


def made(target, write):
    """Writes a file that is either whole or not there."""
    say(f"making {target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    write(partial)
    partial.rename(target)


def random_checkpoint():
    """A Llama of 184 million random weights in F16, with the demo model's tokenizer."""
    target = FOLDER / "random-F16.gguf"
    if not target.exists():
        made(target, write_random_checkpoint)
    return target


class Checkpoint:
    """Writes random weights in F16 with the demo model's tokenizer."""

    def __init__(self, path, architecture, layers, feed_forward):
        demo = gguf.GGUFReader(DEMO_MODEL)
        self.writer = writer = gguf.GGUFWriter(path, architecture)
        self.random = numpy.random.default_rng(SEED)
        writer.add_name(f"random {SEED}")
        writer.add_file_type(llama.LLAMA_FTYPE_MOSTLY_F16)
        writer.add_block_count(layers)
        writer.add_context_length(CONTEXT)
        writer.add_embedding_length(HIDDEN)
        writer.add_feed_forward_length(feed_forward)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_VALUE_HEADS)
        writer.add_rope_dimension_count(HIDDEN // HEADS)
        writer.add_rope_freq_base(10000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        vocabulary = len(demo.get_field("tokenizer.ggml.tokens").data)
        writer.add_vocab_size(vocabulary)
        for name, field in demo.fields.items():
            if name.startswith("tokenizer."):
                inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
        self.matrix("token_embd", vocabulary, HIDDEN)

    def matrix(self, name, *shape):
        # Keeps the size of what goes through it; the last matrix of a branch adds little to the residual stream.
        scale = shape[-1] ** -0.5 * (0.2 if name.endswith(("attn_output", "ffn_down", "ffn_down_exps")) else 1)
        values = self.random.standard_normal(shape, numpy.float32) * numpy.float32(scale)
        self.writer.add_tensor(f"{name}.weight", values.astype(numpy.float16))

    def norm(self, name, size=HIDDEN):
        self.writer.add_tensor(f"{name}.weight", numpy.ones(size, numpy.float32))

    def attention(self, block):
        keys = HIDDEN // HEADS * KEY_VALUE_HEADS
        self.norm(block + "attn_norm")
        self.matrix(block + "attn_q", HIDDEN, HIDDEN)
        self.matrix(block + "attn_k", keys, HIDDEN)
        self.matrix(block + "attn_v", keys, HIDDEN)
        self.matrix(block + "attn_output", HIDDEN, HIDDEN)
        self.norm(block + "ffn_norm")

    def finish(self):
        self.norm("output_norm")
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def write_random_checkpoint(path):
    checkpoint = Checkpoint(path, "llama", LAYERS, FEED_FORWARD)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        checkpoint.attention(block)
        checkpoint.matrix(block + "ffn_gate", FEED_FORWARD, HIDDEN)
        checkpoint.matrix(block + "ffn_up", FEED_FORWARD, HIDDEN)
        checkpoint.matrix(block + "ffn_down", HIDDEN, FEED_FORWARD)
    checkpoint.finish()


if __name__ == "__main__":
    yardstick.start()
    for name in sys.argv[1:] or FORMATS:
        print(path_of(name))
