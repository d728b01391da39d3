"""Named data sets: where they lie, what their checksums are, and how they get to this machine.

A data set is a file ``glassnet/datasets/<name>.yaml``. ``fetch`` prepares a folder for it in the
cache: files are linked from a mirror (``GLASSNET_DATA``) if there is one, else downloaded from
their publisher; either way they are compared with their checksum. Sets that scikit-learn ships
are written out as ordinary files, so that they are read like a user's own.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import http.client
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from glassnet import listing
from glassnet.errors import UserError
from glassnet.progress import tell

Progress = Callable[[int, int], None]

ATTEMPTS = 4
TIMEOUT = 30
"""Seconds without a byte until a connection is given up."""
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Item:
    """One file of a data set; whoever has it passes one of the checksums."""

    name: str
    urls: tuple[str, ...]
    size: int = 0
    """Bytes, as published; for progress and the check of free space."""
    sha256: str = ""
    unpacked: str = ""
    """SHA-256 of the gunzipped content: mirrors may pack anew."""
    contents: str = ""
    """Fingerprint of the images or sounds in an archive that is packed anew for every download, or
    that a mirror holds as a folder of the same name."""


@dataclass(frozen=True)
class DataSet:
    """What the catalogue says about one data set."""

    name: str
    summary: str
    kind: str
    """'images', 'table', 'texts', 'corpus', 'pairs', 'dna' or 'timeline'"""
    licence: str
    homepage: str
    target: str = ""
    """The column to predict; empty for images."""
    mirror: str = ""
    """The folder that holds the files below ``GLASSNET_DATA``."""
    builtin: str = ""
    """The set of scikit-learn, or of a file beside this one, that is written out."""
    open: str = ""
    """The file to open if it is not the whole folder."""
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Names for files without a header."""
    select: Mapping[str, str] = field(default_factory=dict)
    """New name -> old name of the columns that are kept of a table."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """Knobs that go with it unless others are given, such as its customary split."""
    files: tuple[Item, ...] = ()


def names() -> list[str]:
    """List the named data sets."""
    return listing.names("datasets", ".yaml")


def describe(name: str) -> DataSet:
    """Read the entry of one data set."""
    path = listing.file("datasets", name, ".yaml")
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    items = tuple(Item(**{**item, "urls": tuple(item["urls"])}) for item in entry.pop("files", []))
    lists: Any = {key: tuple(entry.pop(key, ())) for key in ("classes", "columns")}
    return DataSet(name=name, files=items, **lists, **entry)


def fetch(name: str, *, mirror: str | None = None, progress: Progress | None = None) -> Path:
    """Return the path to a data set, bringing it to the cache if it is not there.

    ``mirror`` is a folder or an http address, by default the environment's ``GLASSNET_DATA``.
    """
    data = describe(name)
    progress = progress or partial(tell, f"downloading {name}")
    mirror = os.environ.get("GLASSNET_DATA", "") if mirror is None else mirror
    web = mirror.startswith(("http://", "https://"))
    if mirror and not web and not Path(mirror).is_dir():
        raise UserError(
            f"GLASSNET_DATA says {mirror!r}, which is no folder. Set it to a folder that holds "
            f"{data.mirror or data.name}/, to an http address, or unset it to download."
        )
    folder = cache_folder() / name
    with _disk_errors(folder, data), _locked(folder):
        if data.builtin:
            _write_builtin(data, folder)
        for item in data.files:
            local = None if web or not mirror else Path(mirror) / data.mirror
            base = f"{mirror.rstrip('/')}/{data.mirror}" if web else ""
            _bring(item, folder, local, base, progress)
        _write_sidecars(data, folder)
        if data.select:
            return _select(data, folder)
    return folder / data.open if data.open else _only_linked(data, folder)


def _only_linked(data: DataSet, folder: Path) -> Path:
    """The only file where there is one and nothing beside it, else the folder."""
    visible = [file for file in folder.iterdir() if not file.name.startswith(".")]
    return visible[0] if len(visible) == 1 else folder


def cache_folder() -> Path:
    """Where everything lies that can be fetched or made again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "glassnet"


# --- One file -------------------------------------------------------------------------------------


def _bring(
    item: Item, folder: Path, local: Path | None, base: str, progress: Progress | None
) -> None:
    """Link a file from the mirror, or keep what is cached, or download it."""
    spellings = [item.name, item.name + ".gz", item.name.removesuffix(".gz")]
    if item.contents:
        spellings.append(item.name.removesuffix(".zip"))
    for spelling in dict.fromkeys(spellings):
        found = None if local is None else local / spelling
        if found is not None and (found.is_file() or (item.contents and found.is_dir())):
            _link(item, found, folder, spellings)
            return
    for spelling in spellings:
        held = folder / spelling
        if held.is_symlink() and not held.exists():
            held.unlink()  # its mirror is gone
        if held.exists():
            return
    urls = [f"{base}/{spelling}" for spelling in dict.fromkeys(spellings[:2]) if base]
    _download(item, [*urls, *item.urls], folder / item.name, progress)


def _link(item: Item, source: Path, folder: Path, spellings: list[str]) -> None:
    link = folder / source.name
    if link.is_symlink() and link.resolve() == source.resolve():
        return  # compared when it was linked
    if not _is_genuine(item, source):
        raise UserError(
            f"{source} differs from the published {item.name}: its checksum is wrong. Replace it, "
            "or unset GLASSNET_DATA to download the file."
        )
    for spelling in spellings:
        (folder / spelling).unlink(missing_ok=True)
    try:
        link.symlink_to(source.resolve())
    except OSError:  # file systems and rights that know no links
        shutil.copyfile(source, link)


def _is_genuine(item: Item, path: Path) -> bool:
    """Whether a file, packed or not, has one of the checksums of its entry."""
    if item.sha256 and path.is_file() and _sha256(path) == item.sha256:
        return True
    if item.unpacked:
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return _sha256(path, unpack=True) == item.unpacked
    return bool(item.contents) and item.contents in _contents(path)


def _contents(path: Path) -> Iterator[str]:
    """Fingerprints of the images and of the sounds in a folder or an archive."""
    from glassnet.data import layouts, recordings
    from glassnet.data.archives import open_files

    with contextlib.suppress(UserError):
        yield layouts.find(path).digest()
    with contextlib.suppress(UserError):
        yield recordings.fingerprint(open_files(path))


def _sha256(path: Path, unpack: bool = False) -> str:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if unpack and packed else path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- The network ----------------------------------------------------------------------------------


def _download(item: Item, urls: list[str], path: Path, progress: Progress | None) -> None:
    """Try all addresses in turn; what has arrived stays in ``.part`` for the next attempt."""
    part = path.with_name(path.name + ".part")
    _require_space(item, part)
    failures = []
    for url in urls:
        resumed = part.exists()
        failure = _download_from(url, part, progress)
        if failure is None and not _is_genuine(item, part):
            part.unlink()
            # The part may have come from another address: once more, from the beginning.
            failure = _download_from(url, part, progress) if resumed else "its checksum is wrong"
            if failure is None and not _is_genuine(item, part):
                part.unlink()
                failure = "its checksum is wrong"
        if failure is None:
            part.replace(path)
            return
        failures.append(f"  {url}: {failure}")
    raise UserError(
        f"{item.name} could not be downloaded:\n" + "\n".join(failures) + "\nCheck the connection "
        "and try again (what has arrived is kept), or put the file into a folder and set "
        f"GLASSNET_DATA; it belongs to {path.parent}."
    )


def _download_from(url: str, part: Path, progress: Progress | None) -> str | None:
    """Download with retries; None, or why it failed."""
    failure = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            _wait(2.0 ** (attempt - 1))
        try:
            _stream(url, part, progress)
            return None
        except urllib.error.HTTPError as error:
            failure = f"the server answers {error.code} ({error.reason})"
            error.close()
            if error.code == 416:  # the part is longer than the file: begin anew
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                return failure
        except _NETWORK as error:
            failure = str(getattr(error, "reason", "") or error) or type(error).__name__
    return f"{failure} ({ATTEMPTS} attempts)"


def _stream(url: str, part: Path, progress: Progress | None) -> None:
    """Append to the part what is missing; raise if the connection ends too early."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "glassnet"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:  # the server knows no ranges and sends all
            start = 0
        total = start + int(answer.headers.get("Content-Length") or 0)
        done = start
        with part.open("ab" if start else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                if progress:
                    progress(done, max(total, done))
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def _require_space(item: Item, part: Path) -> None:
    needed = item.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{item.name} needs {needed:,} bytes in {part.parent}, but only {free:,} are free. "
            "Free some space, or set XDG_CACHE_HOME to a folder on another disk."
        )


@contextlib.contextmanager
def _disk_errors(folder: Path, data: DataSet) -> Iterator[None]:
    """Say what a failing disk means; a network error never gets here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"The data set {data.name} could not be written to {folder} ({error.strerror}). Free "
            "some space or give yourself the right to write, or set XDG_CACHE_HOME to a folder "
            "on another disk."
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time prepare the folder."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- What is written beside and made of them ------------------------------------------------------


def _write_sidecars(data: DataSet, folder: Path) -> None:
    for lines, name in ((data.classes, "classes.txt"), (data.columns, "columns.txt")):
        if lines:
            _write(folder / name, "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    """Write all or nothing."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".", delete=False
    ) as file:
        file.write(text)
    Path(file.name).replace(path)


def _select(data: DataSet, folder: Path) -> Path:
    """Write the table with the chosen columns under their new names."""
    chosen = folder / data.open
    with (folder / data.files[0].name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [",".join(data.select)]
    lines += [",".join(row[old] for old in data.select.values()) for row in rows]
    _write(chosen, "\n".join(lines) + "\n")
    return chosen


def _write_builtin(data: DataSet, folder: Path) -> None:
    if data.builtin == "digits":
        _write_digits(folder / data.open)
    elif data.builtin in ("blobs", "xor", "circles", "spirals"):
        from glassnet.data import shapes

        if not (folder / data.open).exists():
            _write(folder / data.open, shapes.as_csv(data.builtin))
    elif data.builtin == "brackets":
        from glassnet.data import brackets

        if not (folder / data.open).exists():
            _write(folder / data.open, brackets.as_csv())
    elif data.builtin == "planted":
        from glassnet.data import planted

        _write(folder / data.open, planted.as_csv())
    elif data.builtin == "counting":
        from glassnet.data import counting

        _write(folder / data.open, counting.text())
    elif data.builtin == "tides":
        from glassnet.data import tides

        _write(folder / data.open, tides.as_csv())
    elif data.builtin == "waves":
        from glassnet.data import waves

        _write(folder / data.open, waves.as_ts())
    elif data.builtin == "tones":
        from glassnet.data import tones

        tones.write(folder / data.open)
    elif data.builtin == "numbers":
        from glassnet.data import numerals

        _write(folder / data.open, numerals.as_table())
    elif data.builtin == "whistles":
        from glassnet.data import whistles

        if not (folder / "list.csv").exists():
            whistles.write(folder)
    else:
        _write_bunch(data, folder / data.open)


def _write_digits(path: Path) -> None:
    """Digits have 17 grey levels, 0 to 16; as pixels they go from black to white."""
    if path.exists():
        return
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        np.savez_compressed(file, x=x, y=bunch.target.astype(np.int64))
    Path(file.name).replace(path)


def _write_bunch(data: DataSet, path: Path) -> None:
    """Write a table of scikit-learn with its columns' and classes' names."""
    if path.exists():
        return
    from sklearn import datasets

    options: dict[str, Any] = {"scaled": False} if data.builtin == "diabetes" else {}
    bunch = getattr(datasets, f"load_{data.builtin}")(**options)
    columns = [name.replace(" (cm)", "_cm").replace(" ", "_") for name in bunch.feature_names]
    classes = bunch.get("target_names")
    answers = [str(v if classes is None else classes[v]) for v in bunch.target.tolist()]
    lines = [",".join([*columns, data.target])]
    for row, answer in zip(bunch.data.tolist(), answers, strict=True):
        lines.append(",".join([*(f"{value:.12g}" for value in row), answer]))
    _write(path, "\n".join(lines) + "\n")
