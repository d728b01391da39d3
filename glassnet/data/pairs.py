"""Texts and their translations: the source, the facts, and the examples of both sides.

Legend: N pairs, B pairs of a batch, S tokens of a source, T tokens of the longer side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from glassnet.data import pairchecks, pairfiles, ragged, tokens
from glassnet.data.tokens import BEGIN, END, PAD, Unit, Vocabulary
from glassnet.errors import UserError, nearest
from glassnet.task import Batch, Facts, Joined, Problem, Subset


class PairFacts(Facts):
    """What turns a text into tokens, and what is written into a text."""

    kind: Literal["pairs"] = "pairs"
    source: str
    """The language that is translated; a column's name where the data do not say."""
    target: str
    vocabulary: Vocabulary
    """Of both languages together."""
    longest: int
    """Tokens of the longest text on either side, with its end."""
    beam: int
    length_penalty: float


@dataclass(frozen=True)
class PairExamples:
    """Pairs of token sequences, both ended by ``END``, with the texts that they came from."""

    rows: Tensor
    """int64 (N,)"""
    sources: Tensor
    """The tokens of all sources end to end."""
    source_starts: Tensor
    """int64 (N + 1,): source n is ``sources[source_starts[n] : source_starts[n + 1]]``."""
    targets: Tensor
    """As ``sources``, and each begins with ``BEGIN``."""
    target_starts: Tensor
    texts: Sequence[tuple[str, str]] = field(repr=False)
    """Source and reference as they were read."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """Tokens that the longer side takes in a batch, int64 (N,)."""
        return torch.maximum(self.source_starts.diff(), self.target_starts.diff() - 1)

    def batch(self, index: Tensor, /) -> Batch:
        """Inputs (B, 2, T): the source, and the target from ``BEGIN`` on; targets (B, T).

        Each example weighs as many as it has tokens to write, so that the loss is a mean over
        tokens.
        """
        source_BS = ragged.gathered(self.sources, self.source_starts, index, PAD)
        target_BT = ragged.gathered(self.targets, self.target_starts, index, PAD)
        next_BT = target_BT[:, 1:]
        so_far_BT = torch.where(next_BT == PAD, PAD, target_BT[:, :-1])
        longest = max(source_BS.shape[1], next_BT.shape[1])
        inputs = torch.stack([_widened(source_BS, longest), _widened(so_far_BT, longest)], 1)
        return Batch(inputs, _widened(next_BT, longest), (next_BT != PAD).sum(1).float())

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Batch]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> PairExamples:
        """Return the same examples on ``device``; the texts stay."""
        columns = ("rows", "sources", "source_starts", "targets", "target_starts")
        return replace(self, **{name: getattr(self, name).to(device) for name in columns})


def _widened(tokens_BT: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(tokens_BT, (0, width - tokens_BT.shape[1]), value=PAD)


def texts_of(examples: Any) -> list[tuple[str, str]]:
    """Source and reference of each example."""
    if isinstance(examples, Subset):
        texts = texts_of(examples.whole)
        return [texts[position] for position in examples.positions.tolist()]
    if isinstance(examples, Joined):
        return [text for part in examples.parts for text in texts_of(part)]
    return list(examples.texts)


# --- The source -----------------------------------------------------------------------------------


@dataclass
class PairSource:
    """All pairs that have text on both sides, part by part."""

    texts: list[tuple[str, str]]
    names: list[tuple[str, int]]
    """File, line and column as people say them."""
    given: list[str]
    languages: tuple[str, str]
    settings: dict[str, Any]
    """How the vocabulary is learned: unit, size, lowercase; longest, beam, length_penalty."""
    fingerprint: str
    problems: list[Problem]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def strata(self) -> None:
        """Pairs have no classes."""
        return None

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of each pair, if the data have several."""
        return self.given if len(set(self.given)) > 1 else None

    def name(self, row: int, /) -> str:
        """File and line."""
        where, number = self.names[row]
        return f"{where} {number}"

    def facts(self, rows: Tensor, /) -> PairFacts:
        """Learn one vocabulary from both sides of these pairs."""
        own = self.settings
        both = [text for row in rows.tolist() for text in self.texts[row]]
        vocabulary = tokens.learn(
            both, own["unit"], size=own["size"], least=own["least"], lowercase=own["lowercase"]
        )
        self._compare_size(vocabulary)
        return PairFacts(
            source=self.languages[0],
            target=self.languages[1],
            vocabulary=vocabulary,
            longest=own["longest"],
            beam=own["beam"],
            length_penalty=own["length_penalty"],
        )

    def examples(self, rows: Tensor, facts: PairFacts, /) -> PairExamples:
        """Encode these pairs; those that are too long are reported and left out."""
        numbers = rows.tolist()
        sides = [
            facts.vocabulary.encode([self.texts[row][side] for row in numbers]) for side in (0, 1)
        ]
        lengths = [max(len(a), len(b)) + 1 for a, b in zip(*sides, strict=True)]
        kept = [n for n, length in enumerate(lengths) if length <= facts.longest]
        self._report_long(
            [numbers[n] for n, length in enumerate(lengths) if length > facts.longest]
        )
        sources = [[*sides[0][n], END] for n in kept]
        targets = [[BEGIN, *sides[1][n], END] for n in kept]
        return PairExamples(
            rows[kept],
            *ragged.joined(sources),
            *ragged.joined(targets),
            [self.texts[numbers[n]] for n in kept],
        )

    def _report_long(self, rows: list[int]) -> None:
        if not rows:
            return
        names = tuple(self.name(row) for row in rows)
        self.problems.append(
            Problem(
                names[0],
                f"{len(rows):,} pairs are longer than {self.settings['longest']} tokens: "
                f"{', '.join(names[: pairchecks.SHOWN])}",
                "left out, also of the figures; raise --longest to keep them",
                kind="long pairs",
                items=names,
                rows=tuple((row,) for row in rows),
            )
        )

    def _compare_size(self, vocabulary: Vocabulary) -> None:
        """A text that is too small for the vocabulary that was asked for gives a smaller one."""
        asked = self.settings["size"]
        if self.settings["unit"] not in ("words", "subwords") or len(vocabulary) >= 0.95 * asked:
            return
        found = Problem(
            "vocabulary",
            f"the training texts give {len(vocabulary):,} different tokens, fewer than "
            f"vocabulary={asked:,}",
            "these are taken; nothing is wrong",
            kind="small vocabulary",
            level="note",
        )
        if found not in self.problems:
            self.problems.append(found)


def open_pairs(
    path: str | Path,
    *,
    source: str | None = None,
    target: str | None = None,
    test_part: str | None = None,
    unit: Unit = "subwords",
    size: int = 8000,
    least: int = 2,
    lowercase: bool = False,
    longest: int = 256,
    beam: int = 5,
    length_penalty: float = 1.0,
) -> PairSource:
    """Open texts in two languages.

    Args:
        path: A folder or a file; see ``pairfiles``.
        source: The language, or the column, to translate from.
        target: The one to translate into.
        test_part: Which of several test parts is sealed.
        unit: What a token is.
        size: The most tokens of the vocabulary of both languages.
        least: How often a word, or a pair that is joined, must occur.
        lowercase: Whether upper case is thrown away, on both sides.
        longest: Most tokens of either side.
        beam: How many beginnings of a translation are followed.
        length_penalty: See ``writing``.

    Raises:
        UserError: If there are no pairs, no such language, or the sides are out of step.
    """
    path = Path(path)
    asked = [name for name in (source, target) if name is not None]
    parts = pairfiles.find(path, asked, test_part)
    languages = _languages(path, parts[0].languages, source, target)
    problems: list[Problem] = []
    if test_part is None and (left := pairfiles.others(path, parts, asked)):
        problems.append(pairchecks.left_out(path, parts, left))
    texts: list[tuple[str, str]] = []
    names: list[tuple[str, int]] = []
    given: list[str] = []
    for part in parts:
        pairs, numbers = pairchecks.read(path, part, languages, problems)
        texts += pairs
        names += [(f"{part.name} {part.unit}", number) for number in numbers]
        given += [part.part] * len(pairs)
    pairchecks.refuse_copies(path, texts, languages)
    problems += [*pairchecks.odd(texts, names), *pairchecks.copies(texts, names, given)]
    settings = {
        "unit": unit, "size": size, "least": least, "lowercase": lowercase, "longest": longest,
        "beam": beam, "length_penalty": length_penalty,
    }  # fmt: skip
    print_ = _fingerprint(texts, given, languages)
    return PairSource(texts, names, given, languages, settings, print_, problems)


def _languages(
    path: Path, known: Sequence[str], source: str | None, target: str | None
) -> tuple[str, str]:
    """Which language is translated into which."""
    unnamed = " (columns without names: say --source 1 --target 2)" if "1" in known else ""
    for knob, name in (("source", source), ("target", target)):
        if name is not None and name not in known:
            raise UserError(
                f"{knob}={name}: {path} has no such language.{nearest(name, list(known))} It has: "
                f"{', '.join(known)}{unnamed}."
            )
    if source is not None and source == target:
        raise UserError(f"source and target are both {source!r}; give two languages.")
    if len(known) == 2 and (source is None) != (target is None):
        other = next(name for name in known if name not in (source, target))
        source, target = source or other, target or other
    if source is None or target is None:
        raise UserError(
            f"{path} has the languages {', '.join(known)}. Say from which into which: "
            f"--source {source or known[0]} --target {target or known[1]}."
        )
    return source, target


def _fingerprint(texts: list[tuple[str, str]], parts: list[str], languages: tuple[str, str]) -> str:
    found = hashlib.sha256("\0".join(languages).encode())
    for part, (one, other) in zip(parts, texts, strict=True):
        found.update(f"\0{part}\0{one}\0{other}".encode("utf-8", "surrogatepass"))
    return found.hexdigest()
