"""What is in data and what is wrong with them: before a training, or because somebody asks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glassnet import splits
from glassnet.data import corpus, dna, doctor, images, layouts, sources, tablefiles, tables, texts
from glassnet.data.doctor import page, repair
from glassnet.data.doctor.repair import Repairs
from glassnet.data.doctor.sheet import Sheet
from glassnet.errors import UserError
from glassnet.figures import Document
from glassnet.recipe import Split
from glassnet.run import Run
from glassnet.task import Look, Problem, Source

Thoroughness = Literal["quick", "full"]
EXAMINED = "doctor.json"
"""What the doctor found before a training, in the run folder."""


def inspect(
    reference: str | Path, target: str | None = None, effort: Thoroughness = "full"
) -> Look:
    """Look at data, then examine them with the parts that ``train`` would draw by default.

    Raises:
        UserError: If the data cannot be read, or have no such target.
    """
    look = sources.look(str(reference), target=target)
    # The reader itself has looked: these are no rows of a table.
    if look.kind in ("pairs", "corpus", "sounds", "timeline", "series"):
        return replace(look, problems=doctor.ordered(look.problems))
    source = _opened(look)
    if source is None:
        found = doctor.examine_sheet(_without_target(look), effort)
        met = list(look.problems)
    else:
        found = doctor.examine(source, drawn(source, Split()), effort)
        met = [*look.problems, *source.problems]
    met = [p for p in dict.fromkeys(met) if p.kind not in _SEEN_BETTER]
    return replace(look, problems=doctor.ordered([*met, *found]))


_SEEN_BETTER = ("duplicates", "unused columns")
"""What a first look tells and the doctor tells better."""


def fix(look: Look, target: str | None, out: str | Path) -> Repairs:
    """Write a repaired copy of inspected data to ``out``; the original is never touched.

    Raises:
        UserError: If ``out`` exists or cannot be written.
    """
    path = Path(out).expanduser()
    if look.kind == "texts" and not look.details["text"]:
        raise UserError(
            f"--fix {out}: texts in files of their own are not repaired; the findings name them."
        )
    if look.kind == "timeline":
        raise UserError(f"--fix {out}: series in time are not repaired; the findings say what is.")
    if look.kind == "series":
        raise UserError(f"--fix {out}: series are not repaired; the findings name them.")
    if look.kind == "corpus":
        raise UserError(f"--fix {out}: running text is not repaired; the findings name the places.")
    if look.kind == "sounds":
        raise UserError(f"--fix {out}: sounds are not repaired; the findings name the files.")
    if look.kind == "dna" and not look.details["sequence"]:
        raise UserError(
            f"--fix {out}: sequences in FASTA or in files of their own are not repaired, tables of "
            "them are; the findings name the records."
        )
    try:
        if look.kind == "images":
            return repair.images(layouts.find(Path(look.path)), look.problems, path)
        target = target or look.details.get("target", {}).get("name")
        return repair.table(look.path, target, path)
    except OSError as error:
        raise UserError(f"--fix {out}: could not be written ({error.strerror}).") from None


def document(look: Look) -> Document:
    """A page of what was found; of images, the pictures themselves."""
    return page.document(look, layouts.find(Path(look.path)) if look.kind == "images" else None)


def drawn(source: Source[Any], split: Split) -> Any:
    """The part of each row, as a training with these knobs draws it; int8 (N,)."""
    found = splits.draw(source, split)
    return doctor.parts_of(found.train, found.validation, found.test, len(source))


def before_training(source: Source[Any], recipe: Any, run: Run) -> list[str]:
    """Examine the data of a training, keep what was found with the run, and say it in short."""
    if recipe.doctor == "skip":
        return []
    began = time.monotonic()
    found = doctor.examine(source, drawn(source, recipe.split), recipe.doctor)
    run.write_json(
        EXAMINED,
        {
            "effort": recipe.doctor,
            "seconds": round(time.monotonic() - began, 3),
            "problems": [vars(problem) for problem in found],
        },
    )
    run.update_info(doctor=dict(Counter(problem.kind for problem in found)))
    named = "target" in type(recipe).model_fields and recipe.target is not None
    target = f" --target {recipe.target}" if named else ""
    return lines(found, f"glassnet inspect {recipe.data}{target}")


_TOLD_BY_TRAINING = ("rejected rows", "unreadable images")


def lines(found: Sequence[Problem], command: str) -> list[str]:
    """One short line for each kind of finding that is more than a note, and where to see all."""
    told: dict[str, list[Problem]] = {}
    for problem in found:
        if problem.level != "note" and problem.kind not in _TOLD_BY_TRAINING:
            told.setdefault(problem.kind, []).append(problem)
    short = [
        f"{kind}: {problems[0].where}: {problems[0].what}"
        + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
        for kind, problems in told.items()
    ]
    return [*short, f"`{command}` shows all that was found"] if short else []


def _opened(look: Look) -> Source[Any] | None:
    """The data as a source; None for a table whose target is not known or cannot be learned."""
    if look.kind == "images":
        return images.open_images(Path(look.path))
    if look.kind == "texts":
        columns = {"target": look.details["target"]["name"], "text": look.details["text"]}
        return texts.open_texts(look.path, **{k: v for k, v in columns.items() if v})
    if look.kind == "corpus":
        return corpus.open_corpus(look.path, context=1)
    if look.kind == "dna":
        column = look.details["sequence"]
        target = look.details["target"]["name"] if column else None
        return dna.open_dna(look.path, target=target, sequence=column or None)
    if "target" not in look.details:
        return None
    target = look.details["target"]
    return tables.open_table(look.path, target=target["name"], kind=target["kind"])


def _without_target(look: Look) -> Sheet:
    read = tablefiles.read(look.path)
    frame = tablefiles.missing_to_null(read.frame)
    several = len(read.files) > 1
    parts = np.repeat(
        [doctor.sheet.PARTS.index(part) for _, part, _ in read.files],
        [count for *_, count in read.files],
    ).astype(np.int8)
    return Sheet(
        frame=frame, parts=parts, name=lambda row: f"row {row + 1}", origin=Path(look.path).name,
        separator=read.separator, brought=several,
    )  # fmt: skip
