"""The ways in which sets of labelled images are published, all read into one ``Layout``.

- a folder or archive of class folders, or of train/, validation/, test/ with class folders
- idx pairs as of MNIST (``train-images-idx3-ubyte.gz`` …; ``t10k-*`` is the test part)
- CIFAR-10's binary batches (``data_batch_1.bin`` …, ``batches.meta.txt``)
- .npz with ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``

Nothing is decoded here: arrays are loaded when their pixels are asked for, files one by one.
A text file ``classes.txt`` beside arrays names the classes, one per line.
"""

from __future__ import annotations

import functools
import hashlib
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.archives import Files, Folder, is_archive, open_files
from glassnet.data.compressed import gunzipped
from glassnet.data.order import natural
from glassnet.data.parts import ORDER, PARTS, part_of
from glassnet.data.pixels import CONVERTIBLE, SUFFIXES, white_of
from glassnet.data.threads import in_threads
from glassnet.errors import UserError
from glassnet.task import Problem

Array = NDArray[Any]

HASHED_WHOLE = 256 * 2**20
"""Files of up to this many bytes in all are fingerprinted by their whole content."""
HASHED_SAMPLE = 2000
"""Of bigger sets, names and sizes of all files and the content of this many go in."""


@dataclass(frozen=True)
class Block:
    """One array of images, loaded as a whole when one of its rows is asked for."""

    name: str
    shape: tuple[int, ...]
    """(N, H, W, C)"""
    labels: Array
    load: Callable[[], Array]
    part: str = "train"


class FileStore:
    """Raw images that are files, one per row."""

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        self.files, self.names = files, names

    def raw(self, row: int) -> bytes:
        """Return the file of a row."""
        return self.files.read(self.names[row])


class ArrayStore:
    """Raw images that are rows of arrays."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.starts = np.cumsum([0, *(block.shape[0] for block in blocks)])
        self._loaded: dict[int, Array] = {}

    def shape(self, row: int) -> tuple[int, int, int]:
        """Return (H, W, C) of a row without loading it."""
        return self.blocks[self._block(row)].shape[1:]  # type: ignore[return-value]

    def raw(self, row: int) -> Array:
        """Return one image (H, W, C)."""
        number = self._block(row)
        return self._array(number)[row - self.starts[number]]  # type: ignore[no-any-return]

    def gather(self, rows: Array) -> Array:
        """Return images of one shape (N, H, W, C)."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        found = np.empty((len(rows), *self.shape(rows[0])), self._array(numbers[0]).dtype)
        for number in np.unique(numbers):
            here = numbers == number
            found[here] = self._array(number)[rows[here] - self.starts[number]]
        return found

    def chunks(self, rows: Array, most: int = 4096) -> Iterator[tuple[np.dtype[Any], Array]]:
        """The type and the values of these rows, block by block, some thousand at a time."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(numbers):
            array = self._array(number)
            here = rows[numbers == number] - self.starts[number]
            for start in range(0, len(here), most):
                yield array.dtype, array[here[start : start + most]]
                if array.dtype == np.uint8:
                    break

    def forget(self) -> None:
        """Give the memory of the arrays back; they are loaded again when asked for."""
        self._loaded.clear()

    def _block(self, row: int) -> int:
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def _array(self, number: int) -> Array:
        if number not in self._loaded:
            self._loaded[number] = self.blocks[number].load()
        return self._loaded[number]


@dataclass
class Layout:
    """Rows, labels and parts of a set of images; no pixel has been decoded."""

    store: FileStore | ArrayStore
    names: Sequence[str]
    labels: Array
    """int64, positions in ``classes``"""
    classes: Sequence[str]
    parts: Sequence[str] | None
    digest: Callable[[], str]
    form: str
    """How the set is published, for people."""
    problems: list[Problem] = field(default_factory=list)
    stamp: Callable[[], str] = lambda: ""
    """What else changes with the content, where the digest does not look at all of it."""


def find(path: Path) -> Layout:
    """Recognize how the images at ``path`` are laid out."""
    if not path.exists():
        raise UserError(f"{path} does not exist. Check the spelling, or see `glassnet datasets`.")
    if path.suffix == ".npz":
        return _npz(path)
    if path.is_file() and _IDX.match(path.name):
        return _idx(path, Folder(path.parent), only=path.name)
    if path.is_file() and not is_archive(path):
        raise UserError(
            f"{path} is a single file, but a set of images was expected: a folder with one "
            "sub-folder per class, an archive of it, idx or .npz files."
        )
    files = open_files(path)
    bases = {name.rpartition("/")[2]: name for name in files.sizes}
    if any(_IDX.match(base) for base in bases):
        return _idx(path, files)
    if any(re.fullmatch(r"(data|test)_batch(_\d+)?\.bin", base) for base in bases):
        return _cifar(path, files)
    npz = [name for base, name in bases.items() if base.endswith(".npz")]
    if len(npz) == 1 and path.is_dir():
        return _npz(path / npz[0])
    return _tree(path, files)


# --- Trees of files -------------------------------------------------------------------------------


def expected(path: Path) -> str:
    """The layout to show to a person whose folder has another."""
    return (
        f"Expected one folder per class, such as\n  {path}/cat/1.png\n  {path}/dog/2.png\n"
        f"or parts with class folders, such as\n  {path}/train/cat/1.png\n  {path}/test/dog/9.png"
    )


def is_image(name: str) -> bool:
    """Whether the suffix is one of an image."""
    return name[name.rfind(".") :].lower() in SUFFIXES


def _tree(path: Path, files: Files) -> Layout:
    images = [name for name in files.sizes if is_image(name)]
    problems = [*files.problems, *_strangers(path, files, bool(images))]
    if not images:
        others = Counter(_suffix(name) for name in files.sizes).most_common(3)
        found = ", ".join(f"{n} × {suffix}" for suffix, n in others) or "nothing"
        convert = (
            ""
            if not any(_suffix(name) in CONVERTIBLE for name in files.sizes)
            else (" Convert them to JPEG or PNG, with `magick IN OUT.jpg` or any image program.")
        )
        raise UserError(f"{path} holds no images (found: {found}).{convert}\n{expected(path)}")
    root = common_root(images)
    split = {name: place(name[len(root) :]) for name in images}
    if any(part for part, _ in split.values()):
        split, more = _only_parts(path, split)
        problems += more
    elif all(label is None for _, label in split.values()):
        raise UserError(
            f"{path} holds {len(images)} images, but no class folders.\n{expected(path)}"
        )
    else:
        split, more = _only_classed(path, split)
        problems += more
    return _classed(path, files, root, split, problems)


def place(name: str) -> tuple[str | None, str | None]:
    """The part and the class that a relative name says; a class folder may have sub-folders."""
    steps = name.split("/")
    part = PARTS.get(steps[0].lower())
    if part and len(steps) > 1:
        return part, steps[1] if len(steps) > 2 else None
    return None, steps[0] if len(steps) > 1 else None


Split = dict[str, tuple[str | None, str | None]]


def _only_parts(path: Path, split: Split) -> tuple[Split, list[Problem]]:
    """Keep what lies in train/x/, validation/x/, test/x/ or x/ if those are class names."""
    classed = {name: place for name, place in split.items() if place[0] and place[1]}
    if not classed:
        flat: Split = {name: (None, _top(name)) for name in split}
        if len({label for _, label in flat.values()} - set(PARTS)) > 0:
            return _only_classed(path, flat)  # such as the classes 'train' and 'bus'
        raise UserError(f"{path}: train/ and test/ hold no class folders.\n{expected(path)}")
    problems = []
    bare = Counter(part for part, label in split.values() if part and not label)
    for part, count in bare.items():
        problems.append(
            Problem(
                f"{path}: {part} part",
                f"{count} images lie outside of class folders, so that they have no label",
                "left out; put them into class folders, or give them to `glassnet predict`",
            )
        )
    outside = sorted({name.split("/")[0] for name, place in split.items() if not place[0]})
    if outside:
        problems.append(
            Problem(
                str(path),
                f"beside train/ and test/ there is also {', '.join(outside[:5])}",
                "left out; move its images into one of the parts",
            )
        )
    return classed, problems


def _top(name: str) -> str | None:
    steps = name.split("/")
    return steps[-2] if len(steps) > 1 else None


def _only_classed(path: Path, split: Split) -> tuple[Split, list[Problem]]:
    bare = [name for name, (_, label) in split.items() if label is None]
    problems = []
    if bare:
        problems.append(
            Problem(
                str(path / bare[0]),
                f"{len(bare)} images lie outside of class folders, so that they have no label",
                "left out; put them into class folders",
            )
        )
    return {name: place for name, place in split.items() if place[1]}, problems


def _classed(path: Path, files: Files, root: str, split: Split, problems: list[Problem]) -> Layout:
    rows = sorted(
        split,
        key=lambda name: (ORDER[split[name][0] or "train"], natural(name[len(root) :])),
    )
    labels = [str(split[name][1]) for name in rows]
    parts = [split[name][0] or "train" for name in rows]
    classes = sorted(set(labels), key=natural)
    if odd := [name for name in classes if name.encode("utf-8", "ignore").decode() != name]:
        raise UserError(f"{path}: the class folder {odd[0]!r} is not named in UTF-8. Rename it.")
    if len(set(parts)) < 2:
        parts_or_none = None
    else:
        parts_or_none = parts
        problems += _compare_parts(path, labels, parts)
    if len(classes) < 2:
        raise UserError(
            f"{path} holds one class only ({classes[0]!r}); telling classes apart needs at least "
            f"two.\n{expected(path)}"
        )
    position = {name: number for number, name in enumerate(classes)}
    return Layout(
        store=FileStore(files, rows),
        names=rows,
        labels=np.array([position[label] for label in labels], np.int64),
        classes=classes,
        parts=parts_or_none,
        digest=lambda: digest_files(files, rows, root),
        form="images in class folders",
        problems=problems,
        stamp=lambda: "" if _is_hashed_whole(files, rows) else files.stamp(),
    )


def _compare_parts(path: Path, labels: Sequence[str], parts: Sequence[str]) -> list[Problem]:
    """Classes must be the same in all parts: one that is only tested can never be learned."""
    found: dict[str, set[str]] = {part: set() for part in dict.fromkeys(parts)}
    for label, part in zip(labels, parts, strict=True):
        found[part].add(label)
    known = found.get("train") or set().union(*found.values())
    problems = []
    for part, here in found.items():
        if unknown := sorted(here - known):
            raise UserError(
                f"{path}: the {part} part has classes that the train part lacks: "
                f"{', '.join(unknown[:10])}. Train has {', '.join(sorted(known)[:10])}. "
                "Name the folders alike in all parts."
            )
        if missing := sorted(known - here):
            problems.append(
                Problem(
                    f"{path}: {part} part",
                    f"has no images of {', '.join(missing[:10])}",
                    "nothing is known about these classes there; add images of them",
                )
            )
    return problems


def common_root(names: Sequence[str]) -> str:
    """The folders that all names share, as packed sets have them; class and part stay."""
    root = ""
    while True:
        rest = [name[len(root) :] for name in names]
        tops = {name.partition("/")[0] for name in rest}
        top = next(iter(tops))
        if len(tops) > 1 or top.lower() in PARTS or any(name.count("/") < 2 for name in rest):
            return root
        root += top + "/"


def _strangers(path: Path, files: Files, report: bool) -> Iterable[Problem]:
    others = [name for name in files.sizes if not is_image(name)] if report else []
    for suffix, count in Counter(_suffix(name) for name in others).items():
        example = next(name for name in others if _suffix(name) == suffix)
        yield Problem(
            f"{path}: {example}",
            f"{count} file{'s' if count > 1 else ''} of type {suffix} "
            f"{'cannot be read' if suffix in CONVERTIBLE else 'are no images'}",
            "left out; convert them to JPEG or PNG, with `magick IN OUT.jpg` or any image program"
            if suffix in CONVERTIBLE
            else "left out; nothing to do unless they should be images",
        )


def _suffix(name: str) -> str:
    return Path(name).suffix.lower() or "(no suffix)"


def digest_files(files: Files, names: Sequence[str], root: str) -> str:
    """A fingerprint of files: their names below ``root``, their sizes and their content."""
    sizes = [files.sizes[name] for name in names]
    step = 1 if _is_hashed_whole(files, names) else max(1, len(names) // HASHED_SAMPLE)
    hashes = in_threads(lambda name: _sha256_or_unreadable(files, name), names[::step])
    digest = hashlib.sha256("".join(hashes).encode())
    for name, size in zip(names, sizes, strict=True):
        digest.update(_as_bytes(f"{name[len(root) :]}\0{size}\n"))
    return digest.hexdigest()


def _is_hashed_whole(files: Files, names: Sequence[str]) -> bool:
    return sum(files.sizes[name] for name in names) <= HASHED_WHOLE


def _as_bytes(name: str) -> bytes:
    """The bytes that the disk has for a name: not all of them are UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def _sha256_or_unreadable(files: Files, name: str) -> str:
    try:
        return hashlib.sha256(files.read(name)).hexdigest()
    except OSError:
        return "unreadable"  # reported when it is decoded


# --- Arrays ---------------------------------------------------------------------------------------

_IDX = re.compile(r"(?P<prefix>.*?)[-_.]?(?P<what>images|labels)[-_.]idx\d-ubyte(\.gz)?$")
_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _idx(path: Path, files: Files, only: str | None = None) -> Layout:
    found: dict[str, dict[str, str]] = {}
    for name in files.sizes:
        if match := _IDX.match(name.rpartition("/")[2]):
            found.setdefault(match["prefix"], {})[match["what"]] = name
    if only is not None:
        prefix = _IDX.match(only)["prefix"]  # type: ignore[index]
        found = {prefix: found[prefix]}
    blocks = [_idx_block(path, files, prefix, pair) for prefix, pair in sorted(found.items())]
    used = [name for pair in found.values() for name in pair.values()]
    return _arrays(
        path, blocks, _names_beside(files), lambda: _digest_raw(files, used), "idx files"
    )


def _idx_block(path: Path, files: Files, prefix: str, pair: Mapping[str, str]) -> Block:
    for what in ("images", "labels"):
        if what not in pair:
            other = next(iter(pair.values()))
            raise UserError(
                f"{path}: {other} lies without its {what}. Expected "
                f"{other.replace('labels', what).replace('images', what)} beside it."
            )
    images = pair["images"]
    shape = _idx_header(path, images, _head(files.read(images)))[1]
    labels = _idx_array(path, pair["labels"], files.read(pair["labels"])).astype(np.int64)
    if len(labels) != shape[0]:
        raise UserError(
            f"{path}: {images} holds {shape[0]} images, but {pair['labels']} {len(labels)} labels. "
            "They must come from the same set; fetch both again."
        )
    return Block(
        name=prefix or images,
        shape=_four(shape),
        labels=labels,
        load=lambda: _idx_array(path, images, files.read(images)).reshape(_four(shape)),
        part=part_of(prefix) or "train",
    )


def _four(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape, 1) if len(shape) == 3 else tuple(shape)


def _idx_header(path: Path, name: str, data: bytes) -> tuple[str, tuple[int, ...], int]:
    ndim = data[3] if len(data) > 3 else 0
    if data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or not 1 <= ndim <= 4:
        raise UserError(
            f"{path}: {name} is no idx file: it must begin with two zero bytes, a type and the "
            f"number of dimensions, but begins with {data[:4]!r}. Fetch it again."
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, 4))
    return _IDX_TYPES[data[2]], shape, 4 + 4 * ndim


def _idx_array(path: Path, name: str, data: bytes) -> Array:
    data = gunzipped(data, f"{path}: {name}")
    dtype, shape, start = _idx_header(path, name, data)
    count = int(np.prod(shape))
    if len(data) - start < count * np.dtype(dtype).itemsize:
        raise UserError(
            f"{path}: {name} is cut short: its header promises {shape}, "
            f"but only {len(data) - start:,} bytes follow. Fetch it again."
        )
    array = np.frombuffer(data, dtype, count, start).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _head(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data[:64]
    try:
        return zlib.decompressobj(31).decompress(data, 64)
    except zlib.error:
        return b""


def _cifar(path: Path, files: Files) -> Layout:
    batches = [name for name in files.sizes if re.search(r"(data|test)_batch(_\d+)?\.bin$", name)]
    blocks = []
    for name in sorted(batches):
        size = files.sizes[name]
        if size % 3073 or not size:
            raise UserError(
                f"{path}: {name} has {size:,} bytes, no multiple of 3073 (a label and 32 x 32 x 3 "
                "pixels): it is cut short or no CIFAR-10 batch. Fetch it again."
            )
        labels = np.frombuffer(files.read(name), np.uint8).reshape(-1, 3073)[:, 0]
        part = "test" if "test_batch" in name else "train"
        short = name.rpartition("/")[2]
        load = _cifar_loader(files, name)
        blocks.append(Block(short, (size // 3073, 32, 32, 3), labels.astype(np.int64), load, part))
    names = _names_beside(files)
    return _arrays(path, blocks, names, lambda: _digest_raw(files, batches), "CIFAR-10 batches")


def _cifar_loader(files: Files, name: str) -> Callable[[], Array]:
    def load() -> Array:
        records = np.frombuffer(files.read(name), np.uint8).reshape(-1, 3073)
        return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))

    return load


def _names_beside(files: Files) -> list[str] | None:
    """Class names, one per line, in a text file that came with the arrays."""
    for name in files.sizes:
        if name.rpartition("/")[2] in ("classes.txt", "batches.meta.txt", "label_names.txt"):
            lines = files.read(name).decode("utf-8", "replace").splitlines()
            return [line.strip() for line in lines if line.strip()]
    return None


def _npz(path: Path) -> Layout:
    try:
        with np.load(path, allow_pickle=False) as held:
            pairs = _npz_pairs(path, held.files)
            labels = {y: held[y].reshape(-1) for _, y, _ in pairs}
            names = [str(c) for c in held["class_names"]] if "class_names" in held.files else None
        blocks = [_npz_block(path, x, labels[y], part) for x, y, part in pairs]
    except UserError:
        raise
    except TypeError as error:  # .npy under another name: one array, which cannot be entered
        raise UserError(f"{path} holds one array. Save plain arrays: {_NPZ_HOW}.") from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path} {_npz_failure(error)}. Save plain arrays: {_NPZ_HOW}.") from error
    # Over the arrays' bytes, so that packing does not matter.
    digest = functools.partial(_digest_npz, path, pairs)
    return _arrays(path, blocks, names, digest, ".npz arrays")


_NPZ_HOW = "np.savez(path, x=images, y=labels)"


def _npz_failure(error: Exception) -> str:
    if "pickle" in str(error):
        return "holds Python objects (a pickle), which glassnet never loads"
    return f"cannot be read as .npz ({error})"


def _npz_pairs(path: Path, keys: Sequence[str]) -> list[tuple[str, str, str]]:
    pairs = []
    for part in ("", "_train", "_val", "_valid", "_validation", "_test"):
        x = next((k + part for k in ("x", "X", "images") if k + part in keys), None)
        y = next((k + part for k in ("y", "Y", "labels") if k + part in keys), None)
        if x and y:
            pairs.append((x, y, PARTS.get(part[1:], "train")))
    if not pairs:
        raise UserError(
            f"{path} holds the arrays {', '.join(keys) or '(none)'}. Expected x and y (or images "
            "and labels), or x_train, y_train, x_test, y_test."
        )
    return pairs


def _npz_block(path: Path, key: str, labels: Array, part: str) -> Block:
    with zipfile.ZipFile(path) as packed, packed.open(key + ".npy") as file:
        old = np.lib.format.read_magic(file) == (1, 0)
        formats = np.lib.format
        read = formats.read_array_header_1_0 if old else formats.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("pickled objects")
    order, four = _channel_order(path, key, shape)
    if len(labels) != shape[0]:
        raise UserError(
            f"{path}: {key} holds {shape[0]} images, but there are {len(labels)} labels for them."
        )

    def load() -> Array:
        with np.load(path, allow_pickle=False) as held:
            return held[key].transpose(order).reshape(four)  # type: ignore[no-any-return]

    return Block(f"{path.name}:{key}", four, labels, load, part)


def _channel_order(
    path: Path, key: str, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len(shape) == 3:
        return (0, 1, 2), (*shape, 1)
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return (0, 1, 2, 3), shape
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return (0, 2, 3, 1), (shape[0], shape[2], shape[3], shape[1])
    raise UserError(
        f"{path}: {key} has shape {shape}. Expected (N, H, W) or (N, H, W, C) with 1, 3 or 4 "
        "channels; reshape it before saving."
    )


def _digest_npz(path: Path, pairs: Sequence[tuple[str, str, str]]) -> str:
    digest = hashlib.sha256()
    with np.load(path, allow_pickle=False) as held:
        for x, y, part in pairs:
            for array in (held[x], held[y]):
                digest.update(f"{part}{array.shape}{array.dtype.str}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _digest_raw(files: Files, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(_as_bytes(f"{name.rpartition('/')[2]}\0"))
        digest.update(hashlib.sha256(files.read(name)).digest())
    return digest.hexdigest()


def _arrays(
    path: Path,
    blocks: Sequence[Block],
    class_names: Sequence[str] | None,
    digest: Callable[[], str],
    form: str,
) -> Layout:
    blocks = sorted(blocks, key=lambda block: ORDER[block.part])
    raw = np.concatenate([block.labels for block in blocks])
    if not len(raw):
        raise UserError(f"{path} holds arrays without a single image.")
    values, labels = np.unique(raw, return_inverse=True)
    if len(values) < 2:
        raise UserError(
            f"{path} holds one class only ({values[0]!r}); telling classes apart needs two."
        )
    classes = _class_names(path, values, class_names)
    parts = [block.part for block in blocks for _ in range(block.shape[0])]
    several = len(set(parts)) > 1
    named = [classes[label] for label in labels]
    return Layout(
        store=ArrayStore(blocks),
        names=[f"{block.name} #{n}" for block in blocks for n in range(block.shape[0])],
        labels=labels.astype(np.int64),
        classes=classes,
        parts=parts if several else None,
        digest=digest,
        form=form,
        problems=_compare_parts(path, named, parts) if several else [],
    )


def _class_names(path: Path, values: Array, names: Sequence[str] | None) -> list[str]:
    if values.dtype.kind == "f" and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iubUS":
        raise UserError(f"{path}: labels are of type {values.dtype}; expected integers or names.")
    if names is None or values.dtype.kind in "US":
        return [str(value) for value in values]
    if int(values.max()) >= len(names) or int(values.min()) < 0:
        raise UserError(
            f"{path}: label {int(values.max())} has no name: only {len(names)} class names are "
            f"given ({', '.join(names[:5])} …)."
        )
    return [names[int(value)] for value in values]


def whites(store: FileStore | ArrayStore, rows: Array) -> dict[str, float]:
    """By kind of number ('f', 'i'), the value that means white in these rows of arrays."""
    found: dict[str, float] = {}
    if isinstance(store, ArrayStore):
        for dtype, block in store.chunks(rows):
            if dtype != np.uint8:
                kind = "f" if dtype.kind == "f" else "i"
                found[kind] = max(found.get(kind, 1.0), white_of(block))
    return found
