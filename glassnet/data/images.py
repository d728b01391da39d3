"""Labelled images as a source: files, archives or arrays -> one uint8 tensor.

Every image, in training and in prediction, goes through ``to_tensor`` (for whole arrays of the
right size a batched form of the same integer arithmetic). The size is learned from the training
rows, and only their headers are read for it:

- all of one size, at most 128 on the longer side: kept as they are;
- else the shorter side becomes the median shorter side, rounded down to a multiple of 8 and at
  most 128, which a laptop's CPU can still train on; ``size`` overrides it;
- if all have one aspect ratio it is kept, else images are cropped to a square.

Legend: N images, C channels, H height, W width.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from glassnet.data import keeping, layouts, pixels, shelf
from glassnet.data.archives import Files, is_archive, open_files
from glassnet.data.examples import TensorExamples
from glassnet.data.keeping import Held, Memory, Place
from glassnet.data.layouts import ArrayStore, Layout
from glassnet.data.packed import Decoded, Packed, PackedExamples
from glassnet.data.pixels import Geometry, Shape, Unreadable
from glassnet.data.shelf import NoRoom
from glassnet.data.stream import Streamed, StreamedExamples
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.knobs import Knobs
from glassnet.progress import tell
from glassnet.task import Facts, Problem

KEPT_SIZE = 128
"""The longest side, in pixels, that is kept as it is, and the cap of the default size."""

Progress = Callable[[int, int], None]
Array = NDArray[Any]
Y = TypeVar("Y")
_one_given_image = threading.Lock()
"""Pillow loads an image when it is first used; the same one may be given more than once."""


class ImageFacts(Facts):
    """What turns one raw image into a tensor, and a class number into its name."""

    kind: Literal["images"] = "images"
    channels: int
    height: int
    """Of what the network reads, in pixels."""
    width: int
    stored: tuple[int, int] | None = None
    """Height and width that images are brought to, if more than the network reads: training crops
    out of them at random, answers are given for the middle."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    fit: pixels.Fit = "crop_first"
    mean: list[float]
    """Per channel, of pixels / 255."""
    std: list[float]
    classes: list[str]
    class_counts: list[int] = []
    """Training examples of each class."""
    whites: dict[str, float] = {}
    """For arrays that are not uint8: the value of white by kind of number, 'f' or 'i'."""

    @property
    def geometry(self) -> Geometry:
        """The form that every image is brought into."""
        height, width = self.stored or (self.height, self.width)
        read = (self.height, self.width) if self.fit == "resize_first" else None
        return Geometry(self.channels, height, width, self.interpolation, self.fit, read)

    @classmethod
    def of(cls, geometry: Geometry, whites: dict[str, float]) -> ImageFacts:
        """What is needed to bring images into a form, and nothing else."""
        stored = geometry.height, geometry.width
        height, width = geometry.read or stored
        return cls(
            channels=geometry.channels, height=height, width=width, stored=stored,
            interpolation=geometry.interpolation, fit=geometry.fit, mean=[], std=[], classes=[],
            whites=whites,
        )  # fmt: skip

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """What the network reads: channels, height, width."""
        return self.channels, self.height, self.width


class Preprocessing(Knobs):
    """How pixels become numbers. Published weights bring theirs; unset knobs follow your images."""

    mean: list[float] | None = Field(
        None,
        description="Mean of each channel that is taken off, of pixels / 255. Unset: the mean of "
        "the training images.",
    )
    std: list[float] | None = Field(
        None,
        description="What each channel is then divided by. Unset: the standard deviation of the "
        "training images.",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1: grey, 3: colour. Unset: grey if all images are grey."
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="How images are resized; both without aliasing."
    )
    fit: pixels.Fit = Field(
        "crop_first",
        description="How images come to their size. crop_first: keeps a shape that all share, else "
        "crops a square, and shrinks JPEGs while decoding them. resize_first: resizes, then crops "
        "the middle square, to the pixel as torchvision and timm do. squash: presses the whole "
        "image into a square.",
    )


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


def to_tensor(image: Any, facts: ImageFacts) -> Tensor:
    """Turn a path, bytes, Pillow image, array or tensor into uint8 (C, H, W)."""
    if isinstance(image, str | Path):
        try:
            image = Path(image).expanduser().read_bytes()
        except OSError as error:
            raise Unreadable(
                f"cannot be read ({error.strerror})", "check the path and its rights"
            ) from error
    if isinstance(image, bytes | bytearray | memoryview):
        return pixels.decode(bytes(image), facts.geometry)
    if isinstance(image, Image.Image):
        with _one_given_image:
            x_CHW = pixels.from_pil(image)
        return pixels.fit(x_CHW, facts.geometry)
    array = _as_array(image)
    return pixels.fit(pixels.from_array(array, _white(array, facts.whites)), facts.geometry)


def read_raw(raw: Any, facts: ImageFacts) -> tuple[list[str], Tensor, list[Problem]]:
    """Read images without labels: a path, folder, archive, array (N, H, W[, C]) or a list of such.

    Images that cannot be read are left out and reported; it is an error if none is left.
    """
    names: list[str] = []
    problems: list[Problem] = []
    given = list(_each(raw, problems))
    form = facts.geometry
    inputs = torch.empty((len(given), form.channels, form.height, form.width), dtype=torch.uint8)

    def read(item: tuple[str, Any]) -> Tensor | Problem:
        name, image = item
        return _or_problem(name, lambda: to_tensor(image() if callable(image) else image, facts))

    for (name, _), found in zip(given, in_threads(read, given), strict=True):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            inputs[len(names)] = found
            names.append(name)
    if not names:
        reasons = "; ".join(f"{p.where} {p.what} ({p.remedy})" for p in problems[:3])
        raise UserError(f"No image to predict could be read: {reasons or 'nothing was given'}.")
    return names, inputs[: len(names)], problems


def _or_problem(name: str, work: Callable[[], Y]) -> Y | Problem:
    """Do the work on one image, or say why that is impossible."""
    try:
        return work()
    except Unreadable as error:
        return Problem(name, error.what, error.remedy)
    except OSError as error:
        return Problem(name, f"cannot be read ({error})", "check the file")


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
        mean, std = _mean_and_std(held.levels(kept))
        mean = _of_each_channel("mean", wanted.mean, mean)
        std = _of_each_channel("std", wanted.std, std)
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
            return [_array_shape(store, row) for row in _firsts(store, rows)]
        missing = [row for row in rows if row not in self._shapes and row not in self._failed]
        self._shapes |= self._map(lambda row: pixels.header(store.raw(row)), missing)
        return [self._shapes[row] for row in rows if row in self._shapes]

    def _geometry(self, rows: Sequence[int]) -> tuple[tuple[int, int], Geometry]:
        """Height and width that the network reads, and the form that images are brought to."""
        wanted = self.form.preprocessing
        shapes = self.shapes(rows)
        self._refuse_many_failures(rows)
        read = _size(shapes, self.form.size)
        if wanted.fit != "crop_first":
            read = min(read), min(read)
        channels = wanted.channels or max(shape.channels for shape in shapes)
        stored = _stored(read, self.form.resize)
        crop = read if wanted.fit == "resize_first" else None
        geometry = Geometry(channels, *stored, wanted.interpolation, wanted.fit, crop)
        self._report_cropped(shapes, geometry)
        return read, geometry

    def _read(
        self, rows: Sequence[int], geometry: Geometry, whites: dict[str, float]
    ) -> tuple[Held, Tensor]:
        """Decode what has not been decoded in this form; and which of the rows can be used."""
        form = _Wanted(self, rows, geometry, whites)
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

    def _place(self, form: _Wanted) -> Held:
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

    def _elsewhere(self, form: _Wanted, error: Exception) -> Held:
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

    def _streamed(self, form: _Wanted) -> Held:
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
            return _or_problem(self.name(row), lambda: work(row))

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

    def _refuse_too_much(self, form: _Wanted) -> None:
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


@dataclass(frozen=True)
class Reader:
    """Decodes one file by its name, in any process."""

    files: Files
    facts: ImageFacts

    def __call__(self, name: str) -> Tensor | Problem:
        """Return uint8 (C, H, W), or why there is none."""
        return _or_problem(name, lambda: to_tensor(self.files.read(name), self.facts))


class _Wanted:
    """The form that rows of a source are to be brought into."""

    def __init__(
        self,
        source: ImageSource,
        rows: Sequence[int],
        geometry: Geometry,
        whites: dict[str, float],
    ) -> None:
        # Not the source itself: it would hold what it holds in a circle, and so keep it in use.
        self.layout, self.progress = source.layout, source.progress
        self.rows, self.geometry = rows, geometry
        self.shape = geometry.channels, geometry.height, geometry.width
        self.size = geometry.channels * geometry.height * geometry.width
        self.facts = ImageFacts.of(geometry, whites)
        self.key = keeping.key(source.fingerprint, self.layout.stamp(), geometry, whites)

    @property
    def is_plain(self) -> bool:
        """Whether nothing needs decoding or resizing."""
        store = self.layout.store
        return isinstance(store, ArrayStore) and _fits(store, self.rows, self.geometry)

    def decode(self, rows: Sequence[int]) -> Iterator[Decoded]:
        """Decode these rows in threads, in order."""
        store = self.layout.store

        def one(row: int) -> tuple[Tensor | Problem, int]:
            raw = store.raw(row)
            frames = pixels.num_frames(raw) if isinstance(raw, bytes) else 1
            return to_tensor(raw, self.facts), frames

        def attempt(row: int) -> Decoded:
            found = _or_problem(self.layout.names[row], lambda: one(row))
            return (row, found, 1) if isinstance(found, Problem) else (row, *found)

        yield from in_threads(attempt, rows, self.progress)
        if isinstance(store, ArrayStore):
            store.forget()

    def gather(self, rows: Sequence[int]) -> Tensor | None:
        """All at once, where nothing needs decoding; else None."""
        store = self.layout.store
        if not isinstance(store, ArrayStore) or not _fits(store, rows, self.geometry):
            return None
        inputs = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        _gather(store, rows, inputs)
        store.forget()
        return inputs


def _size(shapes: Sequence[Shape], size: int | None) -> tuple[int, int]:
    """Height and width for all images."""
    sizes = {(shape.height, shape.width) for shape in shapes}
    one = next(iter(sizes)) if len(sizes) == 1 else None
    if one and size is None and max(one) <= KEPT_SIZE:
        return one
    if size is None:
        median = int(np.median([min(shape.height, shape.width) for shape in shapes]))
        size = min(KEPT_SIZE, max(median - median % 8, min(median, 8)))
    ratios = np.array([shape.width / shape.height for shape in shapes])
    ratio = float(np.median(ratios))
    if ratios.max() / ratios.min() > 1.02 or not 0.25 <= ratio <= 4:
        return size, size
    return (size, round(size * ratio)) if ratio >= 1 else (round(size / ratio), size)


def _stored(read: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """Height and width to store images in, whose shorter side is ``resize``."""
    shorter = min(read)
    if resize is None or resize == shorter:
        return read
    if resize < shorter:
        raise UserError(
            f"resize={resize} contradicts size={shorter}: images cannot be stored smaller than "
            "what the network reads. Raise resize, or set a smaller size."
        )
    return round(read[0] * resize / shorter), round(read[1] * resize / shorter)


def _of_each_channel(name: str, given: list[float] | None, learned: list[float]) -> list[float]:
    """The values given, if there is one for each channel; else those learned."""
    if given is None:
        return learned
    if len(given) != len(learned):
        raise UserError(
            f"preprocessing.{name} has {len(given)} values, but the images have {len(learned)} "
            "channels. Give one value for each, or set preprocessing.channels."
        )
    return given


def _mean_and_std(levels: Tensor) -> tuple[list[float], list[float]]:
    """Exact, from a histogram (C, 256), so that neither order nor threads change a bit."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for counts in levels.double():
        share = counts / counts.sum()
        average = float((share * values).sum())
        spread = float((share * (values - average) ** 2).sum()) ** 0.5
        mean.append(average)
        std.append(spread if spread > 1e-3 else 1.0)  # a constant channel must not be divided by 0
    return mean, std


def _firsts(store: ArrayStore, rows: Sequence[int]) -> list[int]:
    """One row of every array that these rows come from."""
    numbers = np.searchsorted(store.starts, np.array(rows), side="right") - 1
    return [int(store.starts[number]) for number in np.unique(numbers)]


def _array_shape(store: ArrayStore, row: int) -> Shape:
    height, width, channels = store.shape(row)
    return Shape(height, width, 1 if channels == 1 else 3)


def _fits(store: ArrayStore, rows: Sequence[int], geometry: Geometry) -> bool:
    """Whether these rows are 8-bit arrays of the right size, so that nothing needs resizing."""
    arrays = [store.raw(row) for row in _firsts(store, rows)] if rows else []
    size = (geometry.height, geometry.width)
    return (
        bool(arrays)
        and len({a.shape for a in arrays}) == 1
        and all(a.dtype == np.uint8 and a.shape[:2] == size and a.shape[2] != 4 for a in arrays)
    )


def _gather(store: ArrayStore, rows: Sequence[int], inputs: Tensor) -> None:
    """What ``to_tensor`` does, for many arrays at once."""
    for start in range(0, len(rows), 4096):
        block = torch.from_numpy(store.gather(np.array(rows[start : start + 4096])))
        inputs[start : start + len(block)] = pixels.channels(
            block.permute(0, 3, 1, 2), inputs.shape[1]
        )


def _as_array(image: Any) -> Array:
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise Unreadable(
            f"is a {type(image).__name__}",
            "give a path, bytes, a Pillow image, or an array or tensor of numbers",
        )
    return array


def _white(array: Array, whites: dict[str, float]) -> float | None:
    return whites.get("f" if array.dtype.kind == "f" else "i") if array.dtype != np.uint8 else None


def _each(raw: Any, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """Names and images, the latter perhaps to be called for."""
    if isinstance(raw, str | Path):
        yield from _each_at(Path(raw).expanduser(), problems)
    elif isinstance(raw, list | tuple):
        for number, item in enumerate(raw):
            if isinstance(item, str | Path):
                yield from _each_at(Path(item).expanduser(), problems)
            else:
                yield f"image {number}", item
    elif isinstance(raw, bytes | bytearray | Image.Image):
        yield "image 0", raw
    else:
        array = _as_array(raw)
        many = array.ndim == 4 or (array.ndim == 3 and not _is_one(array, isinstance(raw, Tensor)))
        for number, item in enumerate(array if many else array[None]):
            yield f"image {number}", item


def _is_one(array: Array, tensor: bool) -> bool:
    """Whether three axes are one image: (H, W, C), or (C, H, W) as torch has it."""
    return array.shape[-1] in (1, 3, 4) or (tensor and array.shape[0] in (1, 3, 4))


def _each_at(path: Path, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    if not path.exists():
        raise UserError(f"{path} does not exist. Give an image, a folder of images or an archive.")
    if path.is_file() and not is_archive(path):
        yield str(path), path
        return
    files = open_files(path)
    problems += files.problems
    for name in files.sizes:
        if layouts.is_image(name):
            yield name, _reader(files, name)
    if others := [name for name in files.sizes if not layouts.is_image(name)]:
        problems.append(
            Problem(f"{path}: {others[0]}", f"{len(others)} files are no images", "left out")
        )


def _reader(files: Files, name: str) -> Callable[[], bytes]:
    return lambda: files.read(name)
