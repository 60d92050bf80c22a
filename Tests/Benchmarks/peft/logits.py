"""What PEFT computes with an adapter over a GGUF file's weights, which are dequantised: logits in float32.

    python logits.py MODEL.gguf ADAPTER IDS.safetensors LOGITS.safetensors
"""

import sys
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

model_path, adapter, ids, output = map(Path, sys.argv[1:])
model = transformers.AutoModelForCausalLM.from_pretrained(
    model_path.parent, gguf_file=model_path.name, dtype=torch.float32, attn_implementation="eager")
model = PeftModel.from_pretrained(model, adapter).eval()
with torch.no_grad():
    logits = model(input_ids=load_file(ids)["input_ids"].long(), use_cache=False).logits
save_file({"logits": logits.contiguous()}, output)
