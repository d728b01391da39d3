"""Transcripts in files of their own beside sounds: LibriSpeech, CMU Sphinx, or a text for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from glassnet.data import layouts
from glassnet.data.archives import Files
from glassnet.data.order import natural
from glassnet.data.recordings import Found, left_out
from glassnet.data.textfolders import decoded, lines
from glassnet.errors import UserError
from glassnet.task import Problem

BESIDE = (".txt", ".lab")
"""Suffixes of a transcript that lies beside its sound."""


def librispeech(files: Files, sounds: list[str]) -> Found:
    """``train-clean-100/103/1240/103-1240-0000.flac`` and ``…/103-1240.trans.txt``."""
    said: dict[str, str] = {}
    odd: list[Problem] = []
    for name in files.sizes:
        if name.endswith(".trans.txt"):
            folder = name.rpartition("/")[0]
            for line in lines(_text(files, name, odd)):
                key, _, words = line.strip().partition(" ")
                said[f"{folder}/{key}" if folder else key] = words.strip()
    found = _matched(files, sounds, said, "LibriSpeech's folders", odd)
    found.speakers = [name.rpartition("/")[2].partition("-")[0] for name in found.names]
    tops = [[s.partition("-")[0] for s in name.split("/")[:-1]] for name in found.names]
    parts = [next((p for s in steps if (p := _PART.get(s))), "train") for steps in tops]
    found.parts = parts if len(set(parts)) > 1 else None
    return found


_PART = {"train": "train", "dev": "validation", "test": "test"}


def sphinx(path: Path, files: Files, sounds: list[str]) -> Found:
    """``etc/an4_train.fileids`` and ``etc/an4_train.transcription``, sounds below ``wav/``."""
    said: dict[str, str] = {}
    part_of: dict[str, str] = {}
    odd: list[Problem] = []
    stem_of = _by_ends([name[: name.rfind(".")] for name in sounds])
    for name in (n for n in files.sizes if n.endswith(".fileids")):
        other = name.removesuffix(".fileids") + ".transcription"
        if other not in files.sizes:
            raise UserError(f"{path / name} needs {Path(other).name} beside it, which is missing.")
        written = lines(_text(files, other, odd))
        words = dict(_sphinx_line(line) for line in written if line.strip())
        named = PurePosixPath(name).stem.lower()
        part = "test" if "test" in named else "validation" if _DEV.search(named) else "train"
        for one in _text(files, name, odd).split():
            stem = stem_of.get(one, one)
            said[stem] = words.get(one.rpartition("/")[2], words.get(one, ""))
            part_of[stem] = part
    found = _matched(files, sounds, said, "the lists of CMU Sphinx", odd)
    found.parts = [part_of[name[: name.rfind(".")]] for name in found.names]
    if len(set(found.parts)) < 2:
        found.parts = None
    folders = [name.split("/")[-2] if "/" in name else "" for name in found.names]
    found.speakers = folders if len(set(folders)) > 1 else None
    return found


_DEV = re.compile(r"(^|_)(dev|devel|val|valid|validation)(_|$)")


def _by_ends(stems: Sequence[str]) -> dict[str, str]:
    """Each stem by itself and by all that it may end with from a folder on."""
    found: dict[str, str] = {}
    for stem in stems:
        steps = stem.split("/")
        for first in range(len(steps)):
            found.setdefault("/".join(steps[first:]), stem)
    return found


def _sphinx_line(line: str) -> tuple[str, str]:
    """``<s> HELLO WORLD </s> (an1-fash-b)`` -> the utterance and its words."""
    words, _, key = line.strip().rpartition("(")
    return key.rstrip(") "), re.sub(r"</?s>", " ", words).strip()


def beside(files: Files, sounds: list[str]) -> Found:
    """A text of the same name beside each sound."""
    said = {}
    odd: list[Problem] = []
    for name in files.sizes:
        stem = name[: name.rfind(".")]
        if name.lower().endswith(BESIDE) and not name.rpartition("/")[2].lower().startswith(
            "readme"
        ):
            said[stem] = " ".join(_text(files, name, odd).split())
    found = _matched(files, sounds, said, "a text beside each sound", odd)
    places = [layouts.place(name)[0] for name in found.names]
    found.parts = [p or "train" for p in places] if len(set(places)) > 1 else None
    return found


def _text(files: Files, name: str, odd: list[Problem]) -> str:
    try:
        return decoded(files.read(name), name, odd)
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error}). Check its rights.") from None
    except UserError as error:
        raise UserError(f"{name} {error}. Expected the transcript of a sound.") from None


def _matched(
    files: Files, sounds: list[str], said: dict[str, str], form: str, odd: Sequence[Problem]
) -> Found:
    """Sounds with the transcripts of their stems; what has no partner is told and left out."""
    stems = {name: name[: name.rfind(".")] for name in sounds}
    names = sorted((name for name in sounds if stems[name] in said), key=natural)
    problems = [replace(odd[0], items=tuple(one.where for one in odd))] if odd else []
    if mute := [name for name in sounds if stems[name] not in said]:
        problems.append(left_out(mute, "have no transcript", "write what they say"))
    if deaf := sorted(set(said) - set(stems.values())):
        problems.append(left_out(deaf, "are transcripts without a sound", "fetch the sounds"))
    return Found(files, names, None, [said[stems[name]] for name in names], form=form,
                 problems=problems)  # fmt: skip
