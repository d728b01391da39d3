"""A first look at texts and their translations, before anybody said that they are."""

from __future__ import annotations

import json
from pathlib import Path

from glassnet import references
from glassnet.data import pairchecks, pairfiles
from glassnet.data.pairfiles import CODES, JSON_LINES, TABS
from glassnet.errors import UserError
from glassnet.task import Look, Problem


def look(path: str | Path, target: str | None) -> Look | None:
    """What a path holds; None unless languages are named there, by files or by columns."""
    if references.is_database(path) or not references.exists(Path(path)):
        return None
    path = Path(path)
    if not (_has_languages(path) if path.is_dir() else _is_of_languages(path)):
        return None
    parts = pairfiles.find(path)
    known = parts[0].languages
    into = target if target in known else known[1]
    languages = next(name for name in known if name != into), into
    problems: list[Problem] = []
    counts: dict[str, int] = {}
    texts: list[tuple[str, str]] = []
    names: list[tuple[str, int]] = []
    given: list[str] = []
    for part in parts:
        found, numbers = pairchecks.read(path, part, languages, problems)
        counts[part.part] = len(found)
        texts += found
        names += [(f"{part.name} {part.unit}", number) for number in numbers]
        given += [part.part] * len(found)
    summary = [
        ("Kind", "texts and their translations"),
        ("Pairs", f"{len(texts):,}"),
        ("Parts", ", ".join(f"{name} {count:,}" for name, count in counts.items())),
        ("Languages", ", ".join(known)),
    ]
    for side, name in enumerate(languages):
        mean = sum(len(pair[side].split()) for pair in texts) / len(texts)
        summary.append((f"Words in {name}", f"{mean:.1f} on average"))
    summary += [("Example", " — ".join(pair)) for pair in texts[:2]]
    details = {"num_rows": len(texts), "languages": list(known), "parts": counts}
    problems += [*pairchecks.odd(texts, names), *pairchecks.copies(texts, names, given)]
    return Look("pairs", path, summary, problems, details)


def _has_languages(folder: Path) -> bool:
    return any(len(part.languages) > 1 for part in pairfiles.line_files(folder, ())) or any(
        _is_of_languages(file) for file in sorted(folder.iterdir()) if pairfiles.is_table(file)
    )


def _is_of_languages(path: Path) -> bool:
    """Whether a file has its counterpart beside it, or columns that are called by languages."""
    if pairfiles.line_files(path.parent, (), only=path):
        return True
    suffix = pairfiles.plain_suffix(path)
    if suffix not in (*TABS, ".csv", *JSON_LINES):
        return False
    try:
        line, _, rest = pairfiles.decoded(path).partition("\n")
    except UserError:
        return False
    if suffix in JSON_LINES:
        return _are_languages(_keys(line))
    if not any(map(str.isalpha, rest.partition("\n")[0])):
        return False  # a table of numbers, whose columns are called 'id' and 'to'
    return any(_are_languages(line.lower().split(sign)) for sign in "\t,;")


def _keys(line: str) -> list[str]:
    """The fields of an object that all hold texts; else none."""
    try:
        found = json.loads(line)
    except ValueError:
        return []
    found = found.get(pairfiles.NESTED, found) if isinstance(found, dict) else found
    are_texts = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    return list(found) if are_texts else []


def _are_languages(names: list[str]) -> bool:
    return len(names) > 1 and all(name.strip() in CODES for name in names)
