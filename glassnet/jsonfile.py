"""A JSON file that came from elsewhere, read with an error that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glassnet.errors import UserError


def read(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if there is no file.

    Raises:
        UserError: If it cannot be read, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}. Fetch it again.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: expected a JSON object. Fetch it again.")
    return value
