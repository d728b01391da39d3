"""Running text as a source: a file, a folder of them, or one document in each line.

The rows of the source are stretches of the text. One text is cut in order: training first, test
last, since neighbouring stretches are not independent (they share names, speakers and subjects, and
a stretch drawn at random would be flanked by what was learned). Of many documents whole ones are
drawn at random. Tokens are kept in memory, or, of a large text, in a file that is mapped into it.

Legend: N rows.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from glassnet.data import documents, shelf, tokencache, tokens
from glassnet.data.documents import Documents, Stretches, Text
from glassnet.data.keeping import SHARE, memory
from glassnet.data.running import MANY
from glassnet.data.stretches import BlockExamples, blocks
from glassnet.data.tokens import Vocabulary
from glassnet.errors import UserError
from glassnet.progress import tell
from glassnet.task import Facts, Problem

Units = Annotated[
    Literal["characters", "bytes", "subwords"],
    Field(
        description="What a token is. characters: for small texts. bytes: any text at all. "
        "subwords: frequent words whole, rare ones in pieces; for texts above some megabytes."
    ),
]
Cache = Annotated[
    Literal["auto", "memory", "disk"],
    Field(
        description="Where tokens are kept: in memory, or once for all runs in ~/.cache/glassnet, "
        "from where a text larger than the memory is read. auto: on the disk from 64 MB of text."
    ),
]
PerEpoch = Annotated[
    int | None,
    Field(
        ge=1,
        description="Tokens in an epoch, spread over the whole text, at other places in each "
        "epoch. Set it for large texts, to be validated more often; recurrent networks then carry "
        "no memory from batch to batch. Unset: all.",
    ),
]
Lines = Annotated[
    Documents | None,
    Field(
        description="What is a text of its own: each line, as in a list of names, or each file. "
        "Unset: lines, where hardly any is empty; files else, and for programs."
    ),
]

STRETCHES = 2000
"""About so many rows one long text has, of 200 bytes to a million each."""
LARGE = 64 * 2**20
"""Bytes from which on tokens are kept on the disk: tokenizing takes from 1 s (characters) to 30 s
(subwords), and would else be done again by each run, evaluation and resume."""
LEARNED_FROM = 128 * 2**20
"""Bytes of training text from which subwords are learned, spread evenly over it."""
VERSION = 2
"""To be raised when the same text gives other tokens."""


class CorpusFacts(Facts):
    """What turns text into tokens and tokens into text."""

    kind: Literal["corpus"] = "corpus"
    vocabulary: Vocabulary
    context: int
    """Tokens of a block."""
    many: bool
    """Whether there are several documents; each of them is followed by the END token."""
    characters: int
    """Of the training text."""


def open_corpus(
    path: str | Path,
    *,
    context: int,
    units: Units = "characters",
    vocabulary: int | None = None,
    lines: Documents | None = None,
    shares: tuple[float, float] = (0.1, 0.1),
    seed: int = 0,
    per_epoch: int | None = None,
    cache: Cache = "auto",
    given: Callable[[], Vocabulary | None] = lambda: None,
) -> Corpus:
    """Open a text.

    Args:
        path: A file, or a folder of files and folders.
        context: Tokens of a block.
        units: What a token is.
        vocabulary: The most tokens, for subwords; None: from the size of the text.
        lines: What a document is; None: found out by looking.
        shares: Of the test in all, and of validation in what is left.
        seed: For drawing documents.
        per_epoch: Tokens in an epoch, at most; None: all.
        cache: Where tokens are kept; auto: on the disk if there are many.
        given: Asked for a vocabulary when one is to be learned; None: it is learned.

    Raises:
        UserError: If there is no text, or bytes are no text.
    """
    form = units, vocabulary
    opened = Corpus(Path(path), context, form, lines, shares, seed, per_epoch, cache)
    opened.given = given
    return opened


class Corpus:
    """A text, of which nothing has been learned yet."""

    def __init__(
        self,
        path: Path,
        context: int,
        form: tuple[Units, int | None],
        lines: Documents | None,
        shares: tuple[float, float],
        seed: int,
        per_epoch: int | None,
        cache: Cache,
    ) -> None:
        self.path, self.context, self.per_epoch, self.cache = path, context, per_epoch, cache
        self.units, self.size = form
        self.given: Callable[[], Vocabulary | None] = lambda: None
        self.problems: list[Problem] = []
        self.texts, self.lines = documents.scan(path, lines)
        docs = documents.whole(self.texts, self.lines)
        self.many = len(docs) > 1
        self.where, self.parts = divided(self.texts, docs, shares, seed)
        about = [VERSION, self.lines, [(text.name, text.digest) for text in self.texts]]
        self.fingerprint = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
        if lines is None and self.lines == "line":
            what = "every line is taken as a text of its own, since hardly any line is empty"
            remedy = "if they belong together, say so by --documents file"
            self.problems.append(Problem(str(path), what, remedy, "documents", "note"))

    def __len__(self) -> int:
        return len(self.where)

    @property
    def strata(self) -> None:
        """Text has no classes."""
        return None

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    def name(self, row: int, /) -> str:
        """The file and the line, or the bytes, of a stretch."""
        text = self.texts[int(self.where.file[row])]
        begin, end = int(self.where.begin[row]), int(self.where.end[row])
        if self.lines == "line":
            return f"{text.name}, line {int(np.searchsorted(text.lines, begin, 'right')):,}"
        return f"{text.name}, bytes {begin:,} to {end:,}"

    def facts(self, rows: Tensor, /) -> CorpusFacts:
        """Learn the vocabulary from the rows."""
        chosen = rows.numpy()
        if (given := self.given()) is not None:
            characters = sum(len(text) for texts in self._read(chosen, "reading") for text in texts)
            return CorpusFacts(
                vocabulary=given, context=self.context, many=self.many, characters=characters
            )
        size = int((self.where.end[chosen] - self.where.begin[chosen]).sum())
        self._require_room(size)
        characters = 0

        def read(of: NDArray[np.int64]) -> Iterator[str]:
            nonlocal characters
            for texts in self._read(of, "learning the vocabulary"):
                characters += sum(map(len, texts))
                yield from texts

        if self.units == "subwords" and size > LEARNED_FROM:
            chosen = chosen[:: -(-size // LEARNED_FROM)]
        wanted = self.size or usual_size(size)
        learned = tokens.learn(read(chosen), self.units, size=wanted)
        if self.units == "bytes":
            characters = size
        if self.units == "subwords" and self.size and len(learned) < self.size:
            what = f"gives {len(learned):,} subwords that occur twice, not {self.size:,}"
            remedy = "they are all used; a smaller --vocabulary changes more"
            self.problems.append(Problem(str(self.path), what, remedy, "vocabulary", "note"))
        return CorpusFacts(
            vocabulary=learned, context=self.context, many=self.many, characters=characters
        )

    def _require_room(self, size: int) -> None:
        """Refuse a vocabulary that the text cannot fill."""
        if self.units == "subwords" and self.size is not None and self.size > size:
            raise UserError(
                f"vocabulary={self.size:,} is larger than the training text of {self.path}, which "
                f"has {size:,} bytes. Choose about {usual_size(size):,}, or --units characters."
            )

    def examples(self, rows: Tensor, facts: CorpusFacts, /) -> BlockExamples:
        """Tokenize these rows, and cut the tokens into blocks."""
        chosen = rows.numpy()
        breaks = self._breaks(chosen)
        kept, starts = self._tokens(chosen, breaks, facts)
        bounds = [*starts[np.flatnonzero(breaks)].tolist(), int(starts[-1])]
        segments = list(zip(bounds[:-1], bounds[1:], strict=True))
        training = [self.parts[row] == "train" for row in chosen[breaks].tolist()]
        spacing = self._spacing(segments, training)
        self._require_text(segments, training, facts)
        begin, first, end, known = blocks(
            segments, self.context, [spacing if t else self.context for t in training]
        )
        # The first token that a block predicts and no other does says which row it is of.
        places = np.searchsorted(starts, (begin + known + 1).numpy(), "right") - 1
        return BlockExamples(
            rows[torch.from_numpy(places.clip(max=len(chosen) - 1))],
            kept, begin, first, end, known, self.context, math.ceil(spacing), facts.vocabulary.pad,
        )  # fmt: skip

    def _breaks(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a row does not go on where the one before ended; documents follow each other."""
        parts = np.array(self.parts)[rows]
        joined = np.zeros(len(rows), np.bool_)
        follows = rows[1:] == rows[:-1] + 1
        documents_meet = self.where.last[rows[:-1]] & self.where.first[rows[1:]]
        joined[1:] = (parts[1:] == parts[:-1]) & (follows | documents_meet)
        return ~joined

    def _spacing(self, segments: Sequence[tuple[int, int]], training: Sequence[bool]) -> float:
        if self.per_epoch is None:
            return self.context
        total = sum(e - b for (b, e), train in zip(segments, training, strict=True) if train)
        wanted = max(1, self.per_epoch // self.context)
        return max(float(self.context), (total - 1) / wanted)

    def _require_text(
        self, segments: Sequence[tuple[int, int]], training: Sequence[bool], facts: CorpusFacts
    ) -> None:
        longest = max((e - b for (b, e), t in zip(segments, training, strict=True) if t), default=0)
        if any(training) and longest <= self.context:
            raise UserError(
                f"The training part of {self.path} has {longest:,} {facts.vocabulary.unit}, and a "
                f"block is {self.context + 1:,} (context={self.context:,}, and the one to be "
                "predicted). Set a smaller --context, or add text."
            )

    # --- Tokens -----------------------------------------------------------------------------------

    def _read(self, rows: NDArray[np.int64], what: str) -> Iterator[list[str]]:
        """The texts of the rows, some at a time."""
        done, total = 0, len(rows)
        for texts in documents.read(self.texts, self.where, rows):
            tell(what, done, total)
            done += len(texts)
            yield [text.rstrip("\n") for text in texts] if self.lines == "line" else texts
        tell(what, total, total)

    def _tokens(
        self, rows: NDArray[np.int64], breaks: NDArray[np.bool_], facts: CorpusFacts
    ) -> tokencache.Tokens:
        """All tokens of the rows, and where each row begins."""
        vocabulary, end = facts.vocabulary, np.array([facts.vocabulary.end], np.int32)
        # A document's end stands before the first one too: its first token is predicted from it.
        opens = breaks & self.where.first[rows] & self.many
        closes = self.where.last[rows] & self.many

        def pieces() -> Iterator[list[NDArray[np.int32]]]:
            row = 0
            for texts in self._read(rows, "tokenizing"):
                piece = vocabulary.encode(texts)
                for number, found in enumerate(piece):
                    if opens[row] or closes[row]:
                        ends = [end] * int(opens[row]), [end] * int(closes[row])
                        piece[number] = np.concatenate([*ends[0], found, *ends[1]])
                    row += 1
                yield piece

        dtype: tokencache.Whole = (
            np.int16 if len(vocabulary) <= np.iinfo(np.int16).max else np.int32
        )
        size = int((self.where.end[rows] - self.where.begin[rows]).sum())
        if self.cache == "memory" or (self.cache == "auto" and size < LARGE):
            return tokencache.in_memory(pieces, dtype)
        about = [VERSION, self.fingerprint, vocabulary.model_dump_json(), self.many]
        key = hashlib.sha256(json.dumps(about).encode())
        where = self.where
        columns: list[Any] = [where.file[rows], where.begin[rows], where.end[rows], breaks]
        key.update(np.stack(columns).tobytes())
        most = (size + 2 * len(rows)) * np.dtype(dtype).itemsize
        try:
            return tokencache.on_disk(key.hexdigest()[:32], pieces, dtype, most)
        except shelf.NoRoom as error:
            if self.cache == "disk" or most > SHARE * memory():
                raise UserError(
                    f"The tokens of {self.path} have no place: {error}. Raise "
                    f"{shelf.VARIABLE}, or free some disk."
                ) from None
            return tokencache.in_memory(pieces, dtype)


def usual_size(size: int) -> int:
    """How many subwords a text of ``size`` bytes is given.

    >>> [usual_size(10**n) for n in (4, 6, 8)]
    [300, 2000, 8000]
    """
    return min(8000, max(300, round(2 * math.sqrt(size))))


def divided(
    texts: list[Text], docs: Stretches, shares: tuple[float, float], seed: int
) -> tuple[Stretches, list[str]]:
    """Cut documents into rows, and say of each whether it is for training, validation or test."""
    sizes = docs.end - docs.begin
    total = int(sizes.sum())
    stretch = min(2**20, max(200, total // STRETCHES))
    test, validation = shares
    if len(docs) >= MANY:
        names = _drawn(sizes, test, validation, seed)
        where = documents.cut(texts, docs, stretch, [])
        document = where.first.cumsum() - 1
        return where, names[document].tolist()
    at = [int(total * (1 - test) * (1 - validation)), int(total * (1 - test))]
    where = documents.cut(texts, docs, stretch, at)
    begins = np.cumsum(where.end - where.begin) - (where.end - where.begin)
    # A cut that would have divided a character was moved behind it.
    number = np.searchsorted(np.array(at), begins, "right")
    return where, np.array(["train", "validation", "test"])[number].tolist()


def _drawn(sizes: NDArray[np.int64], test: float, validation: float, seed: int) -> Any:
    """Draw whole documents until the parts have their shares of all bytes."""
    order = np.random.default_rng(seed).permutation(len(sizes))
    ends = sizes[order].cumsum()
    share = (ends - sizes[order] / 2) / ends[-1]
    names = np.full(len(sizes), "train", "<U10")
    names[order[share < test + (1 - test) * validation]] = "validation"
    names[order[share < test]] = "test"
    # A part without a document would be drawn later from stretches of those of the others.
    for part, at in ((("test", -3),) if test else ()) + (("validation", -1), ("train", -2)):
        if not (names == part).any():
            names[order[at]] = part
    return names
