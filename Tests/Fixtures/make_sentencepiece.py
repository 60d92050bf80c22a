"""Trains small SentencePiece models on texts of this checkout and writes what the library itself makes of some texts:

    pip install sentencepiece==0.2.1
    python make_sentencepiece.py Tests/Fixtures/sentencepiece
"""

import io
import json
import random
import sys
from pathlib import Path

import sentencepiece

ROOT = Path(__file__).parents[2]
MODELS = {
    # As Llama's and Mistral's.
    "bpe_bytes": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, vocab_size=700),
    # As Gemma's.
    "bpe_no_prefix": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False, split_digits=True, user_defined_symbols=["\n\n", "\t\t"], vocab_size=700),
    # As T5's.
    "unigram": dict(model_type="unigram", vocab_size=500),
    "unigram_bytes": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nfkc_cf", vocab_size=700),
    "bpe_unknown": dict(model_type="bpe", normalization_rule_name="nmt_nfkc", character_coverage=0.98, vocab_size=400),
}
TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  two  blanks  ", "Hello, world!", "The worker fetches missing chunks.", "\n\nlines\n\n",
    "tabs\t\tand\u00a0blanks\u3000wide", "naïve café — “quoted”", "ﬁne ﬂuid Ⅷ ① ㍿ ｆｕｌｌ", "ẞtraße ÅNGSTRÖM İstanbul", "日本語のテキスト", "🙂👩‍👩‍👧 emoji",
    "\u2581 a block \u2581", "x\u0000y\u200bz\ufeff", "e\u0301 o\u0308 \u1e9b\u0323", "1234567 3.14", "مرحبا بالعالم", "<0x41> <unk>?", "a" * 50, "ꙮ unknown ꙮꙮ runs", "def f(x):\n    return x ** 2\n",
]


def corpus():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("Sources/Kernels/*.md"), *sorted(ROOT.glob("Sources/Models/*.swift"))]:
        for line in path.read_text().splitlines():
            if line.strip():
                yield line


def main(folder):
    letters = [chr(c) for r in [(32, 127), (160, 600), (0x370, 0x400), (0x3041, 0x30ff)] for c in range(*r)]
    for name, settings in MODELS.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=corpus(), model_writer=model, num_threads=1, minloglevel=2, hard_vocab_limit=False, **settings
        )
        (place / "tokenizer.model").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        dice = random.Random(5)
        texts = TEXTS + ["".join(dice.choices(letters + [" "] * 40 + list("etaoin") * 8, k=dice.randrange(1, 60))) for _ in range(40)]
        cases = []
        for text in texts:
            ids = processor.encode(text)
            cases.append({"text": text, "ids": ids, "decoded": processor.decode([i for i in ids if not processor.is_unknown(i)])})
        (place / "cases.json").write_text(json.dumps(cases, ensure_ascii=True, indent=0))
        print(name, processor.vocab_size(), len(model.getvalue()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
