"""From what a person types to a path, and from a path to what lies there.

Heavy libraries are imported where they are used: listing and finding cost nothing.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from glassnet import references
from glassnet.data import datasets
from glassnet.errors import UserError, nearest
from glassnet.progress import warn
from glassnet.task import Look, Problem

if TYPE_CHECKING:
    import polars as pl

    from glassnet.data.columns import Column
    from glassnet.data.layouts import Layout

OWN_READERS: tuple[str, ...] = (
    "soundlook", "dnalook", "series", "pairlook", "texts", "running", "timelinelook",
)  # fmt: skip
"""Modules beside this one, each with ``look(path, target)``: what it found, or None if the data
are not of its kind. They are asked in this order, before images and tables."""
SAMPLED = 200
"""Images whose headers a look reads."""
FEW_CLASSES = 20
"""A column of numbers with at most so many different ones may be meant as classes."""


def locate(
    reference: str | Path,
    mirror: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> str | Path:
    """Return the path that is meant: an existing one, or that of a named data set.

    A table of a database, or the sheet of a workbook that is named by ``#``, stays as it is.
    """
    path, part = references.split(reference)
    if references.is_database(reference) or (part and references.exists(path)):
        return reference
    if references.is_url(reference):
        raise UserError(
            f"{reference} is on the web. Download the file, look at it, and give its path."
        )
    if references.exists(path):
        return path
    if str(reference) in datasets.names():
        return datasets.fetch(str(reference), mirror=mirror, progress=progress)
    known = datasets.names()
    beside = _beside(path)
    raise UserError(
        f"There is no file or folder {str(reference)!r}, and no data set of that name."
        f"{nearest(str(reference), known) or nearest(path.name, beside)} Data sets: "
        f"{', '.join(known)}. In {path.parent} there is: {', '.join(beside[:10]) or 'nothing'}."
    )


def named(reference: str | Path) -> datasets.DataSet | None:
    """Return the catalogue's entry, unless the reference is a path that exists."""
    if references.exists(Path(reference).expanduser()) or str(reference) not in datasets.names():
        return None
    return datasets.describe(str(reference))


def look(reference: str | Path, target: str | None = None, mirror: str | None = None) -> Look:
    """Look at data without learning anything: what kind, how many, what is odd."""
    path = locate(reference, mirror)
    entry = named(reference)
    target = target or (entry.target if entry else None)
    if (Path(str(path)) / "run.json").is_file():
        raise UserError(
            f"{reference} is a run folder, not data. `glassnet evaluate`, `explain` and `diagnose` "
            "look into it; its report.html is for people."
        )
    for reader in OWN_READERS:
        found = importlib.import_module(f"glassnet.data.{reader}").look(path, target)
        if found is not None:
            return cast(Look, found)
    if kind_of(path) == "images":
        return _look_at_images(Path(path))
    return _look_at_table(path, target)


def frozen(reference: str, folder: Path, target: str | None = None) -> str:
    """Return the path of a copy below ``folder`` of what a database answers now.

    A run needs the same rows whenever it is resumed or evaluated, in the same order, and without
    the password; databases change. All other references are returned as they are.
    """
    if not references.is_database(reference):
        return reference
    from glassnet.data import database, memory

    read = database.read(reference, target)
    path = memory.store_rows(read.frame, folder, _name_of(read.about), read.about)
    what = f"{read.frame.height:,} rows were copied to {path}, which the run reads from now on"
    warn([Problem(read.about, what, "delete the copy when the run is not needed")])
    return str(path)


def _name_of(about: str) -> str:
    """The table's name, as the name of a file and of a run."""
    part = about.partition("#")[2] or re.split(r"[/?]", about)[-1]
    table = re.search(r"\bfrom\s+[\"`\[]?([\w.]+)", part, re.IGNORECASE)
    return re.sub(r"\W+", "-", table[1] if table else part).strip("-")[:40] or "query"


def kind_of(path: str | Path) -> str:
    """Tell 'images' from 'table' by the names of the files."""
    from glassnet.data import archives, hfdatasets, layouts, tablefiles

    if references.is_database(path):
        return "table"
    path, _ = references.split(path)
    if path.is_dir() and hfdatasets.is_saved(path):
        return "table"
    if path.is_file():
        if tablefiles.is_table(path):
            return "table"
        if archives.is_archive(path) or path.suffix == ".npz" or _is_array(path.name):
            return "images"
        raise UserError(
            f"{path} is neither a table ({', '.join(tablefiles.SUFFIXES)}, also packed) nor a "
            f"set of images ({', '.join(archives.ARCHIVES)}, .npz, idx, or a folder)."
        )
    tables = tablefiles.table_files(path)
    nested = top = 0
    for file in _files_below(path):
        if _is_array(file.name) or file.suffix == ".npz":
            return "images"
        if layouts.is_image(file.name):
            nested, top = (nested + 1, top) if file.parent != path else (nested, top + 1)
        if nested > 20:
            break
    if nested or (top and not tables):
        return "images"
    if tables:
        return "table"
    found = ", ".join(_beside(path / "x")[:10]) or "nothing"
    raise UserError(
        f"{path} holds neither tables, images nor texts (found: {found}).\n"
        f"{layouts.expected(path)}\n"
        "the same with .txt files, a text such as book.txt, train.en and train.de, or train.csv"
    )


def _is_array(name: str) -> bool:
    return bool(re.search(r"idx\d-ubyte(\.gz)?$|(data|test)_batch(_\d+)?\.bin$", name))


def _files_below(folder: Path, limit: int = 5000) -> Iterator[Path]:
    from glassnet.data.members import is_litter

    for number, file in enumerate(folder.rglob("*")):
        if number > limit:
            return
        if not is_litter(str(file.relative_to(folder))) and file.is_file():
            yield file


def _beside(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.name[0] != ".")
    except OSError:
        return []


# --- Images ---------------------------------------------------------------------------------------


def _look_at_images(path: Path) -> Look:
    from glassnet.data import layouts

    layout = layouts.find(path)
    named_labels = [layout.classes[label] for label in layout.labels]
    counts = Counter(named_labels)
    parts = Counter(layout.parts or [])
    sizes, modes, problems = _sample_headers(layout)
    problems = [*layout.problems, *problems, *_rare_classes(path, counts)]
    summary = [
        ("Kind", f"images, {layout.form}"),
        ("Images", f"{len(layout.labels):,}"),
        ("Parts", ", ".join(f"{part} {n:,}" for part, n in parts.items()) or "none of its own"),
        ("Classes", f"{len(counts)}: " + _counted(counts)),
        ("Sizes", _counted(sizes)),
        ("Pixels", _counted(modes)),
    ]
    per_part: dict[str, dict[str, int]] = {}
    for part, label in zip(layout.parts or [], named_labels, strict=False):
        per_part.setdefault(part, Counter())[label] += 1
    details = {
        "num_rows": len(layout.labels),
        "classes": dict(counts),
        "parts": dict(parts),
        "classes_per_part": per_part,
        "sizes": dict(sizes),
        "modes": dict(modes),
    }
    return Look("images", path, summary, problems, details)


def _sample_headers(layout: Layout) -> tuple[Counter[str], Counter[str], list[Problem]]:
    """Sizes and modes of images spread evenly over the set."""
    from glassnet.data import pixels
    from glassnet.data.layouts import ArrayStore

    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    problems = []
    count = len(layout.labels)
    for row in range(0, count, max(1, count // SAMPLED)):
        try:
            if isinstance(layout.store, ArrayStore):
                height, width, channels = layout.store.shape(row)
                modes[{1: "grey", 3: "RGB", 4: "RGBA"}[channels]] += 1
            else:
                data = layout.store.raw(row)
                shape = pixels.header(data)
                height, width = shape.height, shape.width
                modes[pixels.mode(data)] += 1
            sizes[f"{width} x {height}"] += 1
        except pixels.Unreadable as error:
            problems.append(Problem(layout.names[row], error.what, error.remedy))
        except OSError as error:
            problems.append(Problem(layout.names[row], f"cannot be read ({error})", "check it"))
    return sizes, modes, problems


def _counted(counts: Counter[str], most: int = 10) -> str:
    listed = ", ".join(f"{name} ({n:,})" for name, n in counts.most_common(most))
    return listed + (" …" if len(counts) > most else "")


def _rare_classes(where: Path | str, counts: Counter[str]) -> Iterator[Problem]:
    total = sum(counts.values())
    for name, count in counts.items():
        if count < 10:
            yield Problem(
                f"{where}: class {name!r}",
                f"has only {count} example{'s' * (count != 1)}",
                "measuring it will be very uncertain; add examples or merge it with another",
            )
        elif count / total < 0.05 and count * len(counts) / total < 0.3:
            yield Problem(
                f"{where}: class {name!r}",
                f"is rare: {count:,} of {total:,} ({count / total:.1%})",
                "accuracy alone says little; look at the figures of each class",
            )


# --- Tables ---------------------------------------------------------------------------------------


def _look_at_table(path: str | Path, target: str | None) -> Look:
    from glassnet.data import tablefiles, tables, textlayouts, texts, timelinelook

    read = tablefiles.read(path, target)
    frame = tablefiles.missing_to_null(read.frame, target)
    if not frame.height:
        raise UserError(f"{path} holds no rows. Expected a table with rows of data.")
    if target is not None:
        tables.require_column(frame, target, str(path))
    columns = [_look_at_column(frame[name], read.separator) for name in frame.columns]
    if (found := textlayouts.in_table(read, columns, target, str(path))) is not None:
        return texts.look_at(found, path)
    problems = [*read.problems, *_odd_columns(columns, target), *_repeated_rows(path, frame)]
    if target is None:
        problems += timelinelook.note(frame)
    summary = [
        ("Kind", "table"),
        *([("Read from", read.about)] if read.about else []),
        ("Rows", f"{frame.height:,}"),
        ("Parts", ", ".join(f"{p} {n:,}" for _, p, n in read.files) if len(read.files) > 1
         else "none of its own"),
        *((f"Column {column['name']}", _column_line(column)) for column in columns),
    ]  # fmt: skip
    details: dict[str, Any] = {
        "num_rows": frame.height,
        "columns": columns,
        "parts": {part: n for _, part, n in read.files} if len(read.files) > 1 else {},
    }
    if target is not None:
        details["target"] = _look_at_target(frame[target], read.separator)
        summary.append(("Target", _target_line(details["target"])))
        counts = Counter(details["target"]["classes"])
        problems += _rare_classes(f"column {target!r}", counts)
    return Look("table", path, summary, problems, details)


def _look_at_column(column: pl.Series, separator: str) -> dict[str, Any]:
    from glassnet.data.columns import learn_column

    learned: Column = learn_column(column, separator)
    present = column.drop_nulls()
    nested = present.dtype.is_nested()
    first = (present if nested else present.unique(maintain_order=True)).head(3)
    return {
        "name": column.name,
        "type": learned.kind,
        "reason": learned.reason,
        "words": learned.words,
        "missing": column.null_count(),
        "distinct": 0 if nested else present.n_unique(),
        "examples": [str(value) for value in first],
    }


def _column_line(column: dict[str, Any]) -> str:
    missing = f", {column['missing']:,} missing" if column["missing"] else ""
    reason = f" ({column['reason']})" if column["reason"] else ""
    examples = ", ".join(column["examples"])
    return f"{column['type']}{reason}{missing}, {column['distinct']:,} distinct: {examples}"


def _odd_columns(columns: Sequence[dict[str, Any]], target: str | None) -> Iterator[Problem]:
    for column in columns:
        where = f"column {column['name']!r}"
        if column["name"] == target:
            continue
        if column["reason"]:
            yield Problem(where, column["reason"], "it will not be used", kind="unused columns")
        elif column["type"] == "text":
            yield Problem(
                where,
                f"has {column['distinct']:,} different texts",
                f"read by their words: {', '.join(column['words'][:8])} …",
            )


def _repeated_rows(path: str | Path, frame: pl.DataFrame) -> Iterator[Problem]:
    if any(column.dtype.is_nested() for column in frame):
        return
    repeats = frame.height - frame.n_unique()
    if repeats:
        yield Problem(
            str(path),
            f"{repeats:,} of {frame.height:,} rows repeat an earlier row",
            "equal rows may get into training and test; remove them if they are mistakes",
            kind="duplicates",
        )


def _look_at_target(column: pl.Series, separator: str) -> dict[str, Any]:
    from glassnet.data.cells import read_numbers

    present = column.drop_nulls()
    distinct = present.n_unique()
    numeric = bool(read_numbers(present, separator)[0]) if len(present) else False
    classes = distinct <= FEW_CLASSES or (not numeric and distinct <= len(present) / 2)
    counts = present.cast(str).value_counts(sort=True).rows() if classes else []
    return {
        "name": column.name,
        "numeric": numeric,
        "distinct": distinct,
        "missing": column.null_count(),
        "classes": {str(name): int(count) for name, count in counts},
        "kind": "numbers" if numeric and distinct > FEW_CLASSES else "categories",
    }


def _target_line(target: dict[str, Any]) -> str:
    counts = _counted(Counter(target["classes"]))
    kind = "numbers" if target["numeric"] else "names"
    return f"{target['name']}: {kind}, {target['distinct']:,} distinct" + (
        f": {counts}" if counts else ""
    )
