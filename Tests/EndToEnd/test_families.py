"""The main job on a model of each kind: two accounts' workers agree, and agree with the command line."""

import json
import shutil

import pytest

from batches import answers, submit, text, wait
from conftest import Fleet
from test_local import DEMO_MODEL
from processes import chat_line, tally
from tiny_model import CHAT_TEMPLATE, FIXTURES

# Experts; latent attention in FP8 with shared experts; shared and scaled everything; linear attention; sinks.
FAMILIES = ["mixtral", "deepseek_v3_fp8", "gemma4", "gemma3", "qwen3_5", "mimo_v2_flash"]


def with_tokenizer(model, folder):
    """A fixture, whose vocabulary is too small for its family's tokenizer, with one of single bytes."""
    shutil.copytree(FIXTURES / "models" / model, folder)
    source = json.loads((FIXTURES / "tokenizers/gpt2-smollm/tokenizer.json").read_text())
    single = [token for token in source["model"]["vocab"] if len(token) == 1]
    special = [token["content"] for token in source["added_tokens"]]
    # Ends no answer early: none of these is the model's end of sequence.
    order = [special[0], "<|b|>", "<|e|>", *special[1:], *single]
    source["model"] |= {"vocab": {token: id for id, token in enumerate(order)}, "merges": []}
    for token in source["added_tokens"]:
        token["id"] = order.index(token["content"])
    assert len(order) <= 288
    (folder / "tokenizer.json").write_text(json.dumps(source))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    return folder


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    place = tmp_path_factory.mktemp("families")
    folders = {name: with_tokenizer(name, place / name) for name in FAMILIES}
    fleet = Fleet(place / "fleet", folders[FAMILIES[0]])
    try:
        for name, folder in folders.items():
            fleet.coordinator.add_model(folder, name)
        fleet.worker("ada")
        fleet.worker("grace")
        yield fleet, folders
    finally:
        fleet.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_is_verified_and_equals_a_local_run(families, name):
    fleet, folders = families
    prompts = {f"p{i}": f"Say {i} {'word ' * i}" for i in range(6)}
    lines = [chat_line(id, prompt, model=name, max_tokens=12) for id, prompt in prompts.items()]
    batch = wait(fleet.client(), submit(fleet.client(), lines))
    assert batch.status == "completed" and batch.request_counts.failed == 0
    answered = answers(fleet.client(), batch)
    for id, prompt in prompts.items():
        assert answered[id]["response"]["body"]["tally"]["verification"] == "quorum"
        local = tally("generate", "--model", folders[name], "--max-tokens", "12", "--json", prompt)
        assert json.loads(local.stdout)["text"] == text(answered[id])


def test_rounded_weights_are_computed_and_verified(families, tmp_path):
    fleet, folders = families
    fleet.coordinator.add_model(folders["mixtral"], "mixtral-q8", "--quantize", "q8_0")
    models = json.loads(tally("model", "list", "--json", "--data", fleet.coordinator.data).stdout)
    [float_model] = [model for model in models if model["id"] == "mixtral"]
    [rounded] = [model for model in models if model["id"] == "mixtral-q8"]
    assert rounded["source"] == "mixtral as q8_0" and rounded["weight_bytes"] < 0.7 * float_model["weight_bytes"]
    lines = [chat_line(f"q{i}", f"Say {i}", model="mixtral-q8", max_tokens=12) for i in range(3)]
    batch = wait(fleet.client(), submit(fleet.client(), lines))
    assert batch.status == "completed" and batch.request_counts.failed == 0
    # The same rounding says how much worse the model has become.
    source = tmp_path / "text.txt"
    source.write_text("The quick brown fox jumps over the lazy dog. " * 4)
    options = ["perplexity", "--model", folders["mixtral"], source, "--context", "64", "--json"]
    exact, rounded = (
        json.loads(tally(*options, *more).stdout)["perplexity"] for more in ([], ["--quantize", "q8_0"])
    )
    assert exact != rounded and abs(rounded / exact - 1) < 0.05


def test_weights_that_are_quantised_already_are_not_rounded_again(tmp_path):
    shown = tally("model", "add", DEMO_MODEL, "--quantize", "q8_0", "--data", tmp_path / "data", check=False)
    assert shown.returncode == 1 and "no float weights" in shown.stderr


def test_what_a_model_takes_is_shown(families):
    _, folders = families
    shown = tally("model", "inspect", folders["deepseek_v3_fp8"]).stdout
    assert "2 of 4 experts of 144 + 144" in shown and "4 heads on 32+16 latent" in shown
    assert "F8_E4M3" in shown and "for each token" in shown


@pytest.mark.parametrize(
    ("setting", "value"), [("value_residual", 0.5), ("n_group", 3), ("num_experts_per_tok", 9), ("rope_theta", "x")]
)
def test_a_setting_that_is_not_understood_is_named(families, setting, value, tmp_path):
    _, folders = families
    folder = shutil.copytree(folders["deepseek_v3_fp8"], tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config.pop("rope_parameters")
    (folder / "config.json").write_text(json.dumps(config | {setting: value}))
    refused = tally("model", "inspect", folder, check=False)
    assert refused.returncode == 1 and "config.json" in refused.stderr
    assert setting in refused.stderr or "experts" in refused.stderr
