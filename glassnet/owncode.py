"""The user's own programs: a task or network file that a run was trained with.

A run keeps a copy and always uses it, so that a later edit of the original cannot change what an
old run answers. A copy is a program, and run folders travel: it is only executed if this user
trained with that very program on this machine, or says that they trust it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from glassnet.errors import UserError
from glassnet.run import Run


def keep(run: Run, kind: str, name: str) -> None:
    """Copy the user's own file, if ``name`` is one, into the run, and remember to trust it."""
    if not name.endswith(".py"):
        return
    program = Path(name).read_bytes()
    run.write_bytes(f"own/{kind}.py", program)
    path = _trusted_list()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(hashlib.sha256(program).hexdigest() + "\n")


def find(run: Run, kind: str, name: str, trusted: bool) -> str:
    """Return ``name``, or the path of the run's copy if ``name`` is the user's own file.

    Raises UserError if the copy is missing, or this user has not trained with that program here.
    """
    if not name.endswith(".py"):
        return name
    homes = [run.path, run.path.parent]  # a fold's program lies in the run that holds the fold
    copies = [home / "own" / f"{kind}.py" for home in homes if (home / "run.json").is_file()]
    copy = next((path for path in copies if path.is_file()), None)
    if copy is None:
        raise UserError(f"{run.path} lacks its copy of the {kind} file {name} (own/{kind}.py).")
    if not trusted and hashlib.sha256(copy.read_bytes()).hexdigest() not in _trusted():
        raise UserError(
            f"{copy} is a program that this run was trained with elsewhere. Read it, and if you "
            "trust it, add --trust-code (in Python trust_code=True)."
        )
    return str(copy.resolve())


def _trusted() -> set[str]:
    path = _trusted_list()
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def _trusted_list() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "glassnet" / "trusted-programs"
