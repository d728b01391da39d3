"""One compressed file (gzip, bzip2, xz, or a zip of one file) -> its plain bytes, in memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import IO, cast

from glassnet.data.archives import open_files
from glassnet.errors import UserError

MAX_GUNZIPPED = 16 * 2**30
"""What a single .gz may unpack to, all of which is held in memory."""


def unpacked(data: bytes, where: str) -> bytes:
    """Unpack gzip, bzip2, xz, or a zip of one file; all else as it is. ``where`` is for messages.

    All members count: bgzip writes many, and ``cat a.gz b.gz`` joins two.
    """
    if data[:3] == b"BZh":
        return _inflated(bz2.open(io.BytesIO(data)), where)
    if data[:6] == b"\xfd7zXZ\0":
        return _inflated(lzma.open(io.BytesIO(data)), where)
    if data[:2] == b"PK" and where.lower().endswith(".zip"):
        return _only_member(Path(where))
    return gunzipped(data, where)


def gunzipped(data: bytes, where: str) -> bytes:
    """Unpack what is gzip, and return everything else as it is; ``where`` is for messages."""
    if data[:2] != b"\x1f\x8b":
        return data
    return _inflated(cast(IO[bytes], gzip.open(io.BytesIO(data))), where)


def _inflated(packed: IO[bytes], where: str) -> bytes:
    plain = io.BytesIO()
    try:
        with packed:
            while block := packed.read(1 << 20):
                plain.write(block)
                if plain.tell() > MAX_GUNZIPPED:
                    raise UserError(
                        f"{where} unpacks to more than {MAX_GUNZIPPED:,} bytes. Unpack it "
                        "yourself, and split it."
                    )
    except EOFError as error:
        raise UserError(f"{where} is cut short. Fetch it again.") from error
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{where} is damaged ({error}). Fetch it again.") from error
    return plain.getvalue()


def _only_member(path: Path) -> bytes:
    files = open_files(path)
    if len(files.sizes) != 1:
        raise UserError(
            f"{path} holds {len(files.sizes)} files; a packed table is one. Unpack it, and give "
            "the folder."
        )
    try:
        return files.read(next(iter(files.sizes)))
    except OSError as error:
        raise UserError(f"{path} is {error}. Fetch it again.") from error
