"""Makes tiny random models of every family, in more configurations than the fixtures have, with the logits that
transformers computes from them, in the layout of `Tests/Fixtures`:

    pip install torch==2.13.0 transformers==5.23.0 safetensors
    python make_models.py FOLDER [NAME ...]
    TALLY_FIXTURES=FOLDER swift test --filter GoldenTests.LogitsTests
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

COMMON = dict(vocab_size=288, hidden_size=64, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2)
DENSE = COMMON | dict(intermediate_size=112, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16, "rope_theta": 10000.0}
DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16)
LATENT = COMMON | dict(
    intermediate_size=112, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=16,
    qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, moe_intermediate_size=32, n_routed_experts=8,
    num_experts_per_tok=3, first_k_dense_replace=1,
)
GEMMA4 = DENSE | dict(
    num_hidden_layers=6, head_dim=16, sliding_window=8, hidden_size_per_layer_input=12, vocab_size_per_layer_input=288,
    global_head_dim=32,
)
EXPERTS = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=40)

# name: class, settings
CASES = {
    "llama_linear": ("Llama", DENSE | dict(rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})),
    "llama_yarn": ("Llama", DENSE | dict(rope_parameters=YARN)),
    "llama_yarn_mscale": ("Llama", DENSE | dict(rope_parameters=YARN | {"mscale": 0.7, "mscale_all_dim": 1.0, "truncate": False, "beta_fast": 4.0, "beta_slow": 0.5})),
    "llama_biases": ("Llama", DENSE | dict(attention_bias=True, mlp_bias=True, head_dim=20)),
    "mistral_all": ("Mistral", DENSE | dict(sliding_window=None, num_key_value_heads=1)),
    "ministral": ("Ministral", DENSE | dict(head_dim=16, sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "ministral3": ("Ministral3", DENSE | dict(head_dim=16, rope_parameters=YARN | {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 10})),
    "mixtral_window": ("Mixtral", DENSE | dict(num_local_experts=5, num_experts_per_tok=3, sliding_window=7)),
    "qwen2_window": ("Qwen2", DENSE | dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    "qwen2_moe": ("Qwen2Moe", DENSE | EXPERTS | dict(shared_expert_intermediate_size=48, decoder_sparse_step=2)),
    "qwen3_biases": ("Qwen3", DENSE | dict(head_dim=24, attention_bias=True)),
    "qwen3_moe_plain": ("Qwen3Moe", DENSE | EXPERTS | dict(head_dim=24, norm_topk_prob=False, mlp_only_layers=[1])),
    "qwen3_next": ("Qwen3Next", DENSE | DELTA | EXPERTS | dict(num_hidden_layers=4, head_dim=32, shared_expert_intermediate_size=48)),
    "qwen3_next_sizes": ("Qwen3Next", DENSE | EXPERTS | dict(num_hidden_layers=5, head_dim=20, shared_expert_intermediate_size=48, linear_num_key_heads=3, linear_num_value_heads=6, linear_key_head_dim=12, linear_value_head_dim=20, linear_conv_kernel_dim=3, layer_types=["full_attention", "linear_attention", "linear_attention", "full_attention", "linear_attention"], mlp_only_layers=[2], norm_topk_prob=False)),
    "qwen3_5_sizes": ("Qwen3_5", DENSE | dict(num_hidden_layers=4, head_dim=24, attention_bias=True, linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=24, linear_value_head_dim=72, linear_conv_kernel_dim=2, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})),
    "qwen3_5_moe": ("Qwen3_5Moe", DENSE | DELTA | EXPERTS | dict(num_hidden_layers=4, head_dim=32, shared_expert_intermediate_size=48)),
    "deepseek_v2": ("DeepseekV2", LATENT | dict(q_lora_rank=24, n_shared_experts=2, topk_method="greedy", routed_scaling_factor=1.5)),
    "deepseek_v2_groups": ("DeepseekV2", LATENT | dict(q_lora_rank=None, n_shared_experts=1, topk_method="group_limited_greedy", n_group=4, topk_group=2, v_head_dim=24)),
    "deepseek_v2_lite": ("DeepseekV2", LATENT | dict(q_lora_rank=None, n_shared_experts=2, topk_method="greedy", rope_parameters=YARN | {"mscale": 0.707, "mscale_all_dim": 0.707, "factor": 4.0})),
    "deepseek_v3_halves": ("DeepseekV3", LATENT | dict(q_lora_rank=None, n_shared_experts=2, n_group=2, topk_group=1, rope_interleave=False, attention_bias=True, norm_topk_prob=False, kv_lora_rank=20, v_head_dim=12, qk_nope_head_dim=12)),
    "deepseek_v3_yarn": ("DeepseekV3", LATENT | dict(q_lora_rank=24, n_shared_experts=1, n_group=4, topk_group=2, rope_parameters=YARN | {"mscale": 1.0, "mscale_all_dim": 1.0})),
    "gemma": ("Gemma", DENSE | dict(head_dim=24, tie_word_embeddings=True)),
    "gemma_untied": ("Gemma", DENSE | dict(head_dim=16, num_key_value_heads=1, tie_word_embeddings=False, attention_bias=True)),
    "gemma2_uncapped": ("Gemma2", DENSE | dict(head_dim=24, query_pre_attn_scalar=40, sliding_window=6, attn_logit_softcapping=None, final_logit_softcapping=5.0, hidden_activation="gelu")),
    "gemma3_linear": ("Gemma3", DENSE | dict(num_hidden_layers=6, head_dim=24, query_pre_attn_scalar=40, sliding_window=6, final_logit_softcapping=8.0, rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
    "gemma4_shared": ("Gemma4", GEMMA4 | dict(num_hidden_layers=8, num_kv_shared_layers=4, layer_types=["sliding_attention", "full_attention"] * 4, use_double_wide_mlp=True, final_logit_softcapping=6.0)),
    "gemma4_values": ("Gemma4", GEMMA4 | dict(attention_k_eq_v=True, num_global_key_value_heads=1, hidden_size_per_layer_input=0, layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2)),
    "gemma4_moe": ("Gemma4", GEMMA4 | dict(enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=40, attention_k_eq_v=True, num_global_key_value_heads=2, hidden_size_per_layer_input=0)),
    "mimo_groups": ("MiMoV2Flash", DENSE | dict(num_hidden_layers=4, head_dim=20, v_head_dim=24, moe_intermediate_size=32, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2, sliding_window=5, attention_value_scale=None, norm_topk_prob=False, routed_scaling_factor=1.7, layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"], mlp_layer_types=["sparse", "dense", "sparse", "dense"], attention_bias=True)),
}
TEXT = {"Qwen3_5", "Qwen3_5Moe", "Gemma3", "Gemma4"}


def randomise(model, seed):
    """Weights as wide as it takes for every mechanism to show in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        tensors = list(model.named_parameters()) + [
            (name, buffer) for name, buffer in model.named_buffers()
            if name.endswith(("e_score_correction_bias", "layer_scalar"))
        ]
        for name, tensor in tensors:
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("A_log"):
                tensor.copy_(noise.abs().add(0.1).log())
            elif name.endswith("layer_scalar"):
                tensor.copy_(1 + 0.1 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(tensor + 0.1 * noise)
            else:
                tensor.copy_(noise * (1.0 / tensor.shape[-1] ** 0.5))
            tensor.copy_(tensor.to(torch.bfloat16).float())


def make(folder, name, seed):
    kind, settings = CASES[name]
    suffix = "TextConfig" if kind in TEXT else "Config"
    config = getattr(transformers, kind + suffix)(**settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).float().eval()
    randomise(model, seed)
    place = folder / "models" / name
    place.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    ids = torch.randint(3, settings["vocab_size"], (2, 24))
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
        tokens, greedy, steps = ids[:1], [], []
        for _ in range(16):
            last = model(tokens, use_cache=False).logits[0, -1]
            steps.append(last)
            greedy.append(int(last.argmax()))
            tokens = torch.cat([tokens, torch.tensor([[greedy[-1]]])], dim=1)
    model.to(torch.bfloat16).save_pretrained(place)
    (place / "generation_config.json").unlink(missing_ok=True)
    save_file(
        {
            "input_ids": ids.to(torch.int32), "logits": logits.float().contiguous(),
            "greedy": torch.tensor(greedy, dtype=torch.int32), "greedy_logits": torch.stack(steps).float(),
        },
        place / "reference.safetensors",
    )
    print(f"{name}: logits of {logits.std():.2f} (standard deviation)", flush=True)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    target, names = Path(sys.argv[1]), sys.argv[2:] or list(CASES)
    for index, case in enumerate(CASES):
        if case in names:
            make(target, case, index)
