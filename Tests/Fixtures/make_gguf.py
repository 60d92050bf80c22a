"""Makes GGUF files of tiny models with llama.cpp's own converter, beside the models they are of:

    pip download --no-deps --no-binary llama-cpp-python --no-build-isolation llama-cpp-python==0.3.36
    pip install torch==2.13.0 transformers==5.23.0 safetensors
    python make_gguf.py LLAMA_CPP FOLDER [NAME ...]

LLAMA_CPP is the folder with convert_hf_to_gguf.py, which that package's source has in vendor/llama.cpp. For each
FOLDER/models/NAME a FOLDER/gguf/NAME.gguf is made, which gives the same logits unless the format has no place for a
setting. The models have no tokenizer: tokens get numbers for names.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path


def load_converter(folder):
    sys.path[:0] = [str(folder), str(folder / "gguf-py")]
    import conversion
    import convert_hf_to_gguf
    from conversion import base

    conversion.load_all_models()

    def set_vocab(self):
        count = self.hparams["vocab_size"]
        self.gguf_writer.add_tokenizer_model("gpt2")
        self.gguf_writer.add_tokenizer_pre("llama-bpe")
        self.gguf_writer.add_token_list([f"<t{i}>" for i in range(count)])
        self.gguf_writer.add_token_types([1] * count)
        self.gguf_writer.add_token_merges(["< t"])

    def patch(kind):
        kind.set_vocab = set_vocab
        for sub in kind.__subclasses__():
            patch(sub)

    patch(base.ModelBase)
    return convert_hf_to_gguf


def as_published(config):
    """The configuration with what the converter reads of published ones and transformers does not write."""
    if config["model_type"] != "mimo_v2_flash":
        return config
    full, local = (config["rope_parameters"][kind] for kind in ("full_attention", "sliding_attention"))
    return {
        "swa_num_key_value_heads": 2 * config["num_key_value_heads"]
    } | config | {
        "swa_head_dim": config["head_dim"],
        "swa_num_attention_heads": config["num_attention_heads"],
        "swa_v_head_dim": config["v_head_dim"],
        "topk_method": "noaux_tc",
        "hybrid_layer_pattern": [int(kind == "sliding_attention") for kind in config["layer_types"]],
        "layernorm_epsilon": config["rms_norm_eps"],
        "partial_rotary_factor": full["partial_rotary_factor"],
        "rope_theta": full["rope_theta"],
        "swa_rope_theta": local["rope_theta"],
        "rope_parameters": config["rope_parameters"] | {"partial_rotary_factor": full["partial_rotary_factor"]},
    }


def convert(converter, model, target):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / model.name
        shutil.copytree(model, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(as_published(config)))
        if not (folder / "tokenizer.json").exists():
            vocabulary = {f"<t{i}>": i for i in range(config["vocab_size"])}
            (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": []}))
        # There are no layers that foresee more than the next token.
        foresees = config["model_type"].startswith(("qwen3_5", "qwen3_next", "mimo"))
        options = ["--no-mtp"] if foresees else []
        sys.argv = ["convert", str(folder), "--outtype", "bf16", "--outfile", str(target), *options]
        converter.main()


if __name__ == "__main__":
    converter, place, names = load_converter(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    (place / "gguf").mkdir(exist_ok=True)
    for source in sorted((place / "models").iterdir()):
        if not names or source.name in names:
            convert(converter, source, place / "gguf" / f"{source.name}.gguf")
