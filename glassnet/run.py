"""The run folder: the only interface between training and everything that comes after it.

::

    run.json             format, versions, status, fingerprint of the data
    recipe.yaml          every knob, resolved
    facts.json           how raw inputs become tensors, and outputs answers
    splits.safetensors   row numbers: train, validation, test (sealed)
    metrics.jsonl        one row per logged step and per epoch
    events.out.tfevents… the same for TensorBoard
    model.safetensors    the kept weights;  last.safetensors  the last ones
    checkpoint/          what a resume needs
    test-openings.jsonl  when the sealed test was opened, and what it said
    own/                 copies of the user's own task or network file
    report.html          for people

Weights and states are safetensors, all else is JSON or YAML: nothing is ever unpickled. Every file
appears whole or not at all: it is written beside its place, flushed to disk, and renamed.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from glassnet.errors import UserError
from glassnet.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from glassnet.task import Splits

FORMAT = 1
"""Version of the folder's layout; raised when an older glassnet could not read it any more."""


class Run:
    """One run folder. Reads lazily, writes atomically.

    A run that is deleted as soon as it is over need not outlive a power failure: not ``durable``.
    """

    def __init__(self, path: str | Path, *, durable: bool = True) -> None:
        self.path, self.durable = Path(path), durable
        self._damaged: list[Path] = []

    @classmethod
    def create(
        cls,
        root: str | Path,
        name: str,
        recipe_yaml: str,
        info: Mapping[str, Any],
        *,
        durable: bool = True,
    ) -> Run:
        """Make a new folder ``root/name`` (``name-2`` … if taken) with recipe and run.json."""
        run = cls(_free_folder(Path(root), _slug(name)), durable=durable)
        run.write_text("recipe.yaml", recipe_yaml)
        created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        run.write_json(
            "run.json",
            {
                "format": FORMAT,
                "glassnet": __version__,
                "created": created,
                "status": "new",
                **info,
            },
        )
        return run

    def child(self, name: str, recipe_yaml: str) -> Run:
        """The run of this name inside this one, made if it is not there yet."""
        child = Run(self.path / name, durable=self.durable)
        if not child.exists("run.json"):
            child.write_text("recipe.yaml", recipe_yaml)
            child.write_json("run.json", {**self.info, "status": "new"})
        return child

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open an existing run folder; UserError if it is none, or a newer glassnet's."""
        run = cls(path)
        if not run.path.is_dir():
            raise UserError(f"There is no run folder {path}. `glassnet runs` lists those in runs/.")
        if not (run.path / "run.json").is_file():
            raise UserError(f"{path} is no run folder: it holds no run.json.")
        found = run.info.get("format")
        if not isinstance(found, int) or found > FORMAT:
            raise UserError(
                f"{path} has run format {found}, written by glassnet {run.info.get('glassnet')}; "
                f"this is glassnet {__version__}, which reads formats up to {FORMAT}. "
                "Upgrade glassnet to use this run."
            )
        return run

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    # --- Reading ----------------------------------------------------------------------------------

    @property
    def info(self) -> dict[str, Any]:
        """The contents of run.json."""
        return self.read_json("run.json")

    def update_info(self, **changes: Any) -> None:
        """Change fields of run.json."""
        self.write_json("run.json", {**self.info, **changes})

    def exists(self, name: str) -> bool:
        """Whether the folder holds this file."""
        return (self.path / name).exists()

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one JSON object."""
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path / name} is missing: the run has not come that far, or was copied "
                f"incompletely. `glassnet resume {self.path}` continues it."
            ) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"{self.path / name} is damaged: {error}") from None
        if not isinstance(value, dict):
            raise UserError(f"{self.path / name} is damaged: expected a JSON object.")
        return value

    def rows(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        """Read a file of JSON lines; a last line cut short by a crash is passed over."""
        path = self.path / name
        rows = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
        return rows

    def splits(self) -> Splits:
        """The row numbers of train, validation and test."""
        from glassnet.task import Splits

        tensors, _ = self.read_tensors("splits.safetensors")
        return Splits(**tensors)

    def facts_of_one(self) -> dict[str, Any]:
        """What ``facts.json`` says of a run of one network.

        Raises:
            UserError: If it is a k-fold run, which has a network for each fold.
        """
        if self.folds():
            raise UserError(
                f"{self.path} holds a network for each of its folds: choose one, such as "
                f"{self.path / 'fold-1'}."
            )
        return self.read_json("facts.json")

    def folds(self) -> list[Run]:
        """The runs of a k-fold run, in order; empty for an ordinary run."""
        numbers = {p.name.removeprefix("fold-"): p for p in self.path.glob("fold-*/")}
        return [Run(numbers[n]) for n in sorted(filter(str.isdecimal, numbers), key=int)]

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Read tensors and JSON facts from a safetensors file; check that they are unchanged."""
        from safetensors import SafetensorError, safe_open

        path = self.path / name
        if not path.is_file():
            raise UserError(f"{path} is missing; `glassnet resume {self.path}` continues the run.")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is damaged: {error}. {_RESTORE}") from None
        extra = metadata.get("json", "{}")
        if metadata.get("sha256") != _digest(tensors, extra):
            raise UserError(
                f"{path} is damaged: its contents do not match the checksum that was stored with "
                f"them. {_RESTORE}"
            )
        return tensors, json.loads(extra)

    # --- Writing ----------------------------------------------------------------------------------

    def write_tensors(
        self, name: str, tensors: Mapping[str, Tensor], extra: Mapping[str, Any] | None = None
    ) -> Path:
        """Write tensors and JSON facts as one safetensors file with a checksum."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        plain, text = _plain(tensors), json.dumps(extra or {})
        metadata = {"json": text, "sha256": _digest(plain, text)}

        def write(path: Path) -> None:
            try:
                save_file(plain, path, metadata)
            except SafetensorError as error:  # hides what the system said in its text
                full = "No space left" in str(error)
                raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from None

        return self._put(name, write)

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write one JSON object."""
        text = json.dumps(_strict(value), indent=1, ensure_ascii=False, allow_nan=False)
        return self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file that appears whole or not at all, even if the power fails."""
        return self._put(name, lambda path: path.write_bytes(content))

    def _put(self, name: str, write: Callable[[Path], object]) -> Path:
        """Let ``write`` fill a file beside its place, see it on the disk, and rename it."""
        path = self.path / name
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with self.writing(name):
                path.parent.mkdir(parents=True, exist_ok=True)
                write(beside)
                with open(beside, "rb+") as file:
                    self._sync(file)
                os.replace(beside, path)
                if self.durable:
                    _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                beside.unlink()
        return path

    def _sync(self, file: IO[Any]) -> None:
        """See what was written on the disk."""
        if self.durable:
            os.fsync(file.fileno())

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Say clearly why a file of the folder could not be written."""
        try:
            yield
        except OSError as error:
            raise _cannot_write(self, self.path / name, error) from error

    def append(self, name: str, *rows: Mapping[str, Any]) -> None:
        """Add rows to a file of JSON lines."""
        text = "".join(json.dumps(_strict(row), ensure_ascii=False) + "\n" for row in rows)
        with self.writing(name), open(self.path / name, "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            self._sync(file)

    def cut_rows(self, step: int) -> None:
        """Drop the metrics after ``step``: a resumed training writes them again."""
        kept = [row for row in self.rows() if row["step"] <= step]
        self.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training this run; the system frees a dead one's lock."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is being trained by another process.") from None
        except OSError as error:
            raise _cannot_write(self, self.path / ".lock", error) from error
        try:
            self._remove_leftovers()
            yield
        finally:
            lock.release()

    def _remove_leftovers(self) -> None:
        """Remove what a killed training left half-written; weights only, which the lock guards."""
        for folder in (self.path, self.path / "checkpoint"):
            for leftover in folder.glob(".*.safetensors.*.tmp"):
                leftover.unlink(missing_ok=True)

    def is_locked(self) -> bool:
        """Whether a process is training this run now."""
        try:
            with self.locked():
                return False
        except UserError:
            return True

    # --- Checkpoints ------------------------------------------------------------------------------

    def save_checkpoint(self, step: int, state: Any) -> Path:
        """Store any nesting of dicts, lists, numbers, strings and tensors; keep one older one."""
        tensors: dict[str, Tensor] = {}
        skeleton = _pack(state, "", tensors)
        path = self.write_tensors(f"checkpoint/step-{step:09d}.safetensors", tensors, skeleton)
        while self._damaged:  # only now: until here they might have been of use to somebody
            self._damaged.pop().unlink(missing_ok=True)
        for old in self._checkpoints()[:-2]:
            old.unlink()
        return path

    def load_checkpoint(self) -> tuple[Any, list[str]]:
        """The newest readable state (or None), and what was wrong with newer ones."""
        damages: list[str] = []
        for path in reversed(self._checkpoints()):
            try:
                tensors, skeleton = self.read_tensors(f"checkpoint/{path.name}")
                return _unpack(skeleton, tensors), damages
            except UserError as error:
                damages.append(str(error))
                self._damaged.append(path)
        return None, damages

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoint").glob("step-*.safetensors"))


_RESTORE = "Restore it from a copy, or train again."


def _cannot_write(run: Run, path: Path, error: OSError) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"The disk is full: {path} could not be written. Nothing that was stored before is "
            f"lost; free some room, then `glassnet resume {run.path}`."
        )
    return UserError(f"{path} could not be written: {error.strerror}. Is the folder writable?")


def _sync_folder(folder: Path) -> None:
    """Put a renaming itself on disk, where the system offers that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _free_folder(root: Path, name: str) -> Path:
    """Make a folder that no other process made; ``mkdir`` is the arbiter."""
    for number in range(1, 10_000):
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{path} could not be made: {error.strerror}.") from error
    raise UserError(f"{root} holds 10,000 runs called {name}; choose another name by --name.")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "run"


def _strict(value: Any) -> Any:
    """NaN and infinity are no JSON; they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, in plain order, none of them sharing memory, as safetensors asks.

    What is so already is not copied: a checkpoint would double the memory that training takes.
    """
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        there = tensor.detach().cpu().contiguous()
        place = there.untyped_storage().data_ptr()
        is_part = there.untyped_storage().nbytes() > there.nbytes
        plain[name] = there.clone() if is_part or place in seen else there
        seen.add(place)
    return plain


def _digest(tensors: Mapping[str, Tensor], extra: str) -> str:
    from torch import uint8

    digest = hashlib.sha256(extra.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()


def _pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Replace each tensor by a reference ``{"tensor": name}`` and collect it."""
    if hasattr(value, "detach"):
        name = place or "value"
        while name in tensors:  # {"a": {"b": …}, "a/b": …}
            name += "'"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[k, _pack(v, f"{place}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_pack(v, f"{place}/{i}", tensors) for i, v in enumerate(value)]}
    return {"value": value}


def _unpack(skeleton: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {k: _unpack(v, tensors) for k, v in content}
    return [_unpack(v, tensors) for v in content] if kind == "list" else content
