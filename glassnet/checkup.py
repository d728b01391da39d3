"""Is this installation sound? Devices, packages, folders, and every entry of the catalogue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassnet import catalog, device, listing, network
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
    return [_versions(), _machine(), _disk(), _data(), *_catalogue()]


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
