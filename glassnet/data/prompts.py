"""The beginning of a text to be continued, typed or from a file; and tokens back to text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glassnet.data import documents, textfolders
from glassnet.data.corpus import CorpusFacts
from glassnet.data.tokens import PAD, UNKNOWN, Vocabulary, normal
from glassnet.errors import UserError


def read(raw: Any) -> list[str]:
    """A prompt, several of them, or a file in which each line that is not empty is one.

    Raises:
        UserError: If it is none of these.
    """
    if isinstance(raw, Path):
        return _lines(raw)
    if isinstance(raw, str):
        path = Path(raw) if len(raw) < 1000 and "\n" not in raw and raw else None
        if path is not None and path.is_file():
            return _lines(path)
        if path is not None and documents.is_text(raw) and not any(map(str.isspace, raw)):
            raise UserError(f"There is no file {raw}. Give a file of prompts, or a prompt.")
        return [raw]
    if isinstance(raw, Sequence) and all(isinstance(one, str) for one in raw):
        return list(raw)
    raise UserError(
        f"A prompt is a text, a list of texts, or a file with one in each line; found {raw!r:.80}."
    )


def _lines(path: Path) -> list[str]:
    try:
        with documents.opened(path) as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from None
    found = [line for line in textfolders.lines(text) if line.strip()]
    if not found:
        raise UserError(f"{path} is empty. Expected a prompt in each line.")
    return found


def encode(prompt: str, facts: CorpusFacts) -> list[int]:
    """The tokens to begin with; at least one.

    An empty prompt begins a new document, or a new line where the text is a single one.

    Raises:
        UserError: If it has characters that the training text had not.
    """
    vocabulary = facts.vocabulary
    found = [] if facts.many is False else [vocabulary.end]
    known = vocabulary.encode([prompt])[0].tolist()
    if vocabulary.unknown is not None and vocabulary.unknown in known:
        raise UserError(_unknown(prompt, vocabulary))
    if not known and not facts.many:
        known = vocabulary.encode(["\n"])[0].tolist()
        if not known or vocabulary.unknown in known:
            known = [vocabulary.end]
    return [token for token in [*found, *known] if token is not None]


def _unknown(prompt: str, vocabulary: Vocabulary) -> str:
    text = normal(prompt, vocabulary.lowercase)
    found = Counter(sign for sign in text if UNKNOWN in vocabulary.encode([sign])[0])
    named = ", ".join(f"{sign!r}" for sign in list(found)[:10])
    return (
        f"The prompt has characters that the training text has not: {named}. Leave them out, or "
        "train with --units bytes or subwords, which know all."
    )


def never(facts: CorpusFacts) -> list[int]:
    """Tokens that are not text; the end of a document is, where there are several."""
    special = {facts.vocabulary.pad, facts.vocabulary.unknown, facts.vocabulary.begin}
    special |= {PAD} if facts.vocabulary.unit in ("characters", "bytes") else set()
    special |= {facts.vocabulary.end}
    special -= {facts.vocabulary.end} if facts.many else set()
    return sorted(token for token in special if token is not None)


def texts_of(tokens: Iterable[int], facts: CorpusFacts) -> Iterator[str]:
    """Text as its tokens come, up to the end of the document; never half of a character."""
    held: list[int] = []
    for token in tokens:
        if facts.many and token == facts.vocabulary.end:
            break
        held.append(token)
        text = facts.vocabulary.decode(held)
        if not text.endswith("\N{REPLACEMENT CHARACTER}") or len(held) >= 4:
            yield text
            held = []
    if held:
        yield facts.vocabulary.decode(held)
