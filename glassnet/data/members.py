"""What an archive may hold: names made plain, and refused where they would do harm.

Nothing is ever extracted to a place that an archive chooses; a member whose name points outside of
the archive is refused all the same, as are links, and what looks like a decompression bomb.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from glassnet.errors import UserError
from glassnet.task import Problem

MAX_BYTES = 32 * 2**30
"""What an archive may unpack to; more is taken for a decompression bomb."""
MAX_MEMBER = 2**30
MAX_MEMBERS = 5_000_000
MAX_RATIO = 1100
"""Deflate cannot pack better than 1032 : 1 (zlib's manual); bz2 and xz can, and bombs do."""
RATIO_FREE = 256 * 2**20
"""Archives that unpack to less are harmless whatever their ratio."""
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}


def checked(path: Path, sizes: Mapping[str, int]) -> dict[str, int]:
    """Refuse an archive that would climb out of its folder or fill the memory."""
    for name, size in sizes.items():
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise UserError(
                f"{path} holds a member named {name!r}, which points outside of the archive. "
                "Such archives are refused; pack the folder again with relative names."
            )
        if size > MAX_MEMBER:
            raise UserError(
                f"{path} holds {name!r} of {size:,} bytes; one member may have {MAX_MEMBER:,}. "
                "Unpack the archive yourself if you trust it, and give the folder."
            )
    total = sum(sizes.values())
    refuse_bomb(path, total)
    if len(sizes) > MAX_MEMBERS:
        raise UserError(f"{path} holds {len(sizes):,} members; the limit is {MAX_MEMBERS:,}.")
    plain = {plain_name(name): size for name, size in sizes.items()}
    return {name: plain[name] for name in sorted(plain) if not is_litter(name)}


def refuse_bomb(path: Path, total: int) -> None:
    """Refuse an archive that unpacks to this many bytes, if that is too many for its size."""
    ratio = total / max(path.stat().st_size, 1)
    if total > MAX_BYTES or (total > RATIO_FREE and ratio > MAX_RATIO):
        raise UserError(
            f"{path} unpacks to at least {total:,} bytes, {ratio:,.0f} times its size: it looks "
            f"like a decompression bomb (limit: {MAX_BYTES:,} bytes). Unpack it yourself if you "
            "trust it, and give the folder."
        )


def report_links(path: Path, links: list[str], problems: list[Problem]) -> None:
    """Tell which members are left out because they are links or devices."""
    if links:
        problems.append(
            Problem(
                str(path),
                f"{len(links)} links or devices in the archive are refused, such as {links[0]!r}",
                "pack the files themselves (tar --dereference)",
            )
        )


def plain_name(name: str) -> str:
    """The name with '/' between its parts, and no empty ones or '.'."""
    return "/".join(p for p in name.replace("\\", "/").split("/") if p not in ("", "."))


def is_litter(name: str) -> bool:
    """Whether a relative name is hidden or one of the files that systems scatter about."""
    return any(part.startswith(".") or part.lower() in _IGNORED for part in name.split("/"))


def stamp_of(path: Path) -> str:
    """Changes when an archive is written."""
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns}"
