"""Tiny models of the transformers library, with tokenizers, as they lie in folders of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

GOOD = ("fine", "lovely", "superb", "great", "wonderful")
BAD = ("awful", "dull", "poor", "boring", "terrible")
REST = ("the", "film", "was", "a", "story", "and", "actors", "were", "music", "very", "not", "##s")
TEXTS = [
    f"The {thing} was {word}, and the {other} {word}!"
    for word in (*GOOD, *BAD)
    for thing, other in (("film", "story"), ("music", "actors"))
]
LABELS = ["good" if any(word in text for word in GOOD) else "bad" for text in TEXTS]
ODD = ["", "film", "Ünïcode — café naïve", "the film " * 40, "unknownwordsare xyzzy, 東京 [UNK]"]

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32}  # fmt: skip
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**SMALL, "max_position_embeddings": 40},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
                   "max_position_embeddings": 40},
    "roberta": {**SMALL, "max_position_embeddings": 42, "bos_token_id": 0, "pad_token_id": 1,
                "eos_token_id": 2},
    "electra": {**SMALL, "embedding_size": 8, "max_position_embeddings": 40},
}  # fmt: skip


def write_csv(path: Path, texts: list[str] = TEXTS, labels: list[str] = LABELS) -> Path:
    """Texts and labels as a table."""
    lines = [f'"{text}",{label}' for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return path


def word_pieces(folder: Path, form: str = "tokenizer.json") -> None:
    """BERT's kind of tokenizer."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "!", "—", "[", "]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    words = [*marks, *GOOD, *BAD, *REST[:-1], *letters]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    if form == "tokenizer.json":
        from transformers import BertTokenizer

        BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
        (folder / "vocab.txt").unlink(missing_ok=True)


def byte_pairs(folder: Path, special: list[str], form: str = "tokenizer.json") -> None:
    """The kind of GPT-2 and, with its special tokens, of RoBERTa."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Tokenizer, RobertaTokenizer

    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(TEXTS, vocab_size=300, special_tokens=special, show_progress=False)
    learned.save_model(str(folder))
    if form == "tokenizer.json":
        kind = RobertaTokenizer if "<s>" in special else GPT2Tokenizer
        kind.from_pretrained(folder, local_files_only=True).save_pretrained(folder)


def tokenizer_for(kind: str, folder: Path, form: str = "tokenizer.json") -> None:
    """The tokenizer of a kind of model."""
    if kind == "roberta":
        byte_pairs(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], form)
    elif kind == "gpt2":
        byte_pairs(folder, ["<|endoftext|>"], form)
    else:
        word_pieces(folder, form)


def tokens_in(folder: Path) -> int:
    """How many tokens its tokenizer has."""
    from glassnet.data import tokenizerfiles

    return len(tokenizerfiles.read(folder))


def save_encoder(
    folder: Path, kind: str = "bert", auto: str = "AutoModelForMaskedLM", **config: Any
) -> Any:
    """Write a model with random weights that matter, and return it."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_for(kind, folder)
    settings = {**ENCODERS[kind], "vocab_size": tokens_in(folder), **config}
    torch.manual_seed(1)
    made = transformers.AutoConfig.for_model(kind, **settings)
    model = scrambled(getattr(transformers, auto).from_config(made))
    model.save_pretrained(folder)
    return model


def save_gpt2(folder: Path, *, heads: int = 2, spare: int = 0, **config: Any) -> Any:
    """Write a GPT-2 with random weights, and return it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_for("gpt2", folder)
    size = tokens_in(folder) + spare
    settings = GPT2Config(vocab_size=size, n_layer=2, n_head=heads, n_embd=16, n_positions=32,
                          bos_token_id=0, eos_token_id=0, **config)  # fmt: skip
    model = scrambled(GPT2LMHeadModel(settings))
    model.save_pretrained(folder)
    return model


def scrambled(model: Any) -> Any:
    """Give every number a value that matters, so that no layer can be passed over."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            centre = 1.0 if tensor.ndim == 1 and "bias" not in name else 0.0
            tensor.copy_(centre + 0.3 * torch.randn(tensor.shape, generator=random))
    return model.eval()


def with_transformers(folder: Path, texts: list[str], longest: int) -> dict[str, Tensor]:
    """The tokens of texts as the library itself prepares them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return dict(
        tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    )
