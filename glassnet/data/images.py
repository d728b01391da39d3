"""Labelled images as a source: files, archives or arrays -> one uint8 tensor.

What is learned of the training rows stands in ``imagefacts``, how one image becomes a tensor in
``rawimages`` and, for whole sets, in ``imagerows``; where the tensors are kept in ``keeping``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from glassnet.data import keeping, layouts, pixels, shelf
from glassnet.data.examples import TensorExamples
from glassnet.data.imagefacts import (
    ImageFacts,
    Preprocessing,
    normalization,
    read_size,
    stored_size,
)
from glassnet.data.imagerows import ImageRows, Progress, Reader, array_shapes
from glassnet.data.keeping import Held, Memory, Place
from glassnet.data.layouts import ArrayStore, Layout
from glassnet.data.packed import Packed, PackedExamples
from glassnet.data.pixels import Geometry, Shape
from glassnet.data.rawimages import or_problem
from glassnet.data.shelf import NoRoom
from glassnet.data.stream import Streamed, StreamedExamples
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.progress import tell
from glassnet.task import Problem

Y = TypeVar("Y")


def open_images(
    path: str | Path,
    *,
    size: int | None = None,
    resize: int | None = None,
    preprocessing: Preprocessing | None = None,
    cache: Place = "auto",
    progress: Progress | None = None,
) -> ImageSource:
    """Open a set of labelled images.

    Args:
        path: A folder, archive or file of any layout in ``layouts``.
        size: The shorter side, in pixels, of what the network reads.
        resize: The shorter side, in pixels, that images are brought to; at least ``size``.
        preprocessing: How pixels become numbers; unset knobs are learned from the training rows.
        cache: Where decoded images are kept.
        progress: Is told how many images were decoded, and of how many.
    """
    if size is not None and size < 1:
        raise UserError(f"size must be at least 1 pixel, found {size}.")
    progress = progress or partial(tell, "decoding images")
    layout = layouts.find(Path(path).expanduser())
    form = Form(size, resize, preprocessing or Preprocessing(), cache)
    return ImageSource(layout, Path(path), form, progress)


@dataclass(frozen=True)
class Form:
    """What was asked for of the form of the images."""

    size: int | None
    resize: int | None
    preprocessing: Preprocessing
    cache: Place = "auto"


class ImageSource:
    """A set of labelled images of which nothing has been decoded yet."""

    def __init__(self, layout: Layout, path: Path, form: Form, progress: Progress | None) -> None:
        self.layout, self.path, self.form, self.progress = layout, path, form, progress
        self.classes = list(layout.classes)
        self.problems: list[Problem] = list(layout.problems)
        self.fingerprint = layout.digest()
        self._shapes: dict[int, Shape] = {}
        self._failed: set[int] = set()
        self._animated: dict[int, int] = {}
        self._held: tuple[str, Held] | None = None

    def __len__(self) -> int:
        return len(self.layout.labels)

    @property
    def strata(self) -> Sequence[int]:
        """The class number of every row."""
        return self.layout.labels.tolist()  # type: ignore[no-any-return]

    @property
    def groups(self) -> None:
        """None: every row stands for itself."""
        return None

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every row if the set brings its own split."""
        return self.layout.parts

    def name(self, row: int, /) -> str:
        """The file's name, or the array and the position in it."""
        return self.layout.names[row]

    def facts(self, rows: Tensor, /) -> ImageFacts:
        """Learn size, channels, mean and standard deviation from these rows.

        Only the list of the classes comes from all rows: it is part of the problem's statement.
        """
        numbers = rows.tolist()
        if not numbers:
            raise UserError(f"{self.path}: no image is left to learn from.")
        read, geometry = self._geometry(numbers)
        whites = layouts.whites(self.layout.store, rows.numpy())
        held, kept = self._read(numbers, geometry, whites)
        self._refuse_empty_classes(numbers)
        wanted = self.form.preprocessing
        mean, std = normalization(held.levels(kept), wanted)
        counts = np.bincount(self.layout.labels[kept.numpy()], minlength=len(self.classes))
        return ImageFacts(
            channels=geometry.channels, height=read[0], width=read[1],
            stored=None if read == (geometry.height, geometry.width) else
            (geometry.height, geometry.width),
            interpolation=wanted.interpolation, fit=wanted.fit, mean=mean, std=std,
            classes=self.classes, class_counts=counts.tolist(), whites=whites,
        )  # fmt: skip

    def examples(
        self, rows: Tensor, facts: ImageFacts, /
    ) -> TensorExamples | PackedExamples | StreamedExamples:
        """Decode these rows; what cannot be read is reported and left out.

        The inputs may be the source's own copy, which later calls return again: never change them
        in place.
        """
        held, kept = self._read(rows.tolist(), facts.geometry, facts.whites)
        return held.examples(kept, torch.from_numpy(self.layout.labels[kept.numpy()].copy()))

    def shapes(self, rows: Sequence[int]) -> list[Shape]:
        """Read the headers of these rows; those that fail are left out."""
        store = self.layout.store
        if isinstance(store, ArrayStore):
            return array_shapes(store, rows)
        missing = [row for row in rows if row not in self._shapes and row not in self._failed]
        self._shapes |= self._map(lambda row: pixels.header(store.raw(row)), missing)
        return [self._shapes[row] for row in rows if row in self._shapes]

    def _geometry(self, rows: Sequence[int]) -> tuple[tuple[int, int], Geometry]:
        """Height and width that the network reads, and the form that images are brought to."""
        wanted = self.form.preprocessing
        shapes = self.shapes(rows)
        self._refuse_many_failures(rows)
        read = read_size(shapes, self.form.size)
        if wanted.fit != "crop_first":
            read = min(read), min(read)
        channels = wanted.channels or max(shape.channels for shape in shapes)
        stored = stored_size(read, self.form.resize)
        crop = read if wanted.fit == "resize_first" else None
        geometry = Geometry(channels, *stored, wanted.interpolation, wanted.fit, crop)
        self._report_cropped(shapes, geometry)
        return read, geometry

    def _read(
        self, rows: Sequence[int], geometry: Geometry, whites: dict[str, float]
    ) -> tuple[Held, Tensor]:
        """Decode what has not been decoded in this form; and which of the rows can be used."""
        form = ImageRows(self.layout, self.fingerprint, rows, geometry, whites, self.progress)
        if self._held is None or self._held[0] != form.key:
            self._held = form.key, self._place(form)
        wanted = [row for row in rows if row not in self._failed]
        try:
            self._held[1].fill(wanted)
        except (OSError, NoRoom) as error:
            self._held = form.key, self._elsewhere(form, error)
            self._held[1].fill(wanted)
        held = self._held[1]
        self._report(held, wanted)
        self._refuse_many_failures(rows)
        kept = [row for row in wanted if row not in self._failed]
        return held, torch.tensor(kept, dtype=torch.int64)

    def _place(self, form: ImageRows) -> Held:
        """The place for images of this form."""
        place = keeping.place(self.form.cache, self.layout, form.size, plain=form.is_plain)
        if place == "stream":
            return self._streamed(form)
        if place == "memory":
            self._refuse_too_much(form)
            return Memory(len(self), form.shape, form.decode, form.gather)
        try:
            held = Packed(form.key, self.layout.names, form.shape, form.decode)
        except OSError as error:
            return self._elsewhere(form, error)
        if held.damage:
            where, what = f"cache {held.path}", f"was damaged: {held.damage}"
            self.problems.append(Problem(where, what, "thrown away and built anew"))
        return held

    def _elsewhere(self, form: ImageRows, error: Exception) -> Held:
        """Where to keep what the disk does not take."""
        needed = len(self) * form.size
        fits = needed <= keeping.SHARE * keeping.memory()
        what = f"cannot take the decoded images ({getattr(error, 'strerror', None) or error})"
        instead = "kept in memory" if fits else "decoded anew at each epoch, which is slower"
        remedy = f"they are {instead}; free some space, or set {shelf.VARIABLE}"
        self.problems.append(Problem(f"cache {shelf.folder()}", what, remedy))
        if fits:
            return Memory(len(self), form.shape, form.decode, form.gather)
        return self._streamed(form)

    def _streamed(self, form: ImageRows) -> Held:
        if isinstance(self.layout.store, ArrayStore):
            raise UserError(
                f"{self.path} is an array, which is read as a whole: it cannot be streamed. Set "
                "--cache memory or disk, or write the images as files."
            )
        read = Reader(self.layout.store.files, form.facts)
        return Streamed(form.key, self.layout.names, form.shape, form.decode, read)

    def _report(self, held: Held, rows: Sequence[int]) -> None:
        """Tell what is known of these rows, now or since they were packed; each row once."""
        for row in rows:
            if problem := held.index.problems.get(row):
                self._failed.add(row)
                self.problems.append(replace(problem, remedy=f"left out; {problem.remedy}"))
            elif row in held.index.frames:
                self._animated[row] = held.index.frames[row]
        self._report_animated()

    def _map(self, work: Callable[[int], Y], rows: Sequence[int]) -> dict[int, Y]:
        """Do the work for all rows in threads; failures are reported and left out."""

        def attempt(row: int) -> Y | Problem:
            return or_problem(self.name(row), lambda: work(row))

        done: dict[int, Y] = {}
        for row, found in zip(rows, in_threads(attempt, rows), strict=True):
            if isinstance(found, Problem):
                self._failed.add(row)
                self.problems.append(replace(found, remedy=f"left out; {found.remedy}"))
            else:
                done[row] = found
        return done

    def _report_animated(self) -> None:
        where = f"{self.path}: animations"
        if self._animated and all(problem.where != where for problem in self.problems):
            row = min(self._animated)
            self.problems.append(
                Problem(
                    where,
                    f"{len(self._animated)} images have several frames, such as {self.name(row)} "
                    f"with {self._animated[row]}",
                    "the first frame is used; save the others as images if they matter",
                )
            )

    def _refuse_many_failures(self, rows: Sequence[int]) -> None:
        failed = [row for row in rows if row in self._failed]
        if 2 * len(failed) > len(rows):
            problem = next(p for p in self.problems if p.where == self.name(failed[0]))
            raise UserError(
                f"{self.path}: {len(failed)} of {len(rows)} images cannot be read, such as "
                f"{problem.where}, which {problem.what}. More than half is too many to leave out: "
                "fetch or export the data again."
            )

    def _refuse_empty_classes(self, rows: Sequence[int]) -> None:
        labels = self.layout.labels
        asked = {int(labels[row]) for row in rows}
        left = {int(labels[row]) for row in rows if row not in self._failed}
        if gone := sorted(asked - left):
            names = ", ".join(self.classes[label] for label in gone)
            raise UserError(
                f"{self.path}: not one image of the class {names} can be read, so that it cannot "
                "be learned. Fetch its images again, or remove the class."
            )

    def _refuse_too_much(self, form: ImageRows) -> None:
        needed, held = len(form.rows) * form.size, keeping.memory()
        height, width = form.geometry.height, form.geometry.width
        if needed > held * keeping.SHARE:
            raise UserError(
                f"{self.path}: {len(form.rows):,} images of {height} x {width} pixels "
                f"need {needed / 2**30:.1f} GB of memory, of which there are {held / 2**30:.1f}. "
                f"Choose a smaller size than {min(height, width)}, or --cache disk."
            )

    def _report_cropped(self, shapes: Sequence[Shape], geometry: Geometry) -> None:
        wanted = geometry.width / geometry.height
        ratios = np.array([shape.width / shape.height for shape in shapes]) / wanted
        long = int(((ratios > 2) | (ratios < 0.5)).sum())
        where = f"{self.path}: aspect ratio"
        if long and all(problem.where != where for problem in self.problems):
            self.problems.append(
                Problem(
                    where,
                    f"{long} images lose more than half of their area when they are cropped to "
                    f"{geometry.width} x {geometry.height}",
                    "crop or pad them yourself if what matters lies at the rim",
                )
            )
