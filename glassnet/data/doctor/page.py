"""What was found, as a page: findings as text and tables, and of images the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glassnet import figures
from glassnet.data import pixels
from glassnet.data.layouts import Layout
from glassnet.figures import Block, Document, Fact, Facts, Images, Picture, Section, Table
from glassnet.task import Look, Problem

PICTURES = 24
"""Pictures, or pairs of them, that are drawn of each finding."""
LISTED = 200
"""Rows or files that are listed of each finding; ``--json`` has them all."""
SIDE = 96
"""Pixels of the longer side of a picture."""


def document(look: Look, layout: Layout | None = None) -> Document:
    """The page of an inspection; ``layout`` is where the images are."""
    about = Facts([Fact(label, value) for label, value in look.summary])
    sections = [Section("What is there", "", [about])]
    if look.problems:
        rows = [[p.level, p.kind, p.where, p.what] for p in look.problems]
        table = Table("Findings, the worst first", ["", "kind", "where", "what"], rows)
        sections.append(Section("What was found", "", [table]))
    else:
        sections.append(Section("What was found", "Nothing was found to be wrong."))
    sections += [_section(problem, layout) for problem in look.problems if problem.items]
    return Document(f"Examination of {Path(look.path).name}", str(look.path), sections)


def _section(problem: Problem, layout: Layout | None) -> Section:
    fix = f"\n\nWith --fix: {problem.fix}." if problem.fix else ""
    text = f"{problem.where}: {problem.what}.\n\n{problem.remedy}.{fix}"
    blocks: list[Block] = []
    if layout is not None and problem.rows:
        blocks.append(_gallery(problem, layout))
    rows = [[item] for item in problem.items[:LISTED]]
    more = len(problem.items) - len(rows)
    note = f"{more:,} more; glassnet inspect --json lists them all." if more > 0 else ""
    if not blocks or len(problem.items) > PICTURES:
        blocks.append(Table("Where", ["row, file or pair"], rows, note=note))
    return Section(f"{problem.kind or 'other'} ({problem.level})", text, blocks)


def _gallery(problem: Problem, layout: Layout) -> Images:
    """Each item's images side by side; those that cannot be read are left out."""
    items = []
    for rows, caption in zip(problem.rows[:PICTURES], problem.items, strict=False):
        picture = _side_by_side(layout, rows[:4])
        if picture is not None:
            items.append(Picture(figures.png(picture), caption))
    return Images("The images", items)


def _side_by_side(layout: Layout, rows: Sequence[int]) -> np.ndarray | None:
    shown = [image for row in rows if (image := _shown(layout, row)) is not None]
    if not shown:
        return None
    tall = max(image.shape[0] for image in shown)
    strips = []
    for image in shown:
        page = np.full((tall, image.shape[1] + 4 * (len(shown) > 1), 3), 255, np.uint8)
        page[: image.shape[0], : image.shape[1]] = image
        strips.append(page)
    return np.concatenate(strips, axis=1)


def _shown(layout: Layout, row: int) -> np.ndarray | None:
    """uint8 (h, w, 3), small ones enlarged by whole factors."""
    try:
        raw = layout.store.raw(row)
        if isinstance(raw, bytes):
            shape = pixels.header(raw)
            height, width = shape.height, shape.width
            scale = min(1.0, SIDE / max(height, width))
            size = max(1, round(height * scale)), max(1, round(width * scale))
            x = pixels.decode(raw, pixels.Geometry(3, *size))
        else:
            x = pixels.channels(pixels.from_array(raw), 3)
    except (pixels.Unreadable, OSError):
        return None
    times = max(1, SIDE // max(x.shape[1:]))
    image = x.permute(1, 2, 0).numpy()
    return image.repeat(times, axis=0).repeat(times, axis=1)
