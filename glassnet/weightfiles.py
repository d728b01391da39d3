"""Files of weights, read without running anything that may be hidden in them.

``.safetensors`` holds numbers and names only. ``.pth``, ``.pt``, ``.bin`` and ``.ckpt`` are
pickles, which can call any function of Python when they are opened: torch's restricted reader
builds tensors and plain containers and refuses everything else, and so do we.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet.errors import UserError

Shapes = Mapping[str, tuple[int, ...]]
"""The names of tensors, with their shapes."""

INDEX = ".index.json"
"""How the list of the parts of a file that was cut into several ends."""
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
SUFFIXES = (".safetensors", *PICKLES)
IN_FOLDER = (
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
"""Names under which the Hub keeps weights, the best first."""

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training programs keep the weights beside their other states."""
_PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before each name."""


def in_folder(folder: Path) -> Path:
    """Return the file of weights in a folder that is laid out like a repository of the Hub."""
    found = [folder / name for name in IN_FOLDER if (folder / name).is_file()]
    if not found:
        inside = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        if len(inside) != 1:
            names = ", ".join(path.name for path in inside) or "none of them"
            raise UserError(
                f"{folder} must hold a run (run.json) or weights ({' or '.join(IN_FOLDER[::2])}), "
                f"found {names}. Name the file itself by --weights FILE."
            )
        found = inside
    return found[0]


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a file; of safetensors, only the header is read."""
    found: dict[str, tuple[int, ...]] = {}
    for part in _parts(path):
        if part.suffix == ".safetensors":
            with _safe(part) as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        else:
            found |= {name: tuple(tensor.shape) for name, tensor in _unpickled(part).items()}
    return _bare(found)


def tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, in single precision if they are floats of another one."""
    found: dict[str, Tensor] = {}
    for part in _parts(path):
        if part.suffix == ".safetensors":
            with _safe(part) as file:
                found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        else:
            found |= _unpickled(part)
    single = {n: t.to(torch.float32) if t.is_floating_point() else t for n, t in found.items()}
    return _bare(single)


def _parts(path: Path) -> list[Path]:
    """The file itself, or those that an index lists."""
    if not path.name.endswith(INDEX):
        if path.suffix not in SUFFIXES:
            raise UserError(
                f"{path} is no file of weights: its name must end in {', '.join(SUFFIXES)}."
            )
        return [path]
    names = parts_of(path)
    if missing := [name for name in names if not (path.parent / name).is_file()]:
        raise UserError(f"{path} lists {', '.join(missing)}, which are not beside it: copy them.")
    return [path.parent / name for name in names]


def parts_of(index: Path) -> list[str]:
    """The names of the files that an index lists."""
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        # The last part of each path alone: an index must not lead out of its folder.
        return sorted({Path(name).name for name in listed})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{index} is damaged: {error}. {_AGAIN}") from None


@contextmanager
def _safe(path: Path) -> Iterator[Any]:
    """Open a safetensors file; a damaged one is told as such."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise _missing(path) from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is no safetensors file, or is cut short: {error}. {_AGAIN}"
        ) from None


def _unpickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of torch.save; memory-mapped where its format allows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are refused anyway
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
            )
    except FileNotFoundError:
        raise _missing(path) from None
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        # torch's text goes on with guesses; its first sentence says what happened.
        text = str(error).partition(". ")[0] or type(error).__name__
        raise UserError(f"{path} is cut short, damaged or no file of torch ({text}). {_AGAIN}")\
            from None  # fmt: skip
    return _state(path, content)


def _refused(path: Path, text: str) -> UserError:
    """Say which function or class a pickle asked for."""
    found = re.search(r"GLOBAL (\S+)", text)
    if found is None:
        return UserError(f"{path} is damaged or no file of torch. {_AGAIN}")
    return UserError(
        f"{path} holds more than tensors: it asks for {found[1]} of Python. Such a file can run "
        "any program, so it is not opened. Where you trust it, write its tensors alone, by "
        "`safetensors.torch.save_file(model.state_dict(), 'model.safetensors')`, and give that."
    )


def _state(path: Path, content: Any) -> dict[str, Tensor]:
    """Find the weights among the other states that a training program stores."""
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    found = content if isinstance(content, Mapping) else {}
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        inside = ", ".join(map(str, found)) or type(content).__name__
        raise UserError(
            f"{path} must hold named tensors, as `torch.save(model.state_dict(), …)` writes them, "
            f"alone or under one of {', '.join(_WRAPPERS)}; found {inside:.200}."
        )
    return tensors


def _bare(found: dict[str, Any]) -> dict[str, Any]:
    """Take off what wrappers put before every name."""
    while found:  # in any order: a compiled network in DataParallel, or the other way round
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _missing(path: Path) -> UserError:
    return UserError(f"There is no file of weights {path}.")


_AGAIN = "Fetch it again, and compare its size with what its source says."
