"""Recipes: one schema behind YAML, flags and keywords, and clear words about every mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trainings import recipe_for, table

from glassnet import catalog, goals, listing, network
from glassnet.catalog import task as catalog_task
from glassnet.errors import UserError
from glassnet.recipe import (
    Fit,
    Flag,
    Recipe,
    Split,
    build,
    knobs,
    merge,
    nested,
    parse_value,
    read_yaml,
    to_yaml,
)
from glassnet.tasks.table_classification import TableClassification

BASE = {"task": "table-classification", "data": "iris", "target": "species"}


def made(**flags: Any) -> Recipe:
    """A recipe from flags, as the command line makes it."""
    named = {key.replace("__", "."): value for key, value in flags.items()}
    return build(TableClassification, merge(BASE, nested(named, TableClassification)))


# --- Merging --------------------------------------------------------------------------------------

plain = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
trees = st.dictionaries(st.sampled_from("abc"), plain, max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw, on a busy machine
@given(trees, trees)
def test_merging_changes_neither_side(base: dict[str, Any], changes: dict[str, Any]) -> None:
    before = repr((base, changes))
    merge(base, changes)
    assert repr((base, changes)) == before


@given(trees)
def test_merging_with_nothing_or_itself_changes_nothing(tree: dict[str, Any]) -> None:
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree
    assert merge(tree, tree) == tree


@given(trees, trees)
def test_what_is_changed_wins_and_what_is_not_stays(
    base: dict[str, Any], changes: dict[str, Any]
) -> None:
    merged = merge(base, changes)
    assert merged.keys() == base.keys() | changes.keys()
    for key in base.keys() - changes.keys():
        assert merged[key] == base[key]
    assert merge(merged, changes) == merged


def test_a_changed_choice_leaves_the_knobs_of_the_former_behind() -> None:
    base = {"optimizer": {"name": "sgd", "momentum": 0.9}}
    assert merge(base, {"optimizer": "adam"}) == {"optimizer": {"name": "adam"}}
    assert merge(base, {"optimizer": "sgd"}) == base
    changed = merge(base, {"optimizer": {"momentum": 0.5}})
    assert changed == {"optimizer": {"name": "sgd", "momentum": 0.5}}


def test_one_knob_of_a_group_leaves_the_others_at_the_task_s_defaults() -> None:
    recipe = made(fit__lr=0.5)
    assert recipe.fit.lr == 0.5
    defaults = type(recipe).model_fields
    assert recipe.fit.model_copy(update={"lr": None}) == defaults["fit"].default
    assert recipe.network.name == defaults["network"].default.name


# --- Flags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("-1E4", -1e4), ("true", True), ("null", None),
        ("none", "none"), ("adam", "adam"), ("100,100", [100, 100]), ("[1, 2]", [1, 2]),
        ("1e-3,2", ["1e-3", 2]), ("a: b: c", "a: b: c"), ("species", "species"),
        ("3e", "3e"), ("", None), ("{name: sgd}", {"name": "sgd"}), ("[", "["), ("2024", 2024),
    ],
)  # fmt: skip
def test_flags_are_read_as_yaml_reads_them(text: str, value: Any) -> None:
    assert parse_value(text) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_the_command_line(number: float) -> None:
    assert float(parse_value(repr(number))) == number


def test_numbers_in_a_list_may_be_written_with_an_exponent() -> None:
    recipe = made(**{"fit.optimizer.betas": parse_value("9e-1,0.99")})
    assert recipe.fit.optimizer.model_dump()["betas"] == (0.9, 0.99)


def test_a_column_may_be_called_by_a_number(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("a,2024\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(60)))
    _, recipe = catalog.resolve(str(path), {"target": parse_value("2024")})
    assert recipe.model_dump()["target"] == "2024"


def test_a_folder_called_like_a_task_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table-classification").mkdir()
    monkeypatch.chdir(tmp_path)
    _, recipe = catalog.resolve("iris", {"task": "table-classification"})
    assert recipe.task == "table-classification"


def test_short_names_stand_for_the_knobs_of_fit() -> None:
    short = made(lr=0.1, epochs=2, batch_size=7, optimizer="sgd")
    assert short == made(fit__lr=0.1, fit__epochs=2, fit__batch_size=7, fit__optimizer="sgd")
    assert made(mode="kfold", folds=3).split == Split(mode="kfold", folds=3, refit=True)


def test_a_choice_and_its_own_knob_may_both_be_flags() -> None:
    recipe = made(**{"fit.optimizer": "sgd", "fit.optimizer.momentum": 0.9})
    assert recipe.fit.optimizer.model_dump()["momentum"] == 0.9
    recipe = made(**{"fit.optimizer.momentum": 0.8, "fit.optimizer": "sgd"})
    assert recipe.fit.optimizer.model_dump()["momentum"] == 0.8


def test_a_network_and_its_own_knob_may_both_be_flags() -> None:
    recipe = made(**{"network": "perceptron", "network.hidden": 3})
    assert recipe.network.options == {"hidden": 3}


# --- Mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        ({"fit.epoch": 3}, r"Unknown knob 'fit\.epoch'.* Did you mean 'fit\.epochs'\?"),
        ({"epoch": 3}, r"Unknown knob 'epoch'.* Did you mean 'fit\.epochs'\?"),
        ({"fitt.lr": 3}, r"Unknown knob 'fitt'"),
        ({"batchsize": 3}, r"Did you mean 'fit\.batch_size'"),
        ({"fit.lr": -1}, r"fit\.lr: .*greater than 0, found -1"),
        ({"fit.epochs": "abc"}, r"fit\.epochs: .*integer.*found 'abc'"),
        ({"fit.epochs": 2.5}, r"fit\.epochs: .*found 2\.5"),
        ({"split.test": 1.0}, r"split\.test: .*less than 1"),
        ({"fit.device": "gpu"}, r"fit\.device: .*found 'gpu'"),
        ({"fit.keep": "beste"}, r"fit\.keep: .*'best' or 'last'"),
        ({"fit.optimizer": "adamm"}, r"fit\.optimizer.*adamm"),
        ({"fit.optimizer": "sgd", "fit.optimizer.beta": 1}, r"Unknown knob 'fit\.optimizer\.beta'"),
        ({"fit.optimizer": "adam", "fit.optimizer.eps": -1}, r"^fit\.optimizer\.eps: .*found -1"),
        ({"fit.optimizer": "sgd", "fit.optimizer.nesterov": True}, r"nesterov.*momentum"),
        ({"fit.schedule": "kosine"}, r"fit\.schedule.*kosine"),
        ({"fit.patience": 3, "split.mode": "redrawn"}, r"fit\.patience contradicts split\.mode"),
        ({"split.fold": 2}, r"split\.fold=2 contradicts split\.mode=fixed"),
        ({"split.mode": "kfold", "split.fold": 6}, r"split\.fold=6 contradicts"),
        ({"label_smoothing": 2}, r"label_smoothing: .*less than 1, found 2"),
        ({"fit": 3}, r"fit: .*found 3"),
    ],
    ids=str,
)
def test_every_mistake_is_named(flags: dict[str, Any], pattern: str) -> None:
    with pytest.raises(UserError) as caught:
        build(TableClassification, merge(BASE, nested(flags, TableClassification)))
    assert re.search(pattern, str(caught.value), re.S), str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_several_mistakes_are_named_at_once() -> None:
    with pytest.raises(UserError, match=r"(?s)fit\.lr.*fit\.epochs"):
        made(fit__lr=-1, fit__epochs=0)


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(UserError, match="The recipe lacks 'target'"):
        build(TableClassification, {"task": "table-classification", "data": "iris"})


# --- YAML -----------------------------------------------------------------------------------------


@settings(deadline=None)  # writes and reads YAML, which a busy machine may delay
@given(
    st.floats(1e-6, 1, allow_nan=False),
    st.integers(1, 1000),
    st.sampled_from(["sgd", "rmsprop", "adam", "adamw", "muon"]),
    st.sampled_from(["constant", "step", "exponential", "cosine", "one-cycle"]),
)
def test_a_recipe_survives_yaml(lr: float, epochs: int, optimizer: str, schedule: str) -> None:
    recipe = made(lr=lr, epochs=epochs, optimizer=optimizer, schedule=schedule)
    assert build(TableClassification, yaml.safe_load(to_yaml(recipe))) == recipe


def test_a_recipe_file_is_found_with_data_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path / "project" / "houses.csv")
    (tmp_path / "project" / "mine.yaml").write_text("data: houses.csv\ntarget: y\nfit: {lr: 0.5}\n")
    monkeypatch.chdir(tmp_path)
    task, recipe = catalog.resolve("project/mine.yaml", {"fit.seed": 3})
    assert recipe.task == "table-classification"
    assert recipe.data == str(tmp_path / "project" / "houses.csv")
    assert (recipe.fit.lr, recipe.fit.seed) == (0.5, 3)
    assert task.recipe is TableClassification


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("data: [1, 2", r"not a readable YAML file"),
        ("- a\n- b\n", r"must hold knobs such as `data: photos/`, found \['a', 'b'\]"),
        ("", r"must hold knobs"),
        ("fit: {lr: 0.1}\n", r"lacks `data:`"),
        ("data: iris\nfit: 3\n", r"fit"),
        ("data: iris\nfits: {lr: 1}\n", r"Unknown knob 'fits'"),
        ("data: 3\n", r"data"),
        ("data:\n", r"data"),
        ("data: iris\ntask: nonsense\n", r"There is no task 'nonsense'"),
        ("data: iris\nnetwork: nonsense\n", r"There is no network 'nonsense'"),
        ("!!python/object/apply:os.system ['touch hacked']", r"not a readable YAML file"),
    ],
)
def test_a_bad_recipe_file_is_refused(tmp_path: Path, text: str, pattern: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=pattern):
        task, recipe = catalog.resolve(str(path), {})
        task.network(recipe, task.source(recipe).facts(_all(task, recipe)))
    assert not (tmp_path / "hacked").exists()


def _all(task: Any, recipe: Any) -> Any:
    import torch

    return torch.arange(len(task.source(recipe)))


def test_a_binary_file_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="not a readable YAML file"):
        read_yaml(tmp_path / "x.yaml")


# --- The schema -----------------------------------------------------------------------------------


def test_the_three_knobs_that_everybody_looks_for_come_first() -> None:
    names = [knob.name for knob in knobs(Fit)]
    assert names[:3] == ["batch_size", "lr", "epochs"]


def test_every_knob_says_what_it_is_for() -> None:
    silent = [k.name for k in knobs(TableClassification) if k.name and len(k.help) < 10]
    assert silent == []


def test_every_knob_of_the_schema_can_be_set_by_its_full_name() -> None:
    recipe = made()
    for knob in knobs(TableClassification):
        assert knob.name.split(".")[0] in type(recipe).model_fields


def test_recipes_cannot_be_changed_by_accident() -> None:
    _, recipe = recipe_for("iris")
    with pytest.raises(ValueError, match="frozen"):
        recipe.fit.lr = 3


def test_a_flag_for_text_stays_text_and_one_for_a_number_is_read() -> None:
    recipe = catalog_task("table-regression").recipe
    flags = {"target": Flag("1.50"), "lr": Flag("1e-3"), "network": Flag("mlp")}
    assert nested(flags, recipe) == {"target": "1.50", "fit": {"lr": 1e-3}, "network": "mlp"}


def test_one_knob_given_by_two_names_is_refused() -> None:
    recipe = catalog_task("table-regression").recipe
    with pytest.raises(UserError, match=r"'epochs' and 'fit\.epochs' are the same knob"):
        nested({"epochs": 5, "fit.epochs": 3}, recipe)


@pytest.mark.parametrize("name", listing.names("recipes", ".yaml"))
def test_every_recipe_of_the_catalogue_is_complete(name: str) -> None:
    _, recipe = catalog.resolve(name, {})
    assert recipe.goal is not None
    assert recipe.summary
    assert listing.about("recipes", name, ".yaml") == recipe.summary


def test_a_check_of_all_recipes_leaves_out_those_for_a_device_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(goals, "check_one", lambda name: name)
    checked: list[Any] = list(goals.check([]))
    assert "digits-convnet" in checked
    assert "cifar10-gpu-94" not in checked
    assert "cifar10-gpu-94: left out. fit.device=cuda: this machine" in capsys.readouterr().err
    assert list(goals.check(["cifar10-gpu-94"])) == ["cifar10-gpu-94"], "asked for by name"


def test_the_defaults_that_are_shown_are_those_of_the_task() -> None:
    shown = {knob.name: knob for knob in knobs(catalog_task("image-classification").recipe)}
    assert shown["fit.optimizer"].default == "muon"
    assert shown["fit.schedule.pct_start"].default == 0.2
    assert shown["network.name"].default == "convnet"
    assert shown["data"].required and not shown["fit.lr"].required


def test_one_number_is_a_list_of_one_where_a_list_is_asked_for() -> None:
    schema = network.schema(network.find("mlp"))
    assert build(schema, {"hidden": 4}).model_dump()["hidden"] == (4,)
    with pytest.raises(UserError, match="network.hidden"):
        build(schema, {"hidden": True}, "network.")
