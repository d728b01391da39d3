"""What is wrong with texts and their translations: out of step, empty, the same, odd, twice."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from glassnet.data.pairfiles import Part
from glassnet.errors import UserError
from glassnet.task import Problem

ODD_RATIO, ODD_LENGTH = 4.0, 40
"""A pair is odd if one side has so many times more characters than usual, and at least so many."""
SHOWN = 5


def read(
    path: Path, part: Part, languages: tuple[str, str], problems: list[Problem]
) -> tuple[list[tuple[str, str]], list[int]]:
    """The pairs of one part that have text on both sides, and their line numbers."""
    missing = [name for name in languages if name not in part.languages]
    if missing:
        raise UserError(
            f"{path}: {part.name} has no {' and no '.join(missing)}, which the other parts have; "
            f"it has {', '.join(part.languages)}."
        )
    one, other = (part.read(name) for name in languages)
    if not one.texts and not other.texts:
        raise UserError(f"{path}: {one.name} and {other.name} are empty. Expected a text a line.")
    if len(one.texts) != len(other.texts):
        raise UserError(
            f"{path}: {one.name} has {len(one.texts):,} lines and {other.name} has "
            f"{len(other.texts):,}. They are out of step: line n of one must be the translation of "
            "line n of the other. Find where a line was lost or cut in two."
        )
    pairs = list(zip(one.texts, other.texts, strict=True))
    empty = [n for n, (a, b) in enumerate(pairs) if not (a and b)]
    if empty:
        lines = tuple(f"{part.name} {part.unit} {n + part.first}" for n in empty)
        problems.append(
            Problem(
                lines[0],
                f"{len(empty):,} pairs lack a text on one side or both: "
                f"{', '.join(lines[:SHOWN])}{' …' if len(lines) > SHOWN else ''}",
                "left out",
                kind="empty texts",
                items=lines,
            )
        )
    kept = [n for n, (a, b) in enumerate(pairs) if a and b]
    if not kept:
        raise UserError(f"{path}: {part.name} has no pair with text on both sides.")
    return [pairs[n] for n in kept], [n + part.first for n in kept]


def left_out(path: Path, parts: Sequence[Part], left: Sequence[str]) -> Problem:
    """Parts that are there and that no knob names."""
    tests = [part.name for part in parts if part.part == "test"]
    about = f"the test is {tests[0]}; " if tests else ""
    return Problem(
        str(path),
        f"{about}{', '.join(left)} {'are' if len(left) > 1 else 'is'} not used",
        "choose another test by --test-part",
        kind="parts left out",
        level="note",
    )


def refuse_copies(path: Path, texts: list[tuple[str, str]], languages: tuple[str, str]) -> None:
    """The same file twice would teach copying."""
    if all(a == b for a, b in texts):
        raise UserError(
            f"{path}: the texts in {languages[0]} and in {languages[1]} are the same, line by "
            "line. One of them must be the translation of the other."
        )


def odd(texts: Sequence[tuple[str, str]], names: Sequence[tuple[str, int]]) -> Iterator[Problem]:
    """Pairs that are likely not each other's translation: their lengths are far apart."""
    ratios = [(len(a) + 1) / (len(b) + 1) for a, b in texts]
    usual = statistics.median(ratios)
    odd = [
        n for n, ratio in enumerate(ratios)
        if max(map(len, texts[n])) >= ODD_LENGTH
        and not 1 / ODD_RATIO <= ratio / usual <= ODD_RATIO
    ]  # fmt: skip
    odd.sort(key=lambda n: -max(ratios[n] / usual, usual / ratios[n]))
    if odd:
        where = tuple(f"{names[n][0]} {names[n][1]}" for n in odd)
        yield Problem(
            where[0],
            f"{len(odd):,} pairs have sides of odd lengths, one more than {ODD_RATIO:g} times as "
            f"long as usual: {', '.join(where[:SHOWN])}{' …' if len(odd) > SHOWN else ''}",
            "kept; look at them: sentences may be out of step",
            kind="unequal pairs",
            items=where,
            rows=tuple((n,) for n in odd),
        )


def copies(
    texts: Sequence[tuple[str, str]], names: Sequence[tuple[str, int]], parts: Sequence[str]
) -> Iterator[Problem]:
    """Texts that are asked although they were learned, or may be where the parts are drawn."""
    same = [hash(" ".join(source.lower().split())) for source, _ in texts]
    if len(set(parts)) == 1:
        first = {one: n for n, one in reversed(list(enumerate(same)))}
        again = [n for n, one in enumerate(same) if first[one] != n]
        what = f"of {len(texts):,} texts to translate repeat an earlier one"
        remedy = "they may get into training and test; remove them"
        yield from _repeated(again, names, what, remedy, "duplicates")
        return
    known = {one for one, part in zip(same, parts, strict=True) if part == "train"}
    for asked in ("validation", "test"):
        rows = [n for n, part in enumerate(parts) if part == asked]
        again = [n for n in rows if same[n] in known]
        what = f"of the {len(rows):,} texts to translate of the {asked} part are in training too"
        remedy = "its figures flatter; remove them from training"
        yield from _repeated(again, names, what, remedy, "copies across parts")


def _repeated(
    rows: Sequence[int], names: Sequence[tuple[str, int]], what: str, remedy: str, kind: str
) -> Iterator[Problem]:
    if rows:
        where = tuple(f"{names[n][0]} {names[n][1]}" for n in rows)
        shown = f"{', '.join(where[:SHOWN])}{' …' if len(where) > SHOWN else ''}"
        yield Problem(
            where[0], f"{len(rows):,} {what}: {shown}", remedy,
            kind=kind, items=where, rows=tuple((n,) for n in rows),
        )  # fmt: skip
