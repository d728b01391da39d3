"""Published tokenizers, as vocabularies: read from the folder of a model, or from a run's.

What is read, the first that is there: ``facts.json`` of a run of ours; ``tokenizer.json`` of the
library ``tokenizers``; ``vocab.txt``, the word pieces of BERT and its kin; ``vocab.json`` with
``merges.txt``, the byte pairs of GPT-2 and RoBERTa; models of sentencepiece, which the library
transformers turns into the first form. Nothing in them is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from glassnet import jsonfile
from glassnet.data.tokens import Vocabulary
from glassnet.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOLD = ("special_tokens_map.json", "tokenizer_config.json")
"""Where the special tokens are named; the later file is right where both say something."""
_USUAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "bos_token": ("<s>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|endoftext|>"),
}
"""How special tokens are called if nobody says."""
_PROBE = "a"
_FEW = 50
"""Tokens; transformers makes an empty tokenizer of a file that it does not look into."""


def read(folder: Path) -> Vocabulary:
    """The vocabulary that belongs to the weights in a folder.

    Raises:
        UserError: If there is none, or it is damaged, or needs a library that is not installed.
    """
    if (folder / "facts.json").is_file():
        return _of_run(folder)
    for name, reader in READERS.items():
        if (folder / name).is_file():
            return _vocabulary(folder, _guarded(reader, folder, name))
    raise UserError(
        f"{folder} holds no tokenizer, and without the one that they learned with, the weights "
        f"mean nothing: expected one of {', '.join(READERS)}. Copy it from the page of the model, "
        "with tokenizer_config.json."
    )


def read_if(folder: Path | None) -> Vocabulary | None:
    """The same, if there are first weights at all."""
    return None if folder is None else read(folder)


def _vocabulary(folder: Path, tokenizer: Tokenizer) -> Vocabulary:
    """What a tokenizer says, in our words."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    told = _special(folder)

    def number(*roles: str) -> int | None:
        names = [name for role in roles for name in (told.get(role) or _USUAL[role])]
        return next((n for name in names if (n := tokenizer.token_to_id(name)) is not None), None)

    begin, end = number("bos_token", "cls_token"), number("eos_token", "sep_token")
    pad = number("pad_token")
    if pad is None:  # decoders have none: what fills up is behind all that is read
        pad = end or 0
    model = json.loads(tokenizer.to_str())["model"]
    # Byte pairs know every byte: what is named "unknown" there has another purpose.
    knows_all = model["type"] == "BPE" and model.get("unk_token") is None
    probe = tokenizer.encode(_PROBE, add_special_tokens=True)
    inner = [place for place, added in enumerate(probe.special_tokens_mask) if not added]
    if not inner:
        raise UserError(
            f"The tokenizer in {folder} makes nothing of the text {_PROBE!r}: it is empty or "
            "damaged. Fetch it again."
        )
    return Vocabulary(
        unit="subwords",
        model=tokenizer.to_str(),
        pad=pad,
        unknown=None if knows_all else number("unk_token"),
        begin=begin,
        end=end,
        as_is=True,
        before=tuple(probe.ids[: inner[0]]),
        after=tuple(probe.ids[inner[-1] + 1 :]),
    )


def _of_run(folder: Path) -> Vocabulary:
    facts = jsonfile.read(folder / "facts.json")
    try:
        return Vocabulary.model_validate(facts["vocabulary"])
    except KeyError:
        raise UserError(
            f"{folder} is a run that does not read texts: it has no vocabulary. Give a run that "
            "was trained on texts."
        ) from None
    except ValidationError as error:
        raise UserError(
            f"The vocabulary in {folder / 'facts.json'} is damaged: {error.errors()[0]['msg']}."
        ) from None


# --- Forms ----------------------------------------------------------------------------------------


def _complete(folder: Path) -> Tokenizer:
    """``tokenizer.json``: all is said in it."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _word_pieces(folder: Path) -> Tokenizer:
    """``vocab.txt``: a token a line (Devlin et al. 2019; Wu et al. 2016, section 4.1)."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    # Some lists hold what else Python takes for the end of a line, such as U+2028, as a token.
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    numbers = {line: number for number, line in enumerate(lines)}
    special = {role: _named(folder, role, numbers) for role in list(_USUAL)[:4]}
    config = jsonfile.read(folder / "tokenizer_config.json")
    plain = (line for line in numbers if line not in special.values() and line[:1] != "[")
    # Nobody says in old repositories, and a list without a capital letter cannot have kept them.
    lower = config.get("do_lower_case", not any(line != line.lower() for line in plain))
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lower,
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, numbers[cls]), (sep, numbers[sep])]
    )
    tokenizer.add_special_tokens([*special.values(), *(["[MASK]"] if "[MASK]" in numbers else [])])
    return tokenizer


def _byte_pairs(folder: Path) -> Tokenizer:
    """``vocab.json`` and ``merges.txt``: pairs of bytes, and of pairs (Radford et al. 2019)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    if not (folder / "merges.txt").is_file():
        raise UserError(f"{folder} holds vocab.json without merges.txt: copy that, too.")
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    tokenizer = Tokenizer(models.BPE.from_file(*files))
    config = jsonfile.read(folder / "tokenizer_config.json")
    space = config.get("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    numbers = jsonfile.read(folder / "vocab.json")
    if all(name in numbers for name in ("<s>", "</s>")):  # RoBERTa's; GPT-2 has neither
        begin, end = ("<s>", numbers["<s>"]), ("</s>", numbers["</s>"])
        tokenizer.post_processor = processors.RobertaProcessing(end, begin, add_prefix_space=space)
    known = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>")
    tokenizer.add_special_tokens([name for name in known if name in numbers])
    return tokenizer


def _sentencepiece(folder: Path) -> Tokenizer:
    """A model of sentencepiece, by transformers, which writes it as ``tokenizer.json`` would be."""
    try:
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer

        made = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        found = Tokenizer.from_str(made.backend_tokenizer.to_str())
        if found.get_vocab_size(with_added_tokens=False) < _FEW:
            raise ValueError("its tokens were not found")
    except Exception as error:  # each kind raises its own
        raise UserError(
            f"The tokenizer in {folder} is a model of sentencepiece, which could not be converted "
            f"({_first_line(error)}). `pip install 'glassnet[transformers]' sentencepiece protobuf`"
            " converts it; or write tokenizer.json there, on a machine that has them, by "
            "`transformers.AutoTokenizer.from_pretrained(…).save_pretrained(…)`."
        ) from None
    return found


READERS: Mapping[str, Callable[[Path], Any]] = {
    "tokenizer.json": _complete,
    "vocab.txt": _word_pieces,
    "vocab.json": _byte_pairs,
    "spiece.model": _sentencepiece,
    "spm.model": _sentencepiece,
    "sentencepiece.bpe.model": _sentencepiece,
    "tokenizer.model": _sentencepiece,
}
"""Files by which a tokenizer is known, the best first."""


def _guarded(reader: Callable[[Path], Any], folder: Path, name: str) -> Any:
    """Run a reader; what it cannot read is told as such."""
    try:
        return reader(folder)
    except UserError:
        raise
    except Exception as error:  # the library raises plain Exceptions
        raise UserError(
            f"{folder / name} is damaged, or no tokenizer ({_first_line(error)}). Fetch it again."
        ) from None


# --- Special tokens -------------------------------------------------------------------------------


def _special(folder: Path) -> dict[str, list[str]]:
    """What the files beside a tokenizer call its special tokens: role -> name."""
    found: dict[str, list[str]] = {}
    for file in _TOLD:
        for role, said in jsonfile.read(folder / file).items():
            name = said.get("content") if isinstance(said, Mapping) else said
            if role in _USUAL and isinstance(name, str):
                found[role] = [name]
    return found


def _named(folder: Path, role: str, numbers: Mapping[str, int]) -> str:
    """The name of a special token that a list of words must have."""
    names = _special(folder).get(role) or _USUAL[role]
    for name in names:
        if name in numbers:
            return name
    raise UserError(
        f"{folder / 'vocab.txt'} lacks the {role.partition('_')[0]} token: expected a line "
        f"{' or '.join(names)}. Fetch it again."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
