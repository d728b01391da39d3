"""The Hugging Face Hub: a repository's weights and descriptions, kept in a folder of this machine.

The library `huggingface_hub` does the work: its cache (``HF_HOME``), its mirror (``HF_ENDPOINT``),
its token for what is not public (``HF_TOKEN``), and ``HF_HUB_OFFLINE=1``, with which only what is
in the cache is used. What is new here: progress, errors that say what to do, and that a name is
bound to the commit that was found first, so that a run does not change when its source does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glassnet import weightfiles
from glassnet.errors import UserError
from glassnet.progress import tell

NAME = re.compile(r"(?:https://huggingface\.co/|hf-hub:)?([\w.-]+/[\w.-]+?)/?(?:@([\w./-]+))?")
"""``owner/name``, or with a branch, tag or commit: ``owner/name@revision``."""
TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt",
    "spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
DESCRIPTIONS = (
    "config.json", "preprocessor_config.json", "tokenizer_config.json", "special_tokens_map.json",
    *TOKENIZERS,
)  # fmt: skip
TIMEOUT = 10  # seconds until the Hub counts as out of reach

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_name(origin: str) -> bool:
    """Whether something is written like a repository of the Hub."""
    return NAME.fullmatch(origin) is not None and not origin.endswith(weightfiles.SUFFIXES)


def pinned(origin: str) -> str:
    """``owner/name@commit`` for a name of the Hub; what it holds is fetched on the way."""
    return f"{_parted(origin)[0]}@{folder(origin).name}"


def folder(origin: str, beside: Sequence[str] = ()) -> Path:
    """Return the folder that holds the repository's weights and descriptions, fetched if need be.

    Its name is the commit. What is in the cache is enough if one of ``beside`` is with it: other
    programs keep weights without their tokenizer.

    Raises:
        UserError: If the Hub cannot be reached and nothing is cached, or there is no such
            repository, or it is not public, or it holds no weights that can be read.
    """
    from huggingface_hub import HfApi, errors

    name, revision = _parted(origin)
    kept = _cached(name, revision) if _COMMIT.fullmatch(revision) else None
    if kept and (not beside or any((kept / file).exists() for file in beside)):
        return kept
    try:
        with _refusals(name, revision):
            found = HfApi().model_info(name, revision=revision, timeout=TIMEOUT)
    except (errors.HTTPError, OSError) as error:
        if kept := _cached(name, revision):
            return kept
        raise _unreachable(name, error) from None
    files = {file.rfilename for file in found.siblings or ()}
    weights = next((file for file in weightfiles.IN_FOLDER if file in files), None)
    if weights is None:
        held = sorted(file for file in files if file.endswith(weightfiles.SUFFIXES))
        raise UserError(
            f"{name} on the Hugging Face Hub holds none of {', '.join(weightfiles.IN_FOLDER)}, but "
            f"{', '.join(held[:5]) or 'no weights of torch at all'}. Download the file that you "
            "want from its page, and give that by --weights FILE."
        )
    try:
        for file in DESCRIPTIONS:
            if file in files:
                _fetch(name, file, str(found.sha))
        # By the branch's name, which the cache then knows without a connection, too.
        path = _fetch(name, weights, revision)
        if weights.endswith(weightfiles.INDEX):
            for part in weightfiles.parts_of(path):
                _fetch(name, part, str(found.sha))
    except (errors.HTTPError, errors.EntryNotFoundError, OSError) as error:
        raise _unreachable(name, error) from None
    # The branch may have moved in between: no two commits may be mixed.
    return path.parent if path.parent.name == found.sha else folder(origin, beside)


def _parted(origin: str) -> tuple[str, str]:
    found = NAME.fullmatch(origin)
    assert found is not None
    return found[1], found[2] or "main"


def _cached(name: str, revision: str) -> Path | None:
    """The folder of this revision in the cache, if weights are in it: they are fetched last."""
    from huggingface_hub import try_to_load_from_cache

    for file in weightfiles.IN_FOLDER:
        found = try_to_load_from_cache(name, file, revision=revision)
        if isinstance(found, str):
            path = Path(found)
            parts = weightfiles.parts_of(path) if file.endswith(weightfiles.INDEX) else []
            return path.parent if all((path.parent / part).exists() for part in parts) else None
    return None


def _fetch(name: str, file: str, revision: str) -> Path:
    """Bring one file into the cache, if it is not there already."""
    from huggingface_hub import hf_hub_download

    with _refusals(name, revision):
        told = _bar(f"fetching {name}")
        return Path(hf_hub_download(name, file, revision=revision, tqdm_class=told))


@contextmanager
def _refusals(name: str, revision: str) -> Iterator[None]:
    """Turn the Hub's refusals into what to do; a failed connection passes on."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{name} is given only to those who accept its terms: open "
            f"https://huggingface.co/{name}, accept them, and set HF_TOKEN to a token of yours."
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(
            f"{name} on the Hugging Face Hub has no branch, tag or commit {revision!r}; without "
            f"`@{revision}` the newest is taken."
        ) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UserError(
            f"There is neither a file nor a folder {name} here, nor a public model of this name on "
            "the Hugging Face Hub. Compare it with the title of its page, owner/name; if it is "
            "private, set HF_TOKEN to a token of yours."
        ) from None


def _unreachable(name: str, error: Exception) -> UserError:
    from huggingface_hub import constants

    cause = (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]
    why = (
        "HF_HUB_OFFLINE is set, and the cache lacks it"
        if constants.HF_HUB_OFFLINE
        else f"the Hugging Face Hub ({constants.ENDPOINT}) cannot be reached ({cause:.200}), and "
        "the cache lacks it"
    )
    cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    return UserError(
        f"There is no file or folder {name} here, and weights of this name on the Hub cannot be "
        f"fetched: {why}. Without a connection: fetch them on another "
        f"machine and copy its folder {cached.name} into {cached.parent} here; or download "
        "config.json and model.safetensors from their page into a folder, and give --weights "
        "FOLDER."
    )


def _bar(what: str) -> type[Any]:
    """A class like tqdm's, which tells how many bytes have come to whoever listens."""
    from tqdm.std import tqdm

    class Told(tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **settings: Any) -> None:
            super().__init__(*given, **{**settings, "disable": True})  # counts, draws nothing

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.total:
                tell(what, int(self.n), int(self.total))

        def update_transfer(self, n: float) -> None:
            """Called for bytes on the way, besides those on the disk."""

    return Told
