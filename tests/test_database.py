"""Databases: only read, copied for a run, and no password anywhere."""

import json
import sqlite3
import stat
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glassnet
from glassnet import references
from glassnet.data import database, sources, tablefiles
from glassnet.errors import UserError
from glassnet.references import hidden, with_password

pytest.importorskip("sqlalchemy")

QUICK = ["--fit.epochs", "2", "--fit.threads", "1"]
SECRET = "geheim"


@pytest.fixture
def shop(tmp_path):
    """A database of SQLite with three tables and a view."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (price REAL, day TEXT, colour TEXT, paid TEXT)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            [
                (k % 9 * 1.5, f"2024-01-{k % 28 + 1:02}", ["red", "blue", None][k % 3],
                 ["no", "yes"][k % 9 > 4])
                for k in range(120)
            ],
        )  # fmt: skip
        connection.execute("CREATE TABLE notes (text TEXT, mixed)")
        connection.executemany(
            "INSERT INTO notes VALUES (?, ?)", [("a", 1), ("b", "x"), ("c", 2.5)]
        )
        connection.execute('CREATE TABLE "my table" (a INTEGER, b INTEGER)')
        connection.execute('INSERT INTO "my table" VALUES (1, 2)')
        connection.execute("CREATE VIEW dear AS SELECT * FROM orders WHERE price > 6")
    connection.close()
    return path


def count(path):
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT COUNT(*) FROM orders").fetchone()[0]
    connection.close()
    return found


# --- Reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ("orders", 120),
        ("dear", 52),
        ("my table", 1),
        ("main.orders", 120),
        ("SELECT * FROM orders WHERE colour = 'red'", 40),
        ("select price, '100%:x' AS note from orders limit 7;", 7),
        ("WITH cheap AS (SELECT * FROM orders WHERE price < 2) SELECT day FROM cheap", 28),
        ("SELECT replace(day, '-', '/') AS day, 'delete; me' AS update_note FROM orders"
         .replace(";", ","), 120),
    ],
)  # fmt: skip
def test_a_table_a_view_or_a_query_is_read(shop, part, rows):
    for reference in (f"sqlite:///{shop}#{part}", f"{shop}#{part}"):
        assert tablefiles.read(reference).frame.height == rows


def test_types_are_those_of_the_database_and_mixed_columns_are_text(shop):
    frame = tablefiles.read(f"{shop}#orders").frame
    assert frame.schema["price"] == pl.Float64 and frame["colour"].null_count() == 40
    assert tablefiles.read(f"{shop}#notes").frame["mixed"].to_list() == ["1", "x", "2.5"]
    empty = tablefiles.read(f"{shop}#SELECT * FROM orders WHERE price > 1e9").frame
    assert empty.shape == (0, 4)


def test_without_a_name_the_table_with_the_target_is_read(shop):
    found = sources.look(f"sqlite:///{shop}#orders", target="paid")
    assert ("Read from", f"sqlite:///{shop}#orders") in found.summary
    assert sources.look(shop, target="text").details["num_rows"] == 3
    with pytest.raises(UserError, match="4 tables: .*orders.*behind a #, such as sqlite:.*#"):
        sources.look(shop)
    with pytest.raises(UserError, match="4 tables, of which 2 have a column 'paid'"):
        sources.look(shop, target="paid")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("ordrs", "no table 'ordrs'. Did you mean 'orders'"),
        ("SELECT nowhere FROM orders", "could not be read: no such column: nowhere"),
        ("SELECT FROM WHERE", "could not be read: near"),
    ],
)
def test_mistakes_in_names_and_queries_are_explained(shop, part, words):
    with pytest.raises(UserError, match=words):
        tablefiles.read(f"sqlite:///{shop}#{part}")


def test_files_that_are_no_databases_are_explained(tmp_path):
    (tmp_path / "t.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(UserError, match="t.db could not be read: file is not a database"):
        tablefiles.read(tmp_path / "t.db")
    with pytest.raises(UserError, match="nowhere.db does not exist"):
        tablefiles.read(f"sqlite:///{tmp_path}/nowhere.db#orders")
    with pytest.raises(UserError, match="no file or folder.*nowhere"):
        sources.look(tmp_path / "nowhere.txt")
    assert not (tmp_path / "nowhere.db").exists()
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(UserError, match="empty.db holds no table with rows"):
        tablefiles.read(tmp_path / "empty.db")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlit:///a.db#t", "no database 'sqlit'. Did you mean 'sqlite'"),
        ("oracle+oracledb://me@host/x#t", "pip install 'oracledb'"),
        ("postgresql://me:$NO_SUCH@host/x#t", "the environment variable NO_SUCH, which is not set"),
        ("postgresql://me:***@host/x#t", "password of .* is not stored anywhere"),
    ],
)
def test_unknown_databases_drivers_and_variables_are_explained(url, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "oracledb", None)
    with pytest.raises(UserError, match=words):
        tablefiles.read(url)


def test_without_sqlalchemy_the_command_that_installs_it_is_named(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(UserError, match=r"SQLAlchemy, which is not installed: pip install 'glassn"):
        tablefiles.read(f"{shop}#orders")


# --- Only reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE orders",
        "DELETE FROM orders",
        "SELECT 1; DELETE FROM orders",
        "SELECT * FROM orders; --",
        "SELECT ';' FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "WITH x AS (SELECT 1) INSERT INTO orders SELECT * FROM x",
        "SELECT * INTO copy FROM orders",
        "PRAGMA writable_schema = 1",
        "ATTACH DATABASE 'other.db' AS other",
        "UPDATE orders SET paid = 'yes'",
        "EXPLAIN DELETE FROM orders",
        "VACUUM INTO 'copy.db'",
    ],
)
def test_everything_but_one_query_is_refused(shop, text):
    before = shop.read_bytes()
    with pytest.raises(UserError, match="A database is only read.*make a view"):
        tablefiles.read(f"sqlite:///{shop}#{text}")
    assert shop.read_bytes() == before


def test_even_what_the_words_do_not_show_cannot_write_to_sqlite(shop):
    with (
        pytest.raises(UserError, match="readonly database"),
        database._connected(f"sqlite:///{shop}") as connection,
    ):
        connection.exec_driver_sql("DELETE FROM orders")
    assert count(shop) == 120


# --- Passwords ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://me:geheim@host:5432/shop#orders",
            "postgresql://me:***@host:5432/shop#orders",
        ),
        ("postgresql+psycopg://me:ge@he/im@host/s", "postgresql+psycopg://me:***@host/s"),
        ("postgresql://me:ge#heim@host/s#t", "postgresql://me:***@host/s#t"),
        ("mysql://me@h/s?password=geheim&ssl=1#t", "mysql://me@h/s?password=***&ssl=1#t"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dgeheim#t", "mssql+pyodbc:///?odbc_connect=***#t"),
        ("postgresql://me:$PW@host/s#t", "postgresql://me:$PW@host/s#t"),
        ("postgresql://me:${PW}@host/s#t", "postgresql://me:${PW}@host/s#t"),
        (
            "postgresql://me@host:5432/s#SELECT 'a@b:c'",
            "postgresql://me@host:5432/s#SELECT 'a@b:c'",
        ),
        ("postgresql://host:5432/s#SELECT 'a@b'", "postgresql://host:5432/s#SELECT 'a@b'"),
        ("sqlite:///shop.db#SELECT 'a:b@c'", "sqlite:///shop.db#SELECT 'a:b@c'"),
        ("data/my:file@home.csv", "data/my:file@home.csv"),
    ],
)
def test_passwords_are_hidden_and_nothing_else(url, shown):
    assert hidden(url) == shown and hidden(shown) == shown


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1))
def test_every_password_is_hidden_and_comes_back_for_the_connection(secret):
    from sqlalchemy import make_url

    if secret == "***" or references._VARIABLE.fullmatch(secret) or "%" in secret:
        return
    base, part = references.split_url(hidden(f"postgresql://me:{secret}@host/shop#orders"))
    if "/" in secret and set("#?") & set(secret):
        return  # cannot be told from a path and a table: it must be escaped
    assert (base, part) == ("postgresql://me:***@host/shop", "orders")
    full, secrets = with_password(base)
    assert make_url(full).password == secret and secrets == [secret]


def test_no_message_of_a_driver_repeats_a_password(monkeypatch, cli):
    class Driver:
        paramstyle, threadsafety, apilevel, __version__ = "pyformat", 1, "2.0", "1.31.0"
        Error = InterfaceError = type("Error", (Exception,), {})

        def connect(self, *args, **kwargs):
            raise self.Error(f"cannot connect with {args} {kwargs}")

    from sqlalchemy.dialects.postgresql import pg8000

    monkeypatch.setattr(pg8000.PGDialect_pg8000, "import_dbapi", classmethod(lambda c: Driver()))
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    for password in (SECRET, "$SHOP_PASSWORD"):
        url = f"postgresql+pg8000://me:{password}@host/shop#orders"
        for words in (["inspect", url], ["train", url, "--target", "paid"], ["--json", url]):
            code, out, err = cli(*words)
            assert code == 2 and SECRET not in out + err


# --- Runs -----------------------------------------------------------------------------------------


def test_a_run_keeps_the_rows_and_needs_no_database_any_more(shop, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    query = "SELECT price, day, colour, paid FROM orders ORDER BY price"
    code, _, err = cli("train", f"sqlite:///shop.db#{query}", "--target", "paid", *QUICK)
    assert code == 0, err
    run = next(path for path in Path("runs").iterdir() if path.name.startswith("orders-"))
    copy = next(Path("runs/data").iterdir())
    assert f"120 rows were copied to {copy}" in err.replace(f"{tmp_path}/", "")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sources.look(copy).summary[1] == ("Read from", f"sqlite:///shop.db#{query}")
    shop.rename(tmp_path / "gone.db")
    code, out, err = cli("evaluate", run, "--test")
    assert code == 0, err
    code, out, _ = cli("predict", run, f"gone.db#{query}", "--json")
    assert code == 0 and len(json.loads(out)["predictions"]) == 120
    assert cli("resume", run)[0] == 0


def test_a_dry_run_and_a_look_store_nothing(shop, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("inspect", "shop.db#orders", "--target", "paid")[0] == 0
    assert cli("train", "shop.db#orders", "--target", "paid", "--dry-run", *QUICK)[0] == 0
    assert not Path("runs").exists()


def test_changed_rows_are_refused_for_a_run_of_the_former_ones(shop, tmp_path):
    with pytest.warns(UserWarning, match="120 rows were copied"):
        run = glassnet.train(
            f"{shop}#orders", target="paid", runs=tmp_path, show=False, epochs=1, threads=1
        )
    assert len(run.predict(f"{shop}#orders")) == 120
    assert run.evaluate(data=f"{shop}#orders")
    with sqlite3.connect(shop) as connection:
        connection.execute("UPDATE orders SET price = price + 1")
    connection.close()
    with pytest.raises(UserError, match="is not what .* was trained on"):
        run.evaluate(data=f"{shop}#orders")
    assert run.evaluate()


@pytest.mark.filterwarnings("ignore:Query string")
def test_no_file_of_a_run_and_no_output_holds_the_password(shop, tmp_path, cli, monkeypatch):
    """The password of a URL for SQLite has no use, but it goes the way of all passwords."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///shop.db?password={SECRET}#orders"
    monkeypatch.setattr(database, "_options", lambda _: {"creator": lambda: sqlite3.connect(shop)})
    said = []
    for words in (
        ["inspect", url, "--target", "paid"],
        ["train", url, "--target", "paid", "--dry-run", *QUICK],
        ["train", url, "--target", "paid", "--name", "one", *QUICK],
        ["evaluate", "runs/one", "--data", url],
        ["predict", "runs/one", url],
        ["resume", "runs/one", "--data", url],
    ):
        code, out, err = cli(*words)
        assert code == 0, (words, err)
        said.append(out + err)
    assert "***" in said[0] and SECRET not in "".join(said)
    held = [path for path in tmp_path.rglob("*") if path.is_file() and path != shop]
    assert len(held) > 8
    assert not [path for path in held if SECRET.encode() in path.read_bytes()]


def test_a_recipe_may_name_a_database(shop, tmp_path, cli):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: shop.db#orders\ntask: table_classification\ntarget: paid\n")
    code, _, err = cli("train", recipe, "--runs", tmp_path / "runs", *QUICK)
    assert code == 0, err
