"""A look at labelled sequences, before any task is chosen: what lies there, told to people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from glassnet import references
from glassnet.data import dna, dnafiles, dnaletters, dnatables, tablefiles
from glassnet.data.textfolders import Found
from glassnet.task import Look


def look(path: str | Path, target: str | None) -> Look | None:
    """Labelled sequences, if they lie there; a table with a column of them is one."""
    place, part = references.split(path)
    try:
        if not references.is_database(path) and not part and dnafiles.holds_sequences(place):
            return look_at(dnafiles.read(place), path)
    except OSError:
        return None
    if not dnatables.may_hold(path):
        return None
    return _look_at_table(path, target)


def _look_at_table(path: str | Path, target: str | None) -> Look | None:
    table = tablefiles.read(path, target)
    frame, _ = dnatables.with_first_row(table)
    if target is not None and target not in frame.columns:
        return None  # said by the reader of tables
    found = dnatables.sequence_columns(frame, target)
    if len(found) != 1 or (target or dnatables.guessed_label(frame, found[0])) is None:
        return None
    sequences = dnatables.of_read(table, str(path), target, found[0])
    labels = Counter(sequences.labels)
    if len(labels) > max(2, len(sequences.labels) // 2):
        return None  # numbers to be predicted
    return look_at(sequences, path)


def look_at(found: Found, path: str | Path) -> Look:
    """Sequences with labels, told to people."""
    counts = Counter(label for label in found.labels if label)
    parts = Counter(found.parts)
    lengths = sorted(map(len, found.texts)) or [0]
    alphabet = dnaletters.alphabet_of(found.texts)
    signs = Counter("".join(found.texts[:2000]).upper()).most_common(12)
    columns = [("Sequences in", f"column {found.text}"), ("Classes in", f"column {found.target}")]
    middle = lengths[len(lengths) // 2]
    summary = [
        ("Kind", found.form),
        ("Sequences", f"{len(found.texts):,} of {dna.MADE_OF[alphabet]}"),
        *(columns if found.text else []),
        ("Parts", ", ".join(f"{p} {n:,}" for p, n in parts.items()) if len(parts) > 1
         else "none of its own"),
        ("Classes", f"{len(counts)}: "
         + ", ".join(f"{name} ({n:,})" for name, n in counts.most_common(10))),
        ("Lengths", f"all {middle:,}" if lengths[0] == lengths[-1]
         else f"{lengths[0]:,} to {lengths[-1]:,}, half of them {middle:,} or more"),
        ("Letters", ", ".join(f"{sign} {n:,}" for sign, n in signs)),
    ]  # fmt: skip
    details: dict[str, Any] = {
        "num_rows": len(found.texts),
        "classes": dict(counts),
        "parts": dict(parts) if len(parts) > 1 else {},
        "sequence": found.text,
        "alphabet": alphabet,
        "target": {"name": found.target, "kind": "categories", "classes": dict(counts)},
    }
    return Look("dna", path, summary, found.problems, details)
