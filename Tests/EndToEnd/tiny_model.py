"""A Llama small enough that fifty thousand requests take seconds, with a real tokenizer and chat template.

Its weights are random under a fixed seed: what it says means nothing, but it says the same everywhere.
"""

import json
import shutil
from pathlib import Path

import numpy

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('unknown role: ' + message['role']) }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def safetensors_bytes(tensors):
    """The safetensors file of numpy float32 arrays."""
    header, offset = {}, 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {
            "dtype": "F32",
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    spelled = json.dumps(header).encode()
    spelled += b" " * (-len(spelled) % 8)
    body = b"".join(tensors[name].astype("<f4").tobytes() for name in sorted(tensors))
    return len(spelled).to_bytes(8, "little") + spelled + body


def write_tiny_model(folder, *, hidden=32, layers=2, context=512, seed=1, head=None):
    """Writes a Hugging Face folder: config.json, tokenizer files, model.safetensors."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    heads, key_value_heads, feed_forward = 2, 1, 2 * hidden
    head = head or hidden // heads
    tokenizer = FIXTURES / "tokenizers" / "gpt2-smollm" / "tokenizer.json"
    vocabulary = json.loads(tokenizer.read_text())
    ids = dict(vocabulary["model"]["vocab"])
    ids.update({token["content"]: token["id"] for token in vocabulary["added_tokens"]})
    size = max(ids.values()) + 1

    random = numpy.random.default_rng(seed)

    def weights(*shape):
        return random.normal(0, 0.08, shape).astype(numpy.float32)

    tensors = {
        "model.embed_tokens.weight": random.normal(0, 1, (size, hidden)).astype(numpy.float32),
        "model.norm.weight": numpy.ones(hidden, numpy.float32),
    }
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        tensors |= {
            prefix + "input_layernorm.weight": numpy.ones(hidden, numpy.float32),
            prefix + "post_attention_layernorm.weight": numpy.ones(hidden, numpy.float32),
            prefix + "self_attn.q_proj.weight": weights(heads * head, hidden),
            prefix + "self_attn.k_proj.weight": weights(key_value_heads * head, hidden),
            prefix + "self_attn.v_proj.weight": weights(key_value_heads * head, hidden),
            prefix + "self_attn.o_proj.weight": weights(hidden, heads * head),
            prefix + "mlp.gate_proj.weight": weights(feed_forward, hidden),
            prefix + "mlp.up_proj.weight": weights(feed_forward, hidden),
            prefix + "mlp.down_proj.weight": weights(hidden, feed_forward),
        }
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size,
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "head_dim": head,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "bos_token_id": ids["<|im_start|>"],
        "eos_token_id": ids["<|im_end|>"],
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    shutil.copy(tokenizer, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": CHAT_TEMPLATE, "eos_token": "<|im_end|>", "bos_token": "<|im_start|>"})
    )
    return folder
