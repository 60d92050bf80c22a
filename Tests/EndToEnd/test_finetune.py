"""Fine-tuning on one machine, as a newcomer does it: from lines of JSON to an adapter that changes the answers."""

import json

import pytest

from processes import tally
from tiny_model import write_tiny_model

SAYINGS = ["Look before you leap.", "Haste makes waste.", "Still waters run deep.", "Time will tell.", "Less is more."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder)
    return folder


def write_examples(path, count=12):
    lines = [
        {"messages": [{"role": "user", "content": f"Saying {index % 5}?"}, {"role": "assistant", "content": SAYINGS[index % 5]}]}
        for index in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def finetune(model, data, output, *options, environment=None):
    done = tally(
        "finetune", data, "--model", model, "--output", output, "--learning-rate", "0.01", "--rank", "4", "--json", *options,
        environment=environment)
    return json.loads(done.stdout)


def test_what_is_learnt_is_said_better(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    report = finetune(model, data, tmp_path / "adapter", "--epochs", "12", "--validation", data)
    assert report["loss_after"] < 0.7 * report["loss_before"]
    assert report["steps"] == 36 and report["examples"] == report["held_out_examples"] == 12
    assert 0 < report["learnt_tokens"] < report["tokens"]
    curve = (tmp_path / "adapter" / "training.csv").read_text().splitlines()
    assert curve[0].startswith("step,epoch,train_loss") and len(curve) == 37

    text = tmp_path / "text"
    text.write_text(" ".join(SAYINGS * 20))

    def perplexity(*options):
        done = tally("perplexity", "--model", model, text, "--context", "64", "--json", *options)
        return json.loads(done.stdout)["perplexity"]

    assert perplexity("--adapter", tmp_path / "adapter") < perplexity()

    def answer(*options):
        return tally("generate", "--model", model, "--temperature", "0", "--max-tokens", "12", "Saying 2?", *options).stdout

    assert answer("--adapter", tmp_path / "adapter") != answer()


def test_the_best_epoch_is_kept(model, tmp_path):
    """What is learnt says nothing about what is held out, so that more of it soon does harm."""
    data = write_examples(tmp_path / "data.jsonl")
    held = tmp_path / "held.jsonl"
    held.write_text(json.dumps({"text": "9 8 7 6 5 4 3 2 1 0 " * 4}) + "\n")
    report = finetune(model, data, tmp_path / "adapter", "--epochs", "40", "--validation", held, "--patience", "2")
    assert 1 <= report["best_epoch"] < 40 and report["steps"] == 3 * (report["best_epoch"] + 2)
    assert len((tmp_path / "adapter" / "training.csv").read_text().splitlines()) == 1 + report["steps"]
    short = finetune(model, data, tmp_path / "short", "--epochs", report["best_epoch"], "--validation", held)
    assert short["loss_after"] == report["loss_after"]
    kept = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    assert kept == (tmp_path / "short" / "adapter_model.safetensors").read_bytes()


def test_adapters_are_the_same_bytes_on_every_machine(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    runs = [
        (["--threads", "1"], {}), (["--threads", "3", "--keep-megabytes", "0"], {}),
        (["--threads", "2"], {"TALLY_CPU": "scalar"}), (["--no-packed-cache"], {}),
    ]
    adapters = []
    for index, (options, environment) in enumerate(runs):
        finetune(model, data, tmp_path / str(index), "--epochs", "1", *options, environment=environment)
        adapters.append((tmp_path / str(index) / "adapter_model.safetensors").read_bytes())
    assert all(adapter == adapters[0] for adapter in adapters)
    finetune(model, data, tmp_path / "seed", "--epochs", "1", "--seed", "1")
    assert (tmp_path / "seed" / "adapter_model.safetensors").read_bytes() != adapters[0]


def test_a_folder_has_what_peft_reads(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    finetune(
        model, data, tmp_path / "adapter", "--epochs", "1", "--targets", "q_proj, down_proj", "--alpha", "6", "--rank-stabilised")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["task_type"] == "CAUSAL_LM"
    assert config["target_modules"] == ["down_proj", "q_proj"]
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 6, True)
    content = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"] == {"format": "pt"}
    assert header["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"]["shape"] == [4, 64]
    assert header["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]["shape"] == [32, 4]


def test_a_dry_run_says_what_it_would_take(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    before = set(tmp_path.iterdir())
    done = tally("finetune", data, "--model", model, "--dry-run")
    assert "would take about" in done.stdout and "of memory" in done.stdout and "examples" in done.stdout
    report = json.loads(tally("finetune", data, "--model", model, "--dry-run", "--json").stdout)
    assert report["estimated_seconds"] >= 0 and report["peak_memory_bytes"] > 0 and "adapter" not in report
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ('{"text": "fine"}\n{"messages": []}\n{"text": 3}\n', [], ["line 2", "line 3"]),
        ("", [], ["there is no example"]),
        ('{"text": "fine"}\n', ["--rank", "0"], ["--rank takes 1"]),
        ('{"text": "fine"}\n', ["--targets", "q_proj,lm_head"], ["there is no lm_head", "down_proj"]),
        ('{"text": "fine"}\n', ["--learning-rate", "0"], ["--learning-rate takes more than 0"]),
    ])
def test_what_is_wrong_is_named(model, tmp_path, content, options, message):
    data = tmp_path / "data.jsonl"
    data.write_text(content)
    done = tally("finetune", data, "--model", model, "--output", tmp_path / "adapter", *options, check=False)
    assert done.returncode != 0
    for part in message:
        assert part in done.stderr
    assert "Fatal" not in done.stderr


def test_a_folder_that_is_not_empty_stays_as_it_is(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine").write_text("keep")
    done = tally("finetune", data, "--model", model, "--output", tmp_path / "adapter", check=False)
    assert done.returncode == 1 and "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == ["mine"]


def test_an_adapter_of_another_model_is_refused(model, tmp_path):
    write_tiny_model(tmp_path / "other", hidden=64)
    data = write_examples(tmp_path / "data.jsonl")
    finetune(model, data, tmp_path / "adapter", "--epochs", "1")
    done = tally("generate", "--model", tmp_path / "other", "--adapter", tmp_path / "adapter", "hello", check=False)
    assert done.returncode == 1 and "the adapter of" in done.stderr


def test_an_adapter_is_shown_and_merged(model, tmp_path):
    data = write_examples(tmp_path / "data.jsonl")
    finetune(model, data, tmp_path / "adapter", "--epochs", "4")
    shown = tally("adapter", "show", tmp_path / "adapter").stdout
    assert f"for {model}" in shown and "q_proj" in shown and "rank 4, alpha 8" in shown
    report = json.loads(tally("adapter", "show", tmp_path / "adapter", "--json").stdout)
    assert report["layers"] == 2 and report["ranks"] == [4] and report["parameters"] > 0
    tally("adapter", "merge", tmp_path / "adapter", "--model", model, "--output", tmp_path / "merged")
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {path.name for path in model.iterdir()}

    def answer(*options):
        return tally("generate", "--temperature", "0", "--max-tokens", "12", "Saying 2?", *options).stdout

    adapted = answer("--model", model, "--adapter", tmp_path / "adapter")
    assert answer("--model", tmp_path / "merged") == adapted != answer("--model", model)
    again = tally("adapter", "merge", tmp_path / "adapter", "--model", model, "--output", tmp_path / "merged", check=False)
    assert again.returncode == 1 and "is not empty" in again.stderr
    other = tally("adapter", "merge", tmp_path / "adapter", "--model", data, "--output", tmp_path / "no", check=False)
    assert other.returncode == 1 and "no Hugging Face folder" in other.stderr
