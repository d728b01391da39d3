"""Raw sentences that are to be translated -> tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassnet import references
from glassnet.data import pairfiles
from glassnet.data.tokens import END
from glassnet.errors import UserError
from glassnet.progress import warn
from glassnet.task import Problem

if TYPE_CHECKING:
    from glassnet.data.pairs import PairFacts

LONGEST_NAME = 255


def encoded(texts: Sequence[str], facts: PairFacts) -> list[list[int]]:
    """The tokens of each text with its end; what is too long is cut."""
    most = facts.longest - 1
    return [[*found[:most].tolist(), END] for found in facts.vocabulary.encode(texts)]


def read_raw(raw: Any, facts: PairFacts) -> list[str]:
    """Sentences from one string, several, or the lines of a text file; blank ones stay, empty.

    Raises:
        UserError: If it is none of them, or a file that is empty or not UTF-8.
    """
    names, texts = _texts(raw)
    texts = [text.strip() for text in texts]
    if not any(texts):
        raise UserError(f"{names[0] if names else raw!r} holds no text to translate.")
    warn([*_unknown(names, texts, facts), *_too_long(names, texts, facts)])
    return texts


def _texts(raw: Any) -> tuple[list[str], list[str]]:
    if isinstance(raw, Path) or (isinstance(raw, str) and _is_file(raw)):
        path = Path(raw).expanduser()
        if not path.is_file():
            raise UserError(f"There is no file {path}. Give a sentence, or a text file.")
        lines = pairfiles.decoded(path).removesuffix("\n").split("\n")
        return [f"{path} line {number}" for number in range(1, len(lines) + 1)], lines
    texts = [raw] if isinstance(raw, str) else list(raw) if isinstance(raw, list | tuple) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            "Give a sentence, a list of sentences, or the path of a text file with one sentence "
            f"a line; found {type(raw).__name__}."
        )
    return [f"sentence {number}" for number in range(1, len(texts) + 1)], texts


def _is_file(text: str) -> bool:
    """Whether a string is the path of a file; one that looks like a path and is none is told."""
    if not text.strip():
        return False  # its path would be the folder that we are in
    if len(text) <= LONGEST_NAME and references.exists(Path(text).expanduser()):
        return True
    return " " not in text.strip() and text.lower().endswith((".txt", ".gz", ".tsv", ".csv"))


def _unknown(names: list[str], texts: list[str], facts: PairFacts) -> list[Problem]:
    """Texts with tokens that the training texts did not have."""
    number = facts.vocabulary.unknown
    found = [
        (name, int((tokens == number).sum()))
        for name, tokens in zip(names, facts.vocabulary.encode(texts), strict=True)
    ]
    odd = [(name, count) for name, count in found if count]
    if number is None or not odd:
        return []
    what = f"{sum(count for _, count in odd):,} {facts.vocabulary.unit} in {len(odd):,} texts"
    remedy = "each is read as unknown; --units subwords or bytes know every text"
    return [Problem(odd[0][0], f"{what} were never seen in training", remedy)]


def _too_long(names: list[str], texts: list[str], facts: PairFacts) -> list[Problem]:
    lengths = [len(tokens) + 1 for tokens in facts.vocabulary.encode(texts)]
    long = [name for name, length in zip(names, lengths, strict=True) if length > facts.longest]
    if not long:
        return []
    what = f"is longer than the {facts.longest} tokens that this run reads"
    more = f" ({len(long)} such texts)" if len(long) > 1 else ""
    return [Problem(long[0], what + more, "its end was not read; give it sentence by sentence")]
