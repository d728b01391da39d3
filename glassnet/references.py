"""What a person types to say where data are: a path, ``book.xlsx#Sheet2``, or a database's URL.

A password never leaves this file but on its way to the database: ``hidden`` puts ``***`` in its
place before anything is stored or shown, and ``with_password`` puts it back.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from glassnet.errors import UserError

SQLITE = (".db", ".db3", ".sqlite", ".sqlite3")
"""Files that are databases."""
HIDDEN = "***"

_WEB = {"http", "https", "ftp", "sftp", "s3", "gs", "gcs", "az", "abfs", "abfss", "hf"}
_URL = re.compile(r"[A-Za-z]\w*(\+\w+)?://")
_LOGIN = re.compile(r"\w+(?:\+\w+)?://[^:/@#\s]*:")
_PASSWORD = (re.compile(r"[^\s?#]+(?=@)"), re.compile(r"[^\s/]+(?=@)"))
"""Up to the last @ before a ? or #, or before a /: whichever is longer, for both may be in it."""
_SETTING = re.compile(
    r"([?&](?:\w*pass\w*|pwd|\w*secret|\w*token|\w*key|odbc_connect)=)([^&#\s]+)", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_known: dict[str, list[str]] = {}
"""Hidden URL -> the passwords that this process was given for it."""


def is_url(reference: str | Path) -> bool:
    """Whether something is written like a URL."""
    return isinstance(reference, str) and _URL.match(reference) is not None


def is_web(reference: str | Path) -> bool:
    """Whether something is the address of a file on the web."""
    return is_url(reference) and str(reference).partition(":")[0].lower() in _WEB


def is_database(reference: str | Path) -> bool:
    """Whether something names a database: a URL, or a file of SQLite."""
    if is_url(reference):
        return not is_web(reference)
    return split(reference)[0].suffix.lower() in SQLITE


def split(reference: str | Path) -> tuple[Path, str]:
    """Part ``book.xlsx#Sheet2`` into the file and what is meant in it ('' if nothing is said)."""
    whole = Path(reference).expanduser()
    if "#" not in str(reference) or exists(whole):
        return whole, ""
    base, _, part = str(reference).partition("#")
    return Path(base).expanduser(), part.strip()


def split_url(url: str) -> tuple[str, str]:
    """Part a database's URL from the table or query behind the first ``#``."""
    base, _, part = url.partition("#")
    return base.strip(), part.strip()


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; a text too long for a name is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def absolute(reference: str) -> str:
    """The same from whatever folder it is read later; names of data sets stay as they are."""
    if is_url(reference):
        return _absolute_sqlite(reference)
    path, part = split(reference)
    if not exists(path):
        return reference
    return f"{path.resolve()}#{part}" if part else str(path.resolve())


def _absolute_sqlite(url: str) -> str:
    base, part = split_url(url)
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/?].*)", base)
    if found is None or found[2].startswith((":memory:", "file:")):
        return url
    base, before = found[1] + str(Path(found[2]).resolve()), base
    if before in _known:
        _known[base] = _known[before]
    return f"{base}#{part}" if part else base


# --- Passwords ------------------------------------------------------------------------------------


def hidden(reference: str) -> str:
    """The reference without its passwords, which this process remembers; other texts as they are.

    A password written as ``$NAME`` or ``${NAME}`` is the name of an environment variable, and no
    secret.

    >>> hidden("postgresql://me:geheim@host/shop#orders")
    'postgresql://me:***@host/shop#orders'
    >>> hidden("postgresql://me:$SHOP@host/shop#orders")
    'postgresql://me:$SHOP@host/shop#orders'
    """
    if not is_url(reference):
        return reference
    secrets: list[str] = []
    masked = reference
    if login := _LOGIN.match(reference):
        found = [match[0] for pattern in _PASSWORD if (match := pattern.match(masked, login.end()))]
        password = max(found, key=len, default="")
        masked = login[0] + _hide(password, secrets) + masked[login.end() + len(password) :]
    masked = _SETTING.sub(lambda match: match[1] + _hide(match[2], secrets), masked)
    if secrets:
        _known[split_url(masked)[0]] = secrets
    return masked


def _hide(secret: str, secrets: list[str]) -> str:
    if secret in ("", HIDDEN) or _VARIABLE.fullmatch(secret):
        return secret
    secrets.append(secret)
    return HIDDEN


def with_password(url: str) -> tuple[str, list[str]]:
    """The URL to connect with, and the secrets in it, which no message may repeat."""
    secrets = list(_known.get(url, ()))
    waiting = iter(secrets)
    if HIDDEN in url and not secrets:
        raise UserError(
            f"The password of {url} is not stored anywhere. Write it as an environment variable, "
            "in single quotes so that the shell leaves it alone: '…://user:$SHOP_PASSWORD@host/…'."
        )
    full = re.sub(re.escape(HIDDEN), lambda _: quote(next(waiting), safe="%"), url)

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise UserError(f"{url} needs the environment variable {name}, which is not set.")
        secrets.append(os.environ[name])
        return quote(os.environ[name], safe="")

    return _VARIABLE.sub(value, full), secrets


def scrubbed(text: str, secrets: list[str]) -> str:
    """A message of a driver without the secrets."""
    for secret in filter(None, secrets):
        text = text.replace(secret, HIDDEN).replace(quote(secret, safe=""), HIDDEN)
    return text
