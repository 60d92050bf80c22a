"""Steps of PyTorch and PEFT over a Llama with the demo model's dimensions: tokens a second and peak memory, as JSON.

    python speed.py float32|bfloat16 THREADS SEQUENCES TOKENS RANK STEPS
"""

import json
import resource
import statistics
import sys
import time

import torch
import transformers
from peft import LoraConfig, get_peft_model

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

dtype = getattr(torch, sys.argv[1])
threads, sequences, tokens, rank, steps = map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
    num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True, rope_theta=100000.0)
model = transformers.LlamaForCausalLM(config).to(dtype)
model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules=TARGETS))
model.train()
optimizer = torch.optim.AdamW((value for value in model.parameters() if value.requires_grad), lr=2e-4)
ids = torch.randint(0, config.vocab_size, (sequences, tokens))
seconds = []
for step in range(steps + 1):
    start = time.monotonic()
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    seconds.append(time.monotonic() - start)
print(json.dumps({
    "tokens_per_second": sequences * tokens / statistics.median(seconds[1:]),
    "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
