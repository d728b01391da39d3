"""How series are laid out at a path: which reader reads them, and which file is which part."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from glassnet.data import seriestables, tablefiles
from glassnet.data.parts import ORDER, PARTS, part_of
from glassnet.data.seriesarrays import read_npz
from glassnet.data.seriesfiles import Recorded, read_arff, read_ts, read_ucr
from glassnet.data.seriestables import Columns
from glassnet.errors import UserError

Reader = Callable[[Path], Recorded]
OWN: dict[str, Reader] = {".ts": read_ts, ".arff": read_arff}
"""Files that hold series and nothing else."""
UCR = (".tsv", ".txt")


def find(path: str | Path, columns: Columns, labelled: bool = True) -> Recorded:
    """Read series with their labels, however they lie there.

    Args:
        path: A file, or a folder with NAME_TRAIN.ts and NAME_TEST.ts, train.csv and test.csv, or
            class folders of recordings.
        columns: What the columns of tables mean.
        labelled: Whether tables must have labels.

    Raises:
        UserError: If nothing there can be read as series.
    """
    place = Path(path)
    if place.is_dir():
        return _find_folder(place, columns, labelled)
    if sides := files_of(place):
        return joined({place.name: (part_of(place.name), next(iter(sides.values()))(place))})
    if place.suffix == ".npz":
        return read_npz(place)
    return _of_table(path, columns, labelled)


def _find_folder(folder: Path, columns: Columns, labelled: bool) -> Recorded:
    if files := files_of(folder):
        return joined({file.name: (part_of(file.name), files[file](file)) for file in files})
    if seriestables.places(folder):
        return seriestables.read_folders(folder, columns)
    arrays = [file for file in sorted(folder.iterdir()) if file.suffix == ".npz"]
    if arrays:
        return joined({file.name: (part_of(file.name), read_npz(file)) for file in arrays})
    if tablefiles.table_files(folder):
        return _of_table(folder, columns, labelled)
    raise UserError(f"{folder} holds no series.\n{expected(folder)}")


def _of_table(path: str | Path, columns: Columns, labelled: bool) -> Recorded:
    read = seriestables.read_long if columns.series else seriestables.read_wide
    return read(path, columns, labelled)


def expected(path: str | Path) -> str:
    """The layouts to show to a person whose data have another."""
    return (
        f"Expected\n  {path}/NAME_TRAIN.ts and NAME_TEST.ts (also .tsv, .txt, .arff, .npz), or a "
        f"single such file\n  {path}/walking/1.csv and {path}/running/7.csv: a folder for each "
        "class, a file for each recording, a column for each channel\n  or a table: a series in "
        "each row with --target, or a measurement in each row with --series, --time and --target"
    )


def files_of(path: Path) -> dict[Path, Reader]:
    """The files at a path, with their readers, that hold series by their names; training first."""
    if path.is_file():
        return {path: reader} if (reader := _reader(path)) else {}
    if not path.is_dir():
        return {}
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    for suffixes in ((".ts",), UCR, (".arff",)):  # the same set may lie there in several formats
        held = {f: r for f in files if f.suffix.lower() in suffixes and (r := _reader(f))}
        if held:
            return dict(sorted(_of_one_set(path, held).items(), key=lambda item: _order(item[0])))
    return {}


def _of_one_set(folder: Path, held: dict[Path, Reader]) -> dict[Path, Reader]:
    """The files of the set that is called as the folder is, where several sets lie there."""
    names = {file: _set_name(file) for file in held}
    if len(set(names.values())) < 2:
        return held
    mine = {file: reader for file, reader in held.items() if names[file] == folder.name.lower()}
    if mine:
        return mine
    raise UserError(
        f"{folder} holds several sets of series: {', '.join(sorted(set(names.values())))}. Put "
        "each into a folder of its own, or give one file."
    )


def _set_name(path: Path) -> str:
    """A file's name without the part that it is: 'GunPoint_TRAIN.ts' is of 'gunpoint'."""
    words = re.split(r"(?<=[^_. -])[_. -]+", path.stem.lower())
    return "_".join(word for word in words if word not in PARTS)


def _order(path: Path) -> int:
    return ORDER.get(part_of(path.name) or "", 0)


def _reader(path: Path) -> Reader | None:
    suffix = path.suffix.lower()
    if suffix in OWN and (suffix != ".ts" or is_series(path)):
        return OWN[suffix]
    if suffix in UCR and path.stem.upper().endswith(("_TRAIN", "_TEST")) and is_ucr(path):
        return read_ucr
    return None


def is_series(path: Path) -> bool:
    """Whether a .ts file is one of series: others hold television, or a program."""
    head = _head(path)
    return any(line.lstrip().startswith(("@", "#", "%")) for line in head[:5]) or not head


def is_ucr(path: Path) -> bool:
    """Whether the first lines hold a label and numbers, and no header."""
    lines = _head(path)[:3]
    return bool(lines) and all(_numbers(line.split()) > 2 or _numbers(line.split(",")) > 2
                               for line in lines)  # fmt: skip


def _numbers(cells: list[str]) -> int:
    """How many numbers there are; 0 if a cell is none."""
    try:
        return len([float(cell) for cell in cells])
    except ValueError:
        return 0


def _head(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(200_000)
    except OSError:
        return []
    if b"\0" in data:
        return ["\0"]
    return [line for line in data.decode("utf-8-sig", "ignore").splitlines() if line.strip()]


def joined(pieces: dict[str, tuple[str | None, Recorded]]) -> Recorded:
    """The series of several files, which must have the same channels."""
    first = next(iter(pieces.values()))[1]
    whole = Recorded([], [], [], first.channels, form=first.form)
    several = len({part for part, _ in pieces.values()} - {None}) > 1
    for name, (part, found) in pieces.items():
        if len(found.channels) != len(whole.channels):
            raise UserError(
                f"{name} has {len(found.channels)} channels, {next(iter(pieces))} has "
                f"{len(whole.channels)}. All files of a set need the same channels."
            )
        whole.series += found.series
        whole.labels += found.labels
        whole.names += found.names
        whole.problems += found.problems
        if several:
            whole.parts += [part or "train"] * len(found.series)
        elif len(pieces) == 1:
            whole.parts = found.parts
    return whole
