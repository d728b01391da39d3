"""The ways in which sets of recordings are published, all read into one ``Found``.

- class folders, or train/, validation/, test/ with class folders; Speech Commands' lists of parts
- a list (CSV, TSV, JSON lines, LJSpeech's bars) with a path and a label or transcript in each row
- LibriSpeech's ``*.trans.txt``; the ``etc/*.fileids`` and ``*.transcription`` of CMU Sphinx (AN4)
- a .txt of the same name beside each sound
- a flat folder whose file names say it all, by a pattern such as ``{label}_{speaker}_{take}``

Both tasks of sounds read them through ``find``. Nothing is decoded here, and no row is left out
because of its sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from glassnet.data import layouts, soundlists, soundtexts
from glassnet.data.archives import Files, Folder, is_archive, open_files
from glassnet.data.order import natural
from glassnet.data.parts import ORDER
from glassnet.data.recordings import UNREADABLE, Found, is_sound, left_out
from glassnet.errors import UserError, nearest
from glassnet.task import Problem

NOISE_FOLDERS = ("_background_noise_",)
"""Of Speech Commands: minutes of noise to mix in, no class."""


def find(
    path: str | Path,
    *,
    names: str | None = None,
    target: str | None = None,
    text: str | None = None,
    held_out: str | None = None,
) -> Found:
    """Recognize how the recordings at ``path`` are laid out.

    Args:
        path: A folder, an archive, or a list of recordings.
        names: A pattern of the file names, such as ``{label}_{speaker}_{take}``.
        target: The column of a list, or the piece of the names, that holds the labels.
        text: The column of a list that holds the transcripts.
        held_out: Rows that are the test part: a speaker (or several, with commas), or a field and
            its values, such as ``take=0,1,2``.

    Raises:
        UserError: If there are no recordings, or nothing is said about them.
    """
    place = Path(path).expanduser()
    found = _find(place, names, target, text)
    found.problems = [*found.files.problems, *_unreadable(place, found.files), *found.problems]
    return found if held_out is None else _held_out(place, found, held_out)


def expected(path: str | Path) -> str:
    """The layouts to show to a person whose data have another."""
    return (
        f"Expected one folder per class, such as\n  {path}/yes/1.wav\n  {path}/no/2.wav\n"
        f"or a list such as {path}/labels.csv with the columns path and label (or path and text),\n"
        f"or a transcript beside each sound, such as {path}/1.wav and {path}/1.txt,\n"
        "or file names that say it, told by a pattern such as --names '{label}_{speaker}_{take}'"
    )


def _find(path: Path, pattern: str | None, target: str | None, text: str | None) -> Found:
    if path.is_file() and not is_archive(path):
        return soundlists.of_file(path, target, text)
    files = open_files(path)
    sounds = [name for name in files.sizes if is_sound(name)]
    if not sounds:
        others = ", ".join(list(files.sizes)[:5]) or "nothing"
        strange = [n for n in files.sizes if Path(n).suffix.lower() in UNREADABLE]
        hint = f"\n{_convert(strange[0])}" if strange else ""
        raise UserError(f"{path} holds no sounds (found: {others}).{hint}\n{expected(path)}")
    if pattern is not None:
        return _of_names(path, files, sounds, pattern, target)
    if isinstance(files, Folder) and (lists := soundlists.below(path, files)):
        return soundlists.of_folder(path, files, lists, target, text)
    if any(name.endswith(".trans.txt") for name in files.sizes):
        return soundtexts.librispeech(files, sounds)
    if any(name.endswith(".fileids") for name in files.sizes):
        return soundtexts.sphinx(path, files, sounds)
    stems = {
        name[: name.rfind(".")] for name in files.sizes if name.lower().endswith(soundtexts.BESIDE)
    }
    beside = [name for name in sounds if name[: name.rfind(".")] in stems]
    if 2 * len(beside) >= len(sounds):
        return soundtexts.beside(files, sounds)
    return _class_folders(path, files, sounds)


# --- Class folders --------------------------------------------------------------------------------


def _class_folders(path: Path, files: Files, sounds: list[str]) -> Found:
    noise = [name for name in sounds if any(part in NOISE_FOLDERS for part in name.split("/"))]
    sounds = [name for name in sounds if name not in set(noise)]
    if not sounds:
        raise UserError(f"{path} holds background noise alone.\n{expected(path)}")
    root = layouts.common_root(sounds)
    places = {name: layouts.place(name[len(root) :]) for name in sounds}
    has_parts = any(part and label for part, label in places.values())
    kept = {n: p for n, p in places.items() if p[1] and (p[0] or not has_parts)}
    if not kept:
        raise UserError(
            f"{path} holds {len(sounds)} sounds, such as {sounds[0]}, but nothing says what they "
            f"are.\n{expected(path)}"
        )
    names = sorted(kept, key=lambda n: (ORDER[kept[n][0] or "train"], natural(n)))
    labels = [str(kept[name][1]) for name in names]
    parts = [kept[name][0] or "train" for name in names]
    problems = []
    if noise:
        what = f"{len(noise)} sounds lie in {NOISE_FOLDERS[0]}, which is no class"
        problems.append(Problem(noise[0], what, "left out", level="note"))
    if outside := [name for name in sounds if name not in kept]:
        what = "lie outside of class folders, so that they have no label"
        problems.append(left_out(outside, what, "put them into class folders"))
    found = Found(files, names, labels, form="sounds in class folders", problems=problems)
    found.parts = parts if len(set(parts)) > 1 else _listed_parts(files, names)
    people = [re.match(r"(\w+?)_nohash_", name.rpartition("/")[2]) for name in names]
    if all(people):
        found.speakers = [match[1] for match in people if match]
    return found


def _listed_parts(files: Files, names: Sequence[str]) -> list[str] | None:
    """The parts by Speech Commands' validation_list.txt and testing_list.txt."""
    part_of: dict[str, str] = {}
    for name in files.sizes:
        part = {"validation_list.txt": "validation", "testing_list.txt": "test"}.get(
            name.rpartition("/")[2]
        )
        if part:
            lines = files.read(name).decode("utf-8", "replace").split("\n")
            part_of |= {line.strip(): part for line in lines if line.strip()}
    if not part_of:
        return None
    return [part_of.get("/".join(name.split("/")[-2:]), "train") for name in names]


# --- Names that say it all ------------------------------------------------------------------------


def _of_names(
    path: Path, files: Files, sounds: list[str], pattern: str, target: str | None
) -> Found:
    match = _compiled(pattern)
    read: dict[str, dict[str, str]] = {}
    for name in sorted(sounds, key=natural):
        stem = name[: name.rfind(".")]
        if said := match(stem if "/" in pattern else stem.rpartition("/")[2]):
            read[name] = said
    if not read:
        raise UserError(
            f"{path}: not one of {len(sounds)} names is like {pattern!r}, such as {sounds[0]}. "
            "Write the name without its ending, with {label} where the class stands."
        )
    fields = list(next(iter(read.values())))
    label = target or ("label" if "label" in fields else None)
    if label is not None and label not in fields:
        raise UserError(f"{path}: {pattern!r} has no {{{label}}}.{nearest(label, fields)}")
    columns = {name: [said[name] for said in read.values()] for name in fields}
    problems = []
    if others := [name for name in sounds if name not in read]:
        problems.append(left_out(others, f"have no name like {pattern}", "rename them"))
    return Found(
        files, list(read), columns[label] if label else None, columns.get("text"),
        columns.get("speaker"), fields=columns, form=f"sounds named {pattern}", problems=problems,
    )  # fmt: skip


def _compiled(pattern: str) -> Callable[[str], dict[str, str] | None]:
    """A reader of names: each ``{field}`` takes as few letters as it can."""
    pieces = re.split(r"\{(\w+)\}", pattern)
    fields = pieces[1::2]
    if not fields or len(set(fields)) < len(fields):
        raise UserError(
            f"names={pattern!r} must have different fields in braces, such as "
            "{label}_{speaker}_{take}."
        )
    parts = [re.escape(p) if n % 2 == 0 else f"(?P<{p}>.+?)" for n, p in enumerate(pieces)]
    form = re.compile("".join(parts))

    def read(name: str) -> dict[str, str] | None:
        match = form.fullmatch(name)
        return match.groupdict() if match else None

    return read


def _held_out(path: Path, found: Found, asked: str) -> Found:
    """The same with the asked rows as the test part."""
    name, equals, values = asked.partition("=")
    if not equals:
        name, values = "speaker", asked
    columns = dict(found.fields)
    if found.speakers is not None:
        columns["speaker"] = found.speakers
    if name not in columns:
        raise UserError(
            f"held_out={asked!r}: nothing says the {name} of a sound of {path}. Known: "
            f"{', '.join(columns) or 'nothing'}. A list with such a column, or --names with "
            f"{{{name}}}, would say it."
        )
    wanted = {value.strip() for value in values.split(",")}
    known = set(columns[name])
    if missing := sorted(wanted - known):
        some = ", ".join(sorted(known, key=natural)[:10])
        raise UserError(f"held_out={asked!r}: there is no {name} {missing[0]!r}; there is {some}.")
    if wanted == known:
        raise UserError(f"held_out={asked!r} leaves nothing to train on: it names every {name}.")
    before = found.parts or ["train"] * len(found)
    parts = [
        "test" if value in wanted else "train" if part == "test" else part
        for value, part in zip(columns[name], before, strict=True)
    ]
    return replace(found, parts=parts)


# --- What is told ---------------------------------------------------------------------------------


def _unreadable(path: Path, files: Files) -> list[Problem]:
    strange = [name for name in files.sizes if Path(name).suffix.lower() in UNREADABLE]
    if not strange:
        return []
    what = f"{len(strange)} sounds are of a kind that cannot be decoded"
    return [Problem(strange[0], what, f"left out; {_convert(strange[0])}", items=tuple(strange))]


def _convert(name: str) -> str:
    return f"convert them: ffmpeg -i {name} {Path(name).stem}.flac"
