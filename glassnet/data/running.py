"""A look at running text: what kind, how much, and whether it is not a table after all."""

from __future__ import annotations

import re
from pathlib import Path

from glassnet.data import documents
from glassnet.task import Look

ARRAYS = re.compile(r"ubyte(\.gz)?$|_batch(_\d+)?\.bin$|\.npz$")
"""Files of numbers; a text beside them is their list of classes."""
SEPARATORS = (r"\t", r";(?!\s|$)", r"\|", r",(?!\s|$)")
MANY = 10
"""From so many documents on, whole ones are drawn at random for the parts."""


def look(path: str | Path, target: str | None) -> Look | None:
    """What kind of text lies there; None if it is none, or a table in a text file."""
    where = Path(path)
    if target or not (where.is_file() or where.is_dir()):
        return None
    if where.is_file() and not documents.is_text(where.name):
        return None
    listed = documents.files(where)
    if not listed or (where.is_dir() and _has_others(where, len(listed))) or _is_table(listed[0]):
        return None
    texts, lines = documents.scan(where, None)
    docs = documents.whole(texts, lines)
    size = sum(text.size for text in texts)
    with documents.opened(listed[0]) as file:
        head = file.read(400).decode(errors="ignore").strip()
    order = (
        f"whole documents are drawn at random ({len(docs):,})"
        if len(docs) >= MANY
        else "cut in order: training first, test last"
    )
    summary = [
        ("Kind", "text, a document in each line" if lines == "line" else "text"),
        ("Files", f"{len(texts):,}"),
        ("Bytes", f"{size:,}"),
        ("Lines", f"{sum(text.num_lines for text in texts):,}"),
        ("Parts", order),
        ("Begins", " ".join(head.split())[:200]),
    ]
    details = {"num_rows": len(docs), "bytes": size, "documents": lines, "files": len(texts)}
    return Look("corpus", path, summary, [], details)


def _has_others(folder: Path, num_texts: int) -> bool:
    """Whether a folder holds arrays, or mostly other things, such as images or a table."""
    from glassnet.data.layouts import is_image
    from glassnet.data.tablefiles import is_table

    names = [file.name for file in folder.rglob("*") if file.is_file()]
    if any(ARRAYS.search(name) for name in names):
        return True
    other = sum(is_image(name) or (is_table(Path(name)) and not documents.is_text(name))
                for name in names)  # fmt: skip
    return other >= num_texts


def _is_table(path: Path) -> bool:
    """Whether the first lines of a text file are cells: as many tabs, semicolons … in each.

    A comma between words, or at the end of a verse, parts no cells.
    """
    with documents.opened(path) as file:
        lines = file.read(20_000).decode(errors="ignore").splitlines()[:-1][:50]
    counts = [{len(re.findall(sign, line)) for line in lines} for sign in SEPARATORS]
    if not all(map(str.strip, lines)):
        return False  # paragraphs
    return len(lines) > 1 and any(len(count) == 1 and count != {0} for count in counts)
