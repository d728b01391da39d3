"""A look at recordings: how many, how long, of what rates, and what is wrong with them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glassnet.errors import UserError
from glassnet.task import Look, Problem

SAMPLED = 400
"""Sounds that are decoded for a look, spread over the set."""
HEADERS = 20_000
"""Files whose headers are read."""
LISTED = 50
"""Members of an archive by which it is judged: a .tar.gz is slow to list as a whole."""


def look(path: str | Path, target: str | None) -> Look | None:
    """What recordings lie there; None if there are none."""
    where = Path(path).expanduser()
    if not _has_sounds(where):
        return None
    from glassnet.data import soundlayouts
    from glassnet.data.sounds import Ask, SoundRows

    target = target or None

    entry = _entry(where)
    asked = {key: value for key, value in entry.items() if key in ("names", "held_out")}
    try:
        found = soundlayouts.find(where, target=target, **asked)
    except UserError:
        if (pattern := _guessed(where)) is None:
            raise
        found = soundlayouts.find(where, names=pattern, target=target)
        what = f"nothing but the names of the files says what they are; read as {pattern}"
        found.problems.append(Problem(str(where), what, f"train with --names '{pattern}'"))
    rows = SoundRows(found, where, Ask())
    return Look("sounds", path, *_told(rows))


def _entry(where: Path) -> dict[str, Any]:
    """The knobs that go with a named data set."""
    from glassnet.data import datasets

    for name in datasets.names():
        entry = datasets.describe(name)
        if entry.kind == "sounds" and where.is_relative_to(datasets.cache_folder() / name):
            return dict(entry.knobs)
    return {}


def _told(rows: Any) -> tuple[list[tuple[str, str]], list[Problem], dict[str, Any]]:
    """Summary, problems and details."""
    from glassnet.data import soundchecks
    from glassnet.data.sounds import few

    found = rows.found
    every = range(0, len(found), max(1, len(found) // HEADERS))
    heads = rows.headers(every)
    problems = [*rows.problems, *rows.unreadable(every)]
    seconds = sorted(head.seconds for head in heads.values())
    if heads:
        rate = rows.rate(list(heads))
        some = list(heads)[:: max(1, len(heads) // SAMPLED)]
        problems += soundchecks.sampled(
            ((rows.name(r), one) for r, one in rows.decode(some, rate)), rate
        )
        problems += soundchecks.of_headers({rows.name(r): h for r, h in heads.items()}, rate)
    rates = Counter(f"{head.rate:,} Hz" for head in heads.values())
    channels = Counter(
        "mono" if h.channels == 1 else f"{h.channels} channels" for h in heads.values()
    )
    summary = [
        ("Kind", found.form),
        ("Sounds", f"{len(found):,}"),
        ("Length", _lengths(seconds, len(found) / max(1, len(heads)))),
        ("Rates", _counted(rates)),
        ("Channels", _counted(channels)),
        ("Files", _counted(Counter(head.kind for head in heads.values()))),
    ]
    labels, texts = Counter(found.labels or []), Counter(found.transcripts or [])
    people, parts = Counter(found.speakers or []), Counter(found.parts or [])
    if labels:
        summary.append(("Classes", f"{len(labels)}: {_counted(labels)}"))
    if texts:
        longest = max(texts, key=len)
        summary.append(("Transcripts", f"{len(texts):,} different, such as {longest[:80]!r}"))
    if people:
        summary.append(("Speakers", f"{len(people):,}: {_counted(people)}"))
    summary.append(("Parts", _counted(parts) or "none of its own"))
    details = {
        "num_rows": len(found), "classes": dict(labels), "parts": dict(parts),
        "speakers": dict(people), "rates": dict(rates), "channels": dict(channels),
        "seconds": sum(seconds), "transcripts": len(texts), "words": _words(texts),
        "choice": few(found.transcripts or []),
    }  # fmt: skip
    return summary, problems, details


def _words(texts: Counter[str]) -> float:
    """Words of a transcript, on average."""
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


def _lengths(seconds: Sequence[float], times: float) -> str:
    if not seconds:
        return "none can be read"
    middle, total = seconds[len(seconds) // 2], sum(seconds) * times
    whole = f"{total / 3600:.1f} h" if total > 5400 else f"{total / 60:.1f} min"
    return f"{seconds[0]:.2f} to {seconds[-1]:.2f} s, median {middle:.2f} s; {whole} in all"


def _counted(counts: Counter[str]) -> str:
    shown = [f"{name} {count:,}" for name, count in counts.most_common(10)]
    return ", ".join([*shown, "…"] if len(counts) > len(shown) else shown)


# --- Whether there are sounds ---------------------------------------------------------------------


def _has_sounds(where: Path) -> bool:
    """Whether most of what can be learned from there are sounds; only names are looked at."""
    from glassnet.data.archives import is_archive
    from glassnet.data.layouts import is_image
    from glassnet.data.recordings import is_sound

    if where.is_dir():
        names = [file.name for file, _ in zip(where.rglob("*"), range(5000), strict=False)]
    elif where.is_file() and is_archive(where):
        names = _members(where)
    else:
        return where.is_file() and _lists_sounds(where)
    num_sounds = sum(is_sound(name) for name in names)
    return num_sounds > sum(is_image(name) for name in names)


def _members(path: Path) -> list[str]:
    import tarfile
    import zipfile

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                return packed.namelist()[:5000]
        with tarfile.open(path) as tar:
            return [member.name for member, _ in zip(tar, range(LISTED), strict=False)]
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile):
        return []  # told by the reader of archives


def _lists_sounds(path: Path) -> bool:
    """Whether the first rows of a table name sounds."""
    from glassnet.data.recordings import SUFFIXES
    from glassnet.data.soundlists import SUFFIXES as TABLES

    if not path.name.lower().endswith(TABLES):
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line for line, _ in zip(file, range(20), strict=False)][1:]
    ending = "|".join(re.escape(suffix) for suffix in SUFFIXES)
    named = [line for line in lines if re.search(rf"\w({ending})\b", line, re.IGNORECASE)]
    return 2 * len(named) > len(lines)


def _guessed(where: Path) -> str | None:
    """A pattern by which the names of a flat folder fall into classes, if one is plain."""
    from glassnet.data.archives import open_files
    from glassnet.data.recordings import is_sound

    stems = [Path(name).stem for name in open_files(where).sizes if is_sound(name)]
    for sign in "_-":
        rows = [stem.split(sign) for stem in stems]
        width = len(rows[0]) if rows else 0
        if width < 2 or any(len(row) != width for row in rows):
            continue
        distinct = [len({row[place] for row in rows}) for place in range(width)]
        few = [n for n, count in enumerate(distinct) if 2 <= count <= len(rows) / 5]
        if few:
            names = [f"part{n}" for n in range(1, width + 1)]
            names[few[0]] = "label"
            return sign.join(f"{{{name}}}" for name in names)
    return None
