"""Is this installation sound? Devices, packages, folders, and every entry of the catalogue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassnet import catalog, device, listing, network
from glassnet.data import shelf
from glassnet.errors import UserError
from glassnet.version import __version__


@dataclass(frozen=True)
class Row:
    """One thing that was checked."""

    name: str
    found: str
    good: bool

    @property
    def mark(self) -> str:
        """'ok' or 'WRONG'."""
        return "ok" if self.good else "WRONG"


def run() -> list[Row]:
    """Check everything; nothing is changed."""
    return [_versions(), _machine(), _disk(), _data(), _cache(), *_catalogue()]


def _versions() -> Row:
    import torch

    return Row("versions", f"glassnet {__version__}, torch {torch.__version__}", True)


def _machine() -> Row:
    about = device.describe()
    accelerator = about["accelerator"] or "no accelerator"
    return Row("device", f"{device.choose('auto')}; {about['cores']} cores; {accelerator}", True)


def _disk() -> Row:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Row("free disk here", f"{free:.1f} GB", free > 1)


def _data() -> Row:
    mirror = os.environ.get("GLASSNET_DATA")
    there = mirror is None or "://" in mirror or Path(mirror).is_dir()
    return Row("GLASSNET_DATA", mirror or "not set: named data sets are downloaded", there)


def _cache() -> Row:
    held = shelf.entries()
    try:
        limit = f"limit {shelf.limit() / 1e9:.1f} GB"
    except UserError as error:
        return Row("cache of images", str(error), False)
    size = sum(entry.size for entry in held) / 1e9
    found = f"{shelf.folder()}: {size:.2f} GB in {len(held)} entries; {limit}"
    return Row("cache of images", found, True)


def clear_cache() -> Row:
    """Empty the cache of decoded images, but for what is in use."""
    freed, kept = shelf.clear()
    left = f"; {kept} entries are in use and stay" if kept else ""
    return Row("cache of images", f"{freed / 1e9:.2f} GB freed in {shelf.folder()}{left}", True)


def _catalogue() -> list[Row]:
    parts: list[tuple[str, str, Callable[[str], object]]] = [
        ("tasks", ".py", catalog.task),
        ("networks", ".py", network.find),
        ("recipes", ".yaml", catalog.recipe),
    ]
    rows = []
    for folder, suffix, load in parts:
        names = listing.names(folder, suffix)
        broken = [f"{name}: {error}" for name in names if (error := _error(load, name))]
        rows.append(Row(folder, "; ".join(broken) or f"{len(names)} load", not broken))
    return rows


def _error(load: Callable[[str], object], name: str) -> str:
    try:
        load(name)
    except Exception as error:
        return str(error)
    return ""
