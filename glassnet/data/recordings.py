"""A set of recordings, whatever way it is published: which files, and what is said about them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from glassnet.data import layouts
from glassnet.data.archives import Files
from glassnet.task import Problem

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64", ".sph",
)  # fmt: skip
UNREADABLE = (".m4a", ".aac", ".wma", ".amr", ".webm", ".mp4", ".ape", ".3gp")
"""Sounds that nothing here decodes."""


def is_sound(name: str) -> bool:
    """Whether the suffix is one of a sound that can be decoded."""
    return name[name.rfind(".") :].lower() in SUFFIXES


def fingerprint(files: Files) -> str:
    """Of the sounds alone, in the order of their names, wherever they lie."""
    names = sorted(name for name in files.sizes if is_sound(name))
    shared = os.path.commonprefix(names)
    root = shared[: shared.rfind("/") + 1]
    return layouts.digest_files(files, names, root) if names else ""


@dataclass
class Found:
    """Recordings, row by row, and what is said about them."""

    files: Files
    names: list[str]
    """One for each row, as ``files.read`` wants it."""
    labels: list[str] | None = None
    """The class of each row."""
    transcripts: list[str] | None = None
    """What is said in each row."""
    speakers: list[str] | None = None
    parts: list[str] | None = None
    """'train', 'validation' or 'test' for each row, if the set brings its own split."""
    fields: dict[str, list[str]] = field(default_factory=dict)
    """Whatever else is known of the rows: columns of a list, pieces of the names."""
    form: str = ""
    """How the set is published, for people."""
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """Changes with the sounds and with all that is said about them."""
        what = [layouts.digest_files(self.files, self.names, layouts.common_root(self.names))]
        what += [repr(one) for one in (self.labels, self.transcripts, self.speakers, self.parts)]
        return hashlib.sha256("\0".join(what).encode("utf-8", "surrogateescape")).hexdigest()

    def take(self, rows: Sequence[int]) -> Found:
        """Only these rows, in this order."""

        def some(column: list[str] | None) -> list[str] | None:
            return None if column is None else [column[row] for row in rows]

        fields = {name: [column[row] for row in rows] for name, column in self.fields.items()}
        return replace(
            self, names=[self.names[row] for row in rows], labels=some(self.labels),
            transcripts=some(self.transcripts), speakers=some(self.speakers),
            parts=some(self.parts), fields=fields,
        )  # fmt: skip


def left_out(names: Sequence[str], what: str, remedy: str) -> Problem:
    """Sounds that are not used, told once for all of them."""
    return Problem(
        names[0] + (" …" if len(names) > 1 else ""), f"{len(names):,} of them {what}",
        f"left out; {remedy}", kind="unmatched sounds", items=tuple(names),
    )  # fmt: skip
