"""Small real files for the tests of ``glassnet.data``."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

SHARED = os.environ.get("GLASSNET_DATA", "")
needs_shared = pytest.mark.skipif(
    not Path(SHARED or "/nonexistent").is_dir(), reason="GLASSNET_DATA is no folder"
)


def picture(seed: int, height: int = 12, width: int = 10, mode: str = "RGB") -> Image.Image:
    """A smooth random picture, so that JPEG keeps most of it."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height)).convert(mode)


def as_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The file that Pillow writes for a picture."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def save(path: Path, image: Image.Image, **options: object) -> Path:
    """Write a picture, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def class_folders(root: Path, count: int = 4, suffix: str = ".png", **size: int) -> Path:
    """``count`` pictures each of cats and dogs."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(count):
            save(root / name / f"{number}{suffix}", picture(100 * label + number, **size))
    return root


def everything(source: object) -> torch.Tensor:
    """All rows of a source."""
    return torch.arange(len(source))  # type: ignore[arg-type]


def told(problems: object, *words: str) -> bool:
    """Whether one problem names all these words."""
    return any(all(word in str(problem) for word in words) for problem in problems)  # type: ignore[attr-defined]
