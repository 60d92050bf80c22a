"""Makes runs of PyTorch and PEFT in float32 on tiny models, in the layout of `Tests/Fixtures/lora`:

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2 safetensors
    python make_lora.py MODELS FOLDER [NAME ...]
    TALLY_FIXTURES=FOLDER swift test --filter FineTuningTests.GoldenTrajectoryTests

MODELS has model folders such as those of `Tests/Fixtures/models` or of `make_models.py`; FOLDER/models gets the used ones.
Every model of softmax attention and gated feed-forwards is tried when no NAME is given. A run that PyTorch itself ends
elsewhere in float64 is ill-conditioned (gradients near zero whose sign decides a whole step of Adam's), and is made anew.
"""

import copy
import json
import random
import shutil
import sys
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
FEED_FORWARD = ["gate_proj", "up_proj", "down_proj"]
DENSE = {"llama", "mistral", "ministral", "ministral3", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "gemma4_text"}
STEPS = 10
LARGEST_DRIFT = 3e-4


def settings(seed):
    """What varies from run to run."""
    choose = random.Random(seed)
    targets = choose.choice([ATTENTION + FEED_FORWARD, ATTENTION, FEED_FORWARD, ["q_proj", "v_proj"], ["k_proj", "down_proj"]])
    lora = dict(r=choose.choice([1, 3, 4, 8, 20]), lora_alpha=choose.choice([4, 8, 16]), use_rslora=choose.random() < 0.5)
    if choose.random() < 0.3:
        lora["layers_to_transform"] = [1, 2]
    optimiser = dict(
        lr=choose.choice([0.002, 0.005, 0.01]), betas=choose.choice([(0.9, 0.999), (0.8, 0.95)]),
        weight_decay=choose.choice([0.0, 0.1]), eps=1e-8,
    )
    return lora | dict(target_modules=targets), optimiser, choose.choice([0.5, 1.0, 1000.0])


def train(model, ids, labels, optimiser, max_norm):
    """Takes the steps; losses, gradient norms, and the clipped gradients of the first step."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    adam = torch.optim.AdamW(parameters.values(), foreach=False, **optimiser)
    losses, norms, first = [], [], {}
    model.train()
    for step in range(STEPS):
        batch = step % len(ids)
        loss = model(input_ids=ids[batch], labels=labels[batch], use_cache=False).loss
        adam.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm).item())
        if step == 0:
            first = {name.replace(".default", ""): value.grad.clone() for name, value in parameters.items()}
        adam.step()
        losses.append(loss.item())
    return losses, norms, first


def make_run(model_folder, folder, seed):
    """Makes a run; False if it is ill-conditioned."""
    torch.manual_seed(seed)
    lora, optimiser, max_norm = settings(seed)
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **lora))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder / "initial")
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.randint(3, vocabulary, (5, 4, 20))
    labels = ids.clone()
    labels[:, :, :7] = -100
    labels[:, 2, :15] = -100
    save_file({"input_ids": ids.int(), "labels": labels.int()}, folder / "batches.safetensors")
    twin = copy.deepcopy(model).double()
    losses, norms, first = train(model, ids, labels, optimiser, max_norm)
    train(twin, ids, labels, optimiser, max_norm)
    apart = max((one - other).abs().max() for one, other in zip(model.parameters(), twin.parameters()))
    if apart > LARGEST_DRIFT:
        return False
    save_file(first, folder / "first_step_clipped_grads.safetensors")
    model.eval()
    model.save_pretrained(folder / "final")
    with torch.no_grad():
        logits = model(input_ids=ids[0], use_cache=False).logits
    save_file({"logits": logits.contiguous()}, folder / "final_logits.safetensors")
    trajectory = dict(
        base=model_folder.name, steps=STEPS, optimizer=dict(name="AdamW", **optimiser), max_grad_norm=max_norm,
        loss="mean token cross entropy over labels != -100, labels shifted by one", losses=losses, grad_norms=norms)
    (folder / "trajectory.json").write_text(json.dumps(trajectory, indent=1))
    print(f"{folder.name}: loss {losses[0]:.3f} to {losses[-1]:.3f}, {lora}, {optimiser}, norm {max_norm}")
    return True


def is_dense(config):
    return config.get("model_type") in DENSE and not config.get("num_local_experts") and not config.get("enable_moe_block")


if __name__ == "__main__":
    models, folder = Path(sys.argv[1]), Path(sys.argv[2])
    names = sys.argv[3:] or sorted(path.name for path in models.iterdir() if path.is_dir())
    for seed, name in enumerate(names):
        if not is_dense(json.loads((models / name / "config.json").read_text())):
            continue
        if not (folder / "models" / name).exists():
            shutil.copytree(models / name, folder / "models" / name)
        while not make_run(models / name, folder / "lora" / name, seed):
            seed += 1000
