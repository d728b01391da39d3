"""A table or a query of a database, through SQLAlchemy (``pip install 'glassnet[sql]'``).

``sqlite:///shop.db#orders`` or ``postgresql://me:$SHOP_PASSWORD@host/shop#SELECT … FROM …``; also
``shop.db#orders``. Nothing is ever written: one SELECT (or WITH … SELECT) is accepted, databases
that know read-only connections get one, and what happened is rolled back at the end.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from glassnet.data.frames import plain, unique_names
from glassnet.data.rawtable import Read, chosen
from glassnet.errors import UserError, nearest
from glassnet.progress import tell
from glassnet.references import hidden, is_url, scrubbed, split, split_url, with_password

CHUNK = 20_000
"""Rows that are fetched at a time."""
DRIVERS = {
    "postgresql": "psycopg[binary]", "mysql": "pymysql", "mariadb": "pymysql", "mssql": "pyodbc",
    "oracle": "oracledb", "duckdb": "duckdb-engine", "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
}  # fmt: skip
"""Dialect -> what to install for it."""
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
"""What makes a transaction unable to write; files of SQLite and DuckDB are opened so, too."""

_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]")
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|into|drop|alter|create|truncate|grant|revoke|exec|execute|"
    r"attach|pragma|copy|vacuum)\b(?!\s*[(.,=])",
    re.IGNORECASE,
)


def read(reference: str, target: str | None = None) -> Read:
    """Read what is meant: the named table, the query's result, or the only table there is.

    Raises:
        UserError: If SQLAlchemy or a driver is missing, the database does not answer, there is no
            such table, or the text is more than one query. No message repeats a password.
    """
    url, part = _parts(reference)
    shown = hidden(url)
    if _QUERY.match(part):
        check_query(part)
    with _connected(shown) as connection:
        query = part if _QUERY.match(part) else _query_for(connection, shown, part, target)
        names, rows = _fetched(connection, shown, query)
    frame = _frame(names, rows)
    about = f"{shown}#{part}" if part else shown
    return Read(frame, [(shown, "train", frame.height)], about=about)


def check_query(query: str) -> None:
    """Raise unless a text is one query that only reads."""
    body = query.strip().removesuffix(";")
    found = ";" if ";" in body else next((m[0] for m in _writing(body)), None)
    if not _QUERY.match(body) or found is not None:
        what = f" without {found!r}" if found else ""
        raise UserError(
            f"A database is only read: expected the name of a table, or one SELECT or WITH "
            f"statement{what}; found {query[:200]!r}. For more, make a view there and name it."
        )


def _writing(body: str) -> Iterator[re.Match[str]]:
    yield from _WRITES.finditer(_QUOTED.sub("''", body))


def _parts(reference: str) -> tuple[str, str]:
    if is_url(reference):
        return split_url(hidden(reference))
    path, part = split(reference)
    return f"sqlite:///{path}", part


# --- The connection -------------------------------------------------------------------------------


@contextmanager
def _connected(shown: str) -> Iterator[Any]:
    """A connection that reads; every mistake of the database's becomes a UserError."""
    sqlalchemy = _sqlalchemy()
    full, secrets = with_password(shown)
    try:
        url = sqlalchemy.make_url(full)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **_options(url))
        with engine.connect() as connection:
            if statement := _READ_ONLY.get(url.get_backend_name()):
                connection.exec_driver_sql(statement)
            yield connection
            connection.rollback()
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise _no_driver(shown, str(error.name)) from None
    except sqlalchemy.exc.NoSuchModuleError:
        raise _no_driver(shown, shown.partition(":")[0]) from None
    except Exception as error:  # drivers raise what they like
        why = scrubbed(str(getattr(error, "orig", None) or error), secrets).split("\n")[0]
        # from None: the chain of a driver's errors may hold the password
        raise UserError(
            f"{shown} could not be read: {why}. Check the address, the user's rights, and the "
            "query in a client of the database."
        ) from None


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ModuleNotFoundError:
        raise UserError(
            "Databases are read by SQLAlchemy, which is not installed: pip install 'glassnet[sql]'."
        ) from None
    return sqlalchemy


def _options(url: Any) -> dict[str, Any]:
    """What opens a database in one file for reading only; SQLite would make a missing one."""
    backend = url.get_backend_name()
    if backend not in ("sqlite", "duckdb") or url.database in (None, "", ":memory:"):
        return {}
    path = Path(url.database.removeprefix("file:").partition("?")[0]).expanduser()
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the spelling of the database's file.")
    if backend == "duckdb":
        return {"connect_args": {"read_only": True}}
    if url.get_driver_name() != "pysqlite":  # such as that of encrypted files
        return {}
    address = f"{path.resolve().as_uri()}?mode=ro"
    return {"creator": lambda: sqlite3.connect(address, uri=True)}


def _no_driver(shown: str, module: str) -> UserError:
    dialect = re.split(r"[+:]", shown)[0]
    if dialect not in DRIVERS:
        close = nearest(dialect, [*DRIVERS, "sqlite"])
        return UserError(
            f"{shown}: SQLAlchemy knows no database {dialect!r}.{close} Known: sqlite, "
            f"{', '.join(DRIVERS)}; others need their own driver."
        )
    return UserError(
        f"{shown} needs the driver {module!r}, which is not installed: "
        f"pip install '{DRIVERS[dialect]}'"
        + (f", and write {dialect}+{_module(dialect)}://…." if _module(dialect) else ".")
    )


def _module(dialect: str) -> str:
    """The driver's name in the URL, where SQLAlchemy would look for another one by itself."""
    return {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}.get(dialect, "")


# --- The rows -------------------------------------------------------------------------------------


def _query_for(connection: Any, shown: str, name: str, target: str | None) -> str:
    """SELECT everything from the named table, or from the one that fits."""
    inspector = _sqlalchemy().inspect(connection)
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    if " " in name and name not in names:
        check_query(name)
    schema, _, bare = name.rpartition(".")
    if name not in names and schema and inspector.has_table(bare, schema):
        return f"SELECT * FROM {_quoted(connection, schema)}.{_quoted(connection, bare)}"

    def has(table: str, column: str) -> bool:
        return any(found["name"] == column for found in inspector.get_columns(table))

    table = chosen(shown, "table", names, name, target, has)
    return f"SELECT * FROM {_quoted(connection, table)}"


def _quoted(connection: Any, name: str) -> str:
    return str(connection.dialect.identifier_preparer.quote_identifier(name))


def _fetched(connection: Any, shown: str, query: str) -> tuple[list[str], list[Any]]:
    """The names of the columns, and all rows of the result."""
    options = {"no_parameters": True, "stream_results": True}  # a % is a %, and rows come in parts
    result = connection.execution_options(**options).exec_driver_sql(query.strip().rstrip(";"))
    rows: list[Any] = []
    while chunk := result.fetchmany(CHUNK):
        rows += chunk
        tell(f"reading {shown}", len(rows), len(rows) + (len(chunk) == CHUNK) * CHUNK)
    return list(result.keys()), rows


def _frame(names: Sequence[str], rows: Sequence[Any]) -> pl.DataFrame:
    """Columns of one type as the database has them, mixed ones as text."""
    cells = zip(*rows, strict=True) if rows else ([] for _ in names)
    columns = [
        pl.Series(name, list(values), strict=False)
        for name, values in zip(unique_names(names), cells, strict=True)
    ]
    return plain(pl.DataFrame(columns))
