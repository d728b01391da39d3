"""The contract of tasks: what every file in ``glassnet/tasks/`` promises.

A task of your own is checked by

    pytest tests/test_contract_tasks.py --task my_task.py --data my_data.csv --knob target=price

Without ``--data``, a task is checked on the smallest named data set that it fits and that needs no
network, or else on a recipe in ``glassnet/recipes/`` that names it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import here
from torch import Tensor, nn
from trainings import (
    assert_same_end,
    close_to,
    drop_at,
    finished,
    glassnet,
    go_on,
    new_run,
    play,
    raw_inputs,
    same_bits,
    weights,
)

from glassnet import api, catalog, listing, loop
from glassnet.data import datasets, sources
from glassnet.errors import UserError
from glassnet.recipe import build, knobs, merge, nested, parse_value, read_yaml
from glassnet.run import Run
from glassnet.task import Batch, Finished, Refitting, Saved, Started, Task, Validated
from glassnet.trained import Trained

pytestmark = pytest.mark.usefixtures("in_tmp")
EPOCHS = 3


@dataclass(frozen=True)
class Subject:
    """A task, with data and knobs on which it is checked."""

    name: str
    task: Task[Any, Any]
    recipe: Any
    data: Path
    kind: str


def offline_reference(name: str, task: Task[Any, Any]) -> str:
    """The smallest data set that the task fits, or a recipe that names it."""
    builtin = [entry for entry in datasets.names() if datasets.describe(entry).builtin]
    looks = {entry: sources.look(entry) for entry in builtin}
    fitting = [entry for entry in builtin if task.fits(looks[entry]) is not None]
    if fitting:
        return min(fitting, key=lambda entry: int(looks[entry].details["num_rows"]))
    for recipe in listing.names("recipes", ".yaml"):
        if catalog.recipe(recipe).get("task") == name:
            return recipe
    pytest.fail(
        f"No data to check the task {name} on: it fits none of {', '.join(builtin)}, and no file "
        "in glassnet/recipes/ says `task: "
        f"{name}`. Add such a recipe, or give data by --data (and knobs by --knob)."
    )


@pytest.fixture(scope="module")
def subject(
    task_name: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Subject:
    """The task with a copy of its data, which tests may take away."""
    task = catalog.task(task_name)
    given = request.config.getoption("--data")
    reference = here(given) if given else offline_reference(task_name, task)
    own = dict(knob.split("=", 1) for knob in request.config.getoption("--knob"))
    flags = {"task": task_name, "fit.epochs": EPOCHS, "fit.threads": 1}
    task, recipe = catalog.resolve(
        reference, {**flags, **{key: parse_value(value) for key, value in own.items()}}
    )
    original = sources.locate(recipe.data)
    copy = tmp_path_factory.mktemp("data") / original.name
    (shutil.copytree if original.is_dir() else shutil.copy)(original, copy)
    recipe = recipe.model_copy(update={"data": str(copy)})
    kind = task.facts.model_fields.get(
        "kind"
    )  # of the stock readers; a reader of one's own has none
    target = getattr(recipe, "target", None)
    found = kind.default if kind else sources.look(str(copy), target=target).kind
    return Subject(task_name, task, recipe, copy, found)


@pytest.fixture(scope="module")
def whole(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was never stopped, with its report."""
    folder = tmp_path_factory.mktemp("whole")
    return Run(api.start(subject.task, subject.recipe, "whole", folder, iter).path)


@pytest.fixture(scope="module")
def num_steps(subject: Subject, whole: Run) -> tuple[int, int]:
    """Steps of an epoch, and of the whole training."""
    rows = whole.rows()
    first = next(row["step"] for row in rows if "epoch_loss" in row)
    return first, rows[-1]["step"]


def changed(recipe: Any, group: str, **values: Any) -> Any:
    """The recipe with other values in one of its groups."""
    part = getattr(recipe, group).model_copy(update=values)
    return recipe.model_copy(update={group: part})


INDEPENDENT = {"table", "images", "texts", "pairs", "dna", "series", "sounds"}
"""Kinds of data whose rows may be drawn at random, so that every mode of validation is right."""


def made_possible(recipe: Any) -> Any:
    """The recipe, with the other knob that stands in its mode's way set as its refusal says."""
    try:
        build(type(recipe), recipe.model_dump(mode="json"))
    except UserError as error:
        if found := re.search(r"; or set (\w+) to (\w+)", str(error)):
            return recipe.model_copy(update={found[1]: found[2]})
    return recipe


def refused_with_a_reason(subject: Subject, recipe: Any) -> bool:
    """Whether the task does not allow this mode of validation.

    Only where rows depend on each other, never the mode that it has by itself, and not without the
    reason and a mode that it does allow.
    """
    values = recipe.model_dump(mode="json")
    try:
        build(type(recipe), values)
    except UserError as error:
        assert subject.kind not in INDEPENDENT, error
        found = re.search(rf"split\.mode={recipe.split.mode} .{{40,}}\. Use (\w+)", str(error))
        assert found, error
        build(type(recipe), {**values, "split": {**values["split"], "mode": found[1]}})
        assert recipe.split.mode != subject.recipe.split.mode
        return True
    return False


# --- Learning -------------------------------------------------------------------------------------


def test_the_loss_falls(whole: Run) -> None:
    losses = [row["epoch_loss"] for row in whole.rows() if "epoch_loss" in row]
    assert len(losses) == EPOCHS
    assert losses[-1] < losses[0]


def test_training_tells_what_it_does_in_order(subject: Subject, tmp_path: Path) -> None:
    events = play(subject.task, subject.recipe, new_run(tmp_path, subject.recipe))
    marks = [e for e in events if isinstance(e, Started | Validated | Saved | Finished)]
    assert isinstance(marks[0], Started)
    assert marks[0].step == 0
    first = -1 if subject.task.start_answers else 0
    assert [e.epoch for e in marks if isinstance(e, Validated)] == list(range(first, EPOCHS))
    assert isinstance(marks[-2], Saved)
    refits = [e for e in events if isinstance(e, Refitting)]
    assert len(refits) == subject.recipe.split.refits
    assert finished(events).step == (refits or [marks[0]])[-1].num_steps
    assert set(finished(events).scores) == {m.name for m in subject.task.metrics if not m.costly}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    subject: Subject, whole: Run, tmp_path: Path
) -> None:
    same, other = (new_run(tmp_path, subject.recipe) for _ in range(2))
    play(subject.task, subject.recipe, same)
    assert_same_end(same, whole)
    play(subject.task, changed(subject.recipe, "fit", seed=1), other)
    assert not same_bits(weights(other), weights(whole))


@pytest.mark.parametrize("place", ["first step", "mid-epoch", "end of epoch", "last step but one"])
def test_a_stopped_training_goes_on_to_the_same_weights(
    subject: Subject, whole: Run, num_steps: tuple[int, int], tmp_path: Path, place: str
) -> None:
    epoch, total = num_steps
    step = {"first step": 1, "mid-epoch": epoch + epoch // 2, "end of epoch": epoch}.get(
        place, total - 1
    )
    run = new_run(tmp_path, subject.recipe)
    events = play(subject.task, subject.recipe, run, ask_to_stop_at=step)
    assert finished(events).reason == "interrupted"
    assert finished(events).step == step
    assert run.info["status"] == "interrupted"
    torch.rand(7)  # the state of this process is not what a resume rests on
    resumed = go_on(subject.task, run)
    assert next(e.step for e in resumed if isinstance(e, Started)) == step
    assert_same_end(run, whole)


def test_a_training_that_was_dropped_goes_on_from_the_last_checkpoint(
    subject: Subject, whole: Run, num_steps: tuple[int, int], tmp_path: Path
) -> None:
    epoch, total = num_steps
    run = new_run(tmp_path, subject.recipe)
    play(subject.task, subject.recipe, run, ask_to_stop_at=epoch // 2 + 1)
    drop_at(subject.task, subject.recipe, run, total - 1)
    go_on(subject.task, run)
    assert_same_end(run, whole)


def test_scoring_does_not_change_the_training(subject: Subject, whole: Run, tmp_path: Path) -> None:
    def score(network: nn.Module, examples: Any, facts: Any) -> Any:
        subject.task.score(network, examples, facts)
        torch.rand(13, device=examples.rows.device)
        return subject.task.score(network, examples, facts)

    run = new_run(tmp_path, subject.recipe)
    play(replace(subject.task, score=score), subject.recipe, run)
    assert_same_end(run, whole)


def test_the_recipe_in_the_run_folder_trains_to_the_same_weights(
    whole: Run, tmp_path: Path
) -> None:
    task, recipe = catalog.resolve(str(whole.path / "recipe.yaml"), {})
    again = new_run(tmp_path, recipe)
    play(task, recipe, again)
    assert_same_end(again, whole)


def test_batches_may_be_computed_in_pieces(subject: Subject, tmp_path: Path) -> None:
    recipe = changed(subject.recipe, "fit", accumulate=2, epochs=2)
    run = new_run(tmp_path, recipe)
    assert finished(play(subject.task, recipe, run)).reason == "all epochs done"
    losses = [row["epoch_loss"] for row in run.rows() if "epoch_loss" in row]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("mode", ["redrawn", "kfold"])
def test_every_mode_of_validation_trains_measures_and_answers(
    subject: Subject, tmp_path: Path, mode: str
) -> None:
    recipe = changed(subject.recipe, "split", mode=mode, folds=3)
    recipe = made_possible(recipe)
    if refused_with_a_reason(subject, recipe):
        return
    recipe = changed(recipe, "fit", epochs=2)
    trained = api.start(subject.task, recipe, mode, tmp_path, iter)
    run = Run(trained.path)
    assert run.info["status"] == "finished"
    splits = (run.folds() or [run])[0].splits()
    expected = len(splits.validation) if mode == "redrawn" else None
    if mode == "kfold":
        assert len(run.folds()) == 3
        expected = len(splits.train) + len(splits.validation)
        rows = torch.cat([fold.splits().validation for fold in run.folds()])
        assert len(rows.unique()) == len(rows) == expected
    assert trained.evaluate().examples == expected
    assert trained.evaluate(test=True).examples == len(splits.test)
    _, path = raw_inputs(subject.data, subject.kind, tmp_path)
    assert len(api.load(run.path).predict(path)) == 5


# --- The sealed test ------------------------------------------------------------------------------


class Spy:
    """A source that notes which rows are looked at."""

    def __init__(self, source: Any) -> None:
        self.source, self.learned, self.encoded = source, set[int](), set[int]()

    def __len__(self) -> int:
        return len(self.source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def facts(self, rows: Tensor, /) -> Any:
        self.learned.update(rows.tolist())
        return self.source.facts(rows)

    def examples(self, rows: Tensor, facts: Any, /) -> Any:
        self.encoded.update(rows.tolist())
        return self.source.examples(rows, facts)


@pytest.mark.parametrize("mode", ["fixed", "redrawn", "kfold"])
def test_no_row_of_the_test_is_looked_at_in_training(
    subject: Subject, tmp_path: Path, mode: str
) -> None:
    recipe = changed(changed(subject.recipe, "split", mode=mode, folds=2), "fit", epochs=1)
    recipe = made_possible(recipe)
    if refused_with_a_reason(subject, recipe):
        return
    run, spy = new_run(tmp_path, recipe), Spy(subject.task.source(recipe))
    play(subject.task, recipe, run, spy)
    splits = (run.folds() or [run])[0].splits()
    sealed = set(splits.test.tolist())
    assert sealed
    assert not sealed & (spy.encoded | spy.learned)
    assert spy.encoded == set(range(len(spy))) - sealed
    if mode == "fixed":
        assert spy.learned == set(splits.train.tolist())


def test_every_opening_of_the_test_is_counted_and_shown(
    subject: Subject, whole: Run, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(whole.path, tmp_path / "copy"))
    run = api.load(copy)
    assert not Run(copy).rows("test-openings.jsonl")
    for count in (1, 2):
        assert run.evaluate(test=True).split == "test"
        assert len(Run(copy).rows("test-openings.jsonl")) == count
    run.evaluate()
    assert len(Run(copy).rows("test-openings.jsonl")) == 2
    assert "Opened 2 times" in json.dumps(document(run.report))


# --- Answers --------------------------------------------------------------------------------------


def test_one_raw_input_is_answered_as_in_a_batch(
    subject: Subject, whole: Run, tmp_path: Path
) -> None:
    singles, together = raw_inputs(subject.data, subject.kind, tmp_path)
    run = api.load(whole.path)
    batch = run.predict(together)
    assert len(batch) == len(singles)
    for single, expected in zip(singles, batch, strict=True):
        (alone,) = run.predict(single)
        assert close_to(alone.answer, expected.answer)
        assert close_to(dict(alone.details), dict(expected.details))


class Recorder(nn.Module):
    """Passes inputs on to a network, and keeps them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, list[Tensor]()

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(inputs)
        result: Tensor = self.network(inputs)
        return result

    def read(self, source: Tensor) -> Any:
        """As networks that translate read a source; its answer is written token by token."""
        self.seen += source.unbind()
        return self.network.read(source)  # type: ignore[operator]

    def follow(self, tokens: Tensor, state: Any = None, *held: Any) -> Any:
        """As networks that write read a prompt (without a state), and then what they wrote."""
        if state is None:
            self.seen.append(tokens)
        return self.network.follow(tokens, state, *held)  # type: ignore[operator]

    @property
    def context(self) -> Any:
        return self.network.context


def test_raw_inputs_reach_the_network_as_they_did_in_training(
    subject: Subject, whole: Run, tmp_path: Path
) -> None:
    singles, together = raw_inputs(subject.data, subject.kind, tmp_path)
    trained = Trained(whole, subject.task)
    examples = trained.source().examples(torch.arange(len(singles)), trained.facts)
    batch = examples.batch(torch.arange(len(singles)))
    if not isinstance(batch, Batch):
        pytest.skip("this task's batches are of a kind of their own")
    recorder = Recorder(trained.network)
    subject.task.predict(recorder, trained.facts, together)
    if subject.kind == "pairs":  # sources of like lengths are read together, in an order of its own
        read = {tuple(source[source != 0].tolist()) for source in recorder.seen}
        assert read == {tuple(one[one != 0].tolist()) for one in batch.inputs[:, 0]}
        return
    if subject.task.generate is not None:
        assert_prompts_were_read(recorder, subject.task.source(trained.recipe), trained, singles)
        return
    seen = torch.cat(recorder.seen).cpu()
    # What is not there in a sequence is NaN, which equals nothing.
    torch.testing.assert_close(seen, batch.inputs, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(seen.nan_to_num(), batch.inputs.nan_to_num())
    assert torch.equal(seen.isnan(), batch.inputs.isnan())


def assert_prompts_were_read(
    recorder: Recorder, source: Any, trained: Trained, prompts: list[str]
) -> None:
    """Each prompt, which is cut from the text, reached the network as the tokens of that place."""
    examples = source.examples(torch.arange(len(source)), trained.facts)
    every = range(len(examples))
    learned = "".join(spelled(examples.batch(torch.tensor([n])).inputs[0]) for n in every)
    read = [seen[0] for seen in recorder.seen]
    for prompt in prompts:
        mine = [one for one in read if trained.facts.vocabulary.decode(one.tolist()) == prompt]
        assert mine, prompt
        assert all(spelled(one) in learned for one in mine), prompt


def spelled(tokens: Tensor) -> str:
    return "".join(f"{token}," for token in tokens.tolist())


def test_a_run_answers_on_another_machine_without_the_data(
    subject: Subject, tmp_path: Path
) -> None:
    data = tmp_path / "here" / subject.data.name
    data.parent.mkdir()
    (shutil.copytree if subject.data.is_dir() else shutil.copy)(subject.data, data)
    recipe = changed(subject.recipe, "fit", epochs=1).model_copy(update={"data": str(data)})
    run = api.start(subject.task, recipe, "run", tmp_path / "here", iter)
    _, new = raw_inputs(subject.data, subject.kind, tmp_path)
    expected = run.predict(new)
    there = tmp_path / "there"
    shutil.copytree(run.path, there / "copied")
    shutil.rmtree(tmp_path / "here")
    (there / "empty").mkdir()
    trust = ["--trust-code"] if recipe.task.endswith(".py") else []
    away = {"XDG_CACHE_HOME": str(there / "empty")}
    done = glassnet("predict", "copied", new, "--json", *trust, cwd=there, env=away)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["predictions"]
    assert close_to([p["answer"] for p in found], [p.answer for p in expected])
    assert close_to([p["details"] for p in found], [dict(p.details) for p in expected])


# --- What is kept ---------------------------------------------------------------------------------


def test_facts_and_weights_survive_a_round_trip(subject: Subject, whole: Run) -> None:
    trained = Trained(whole, subject.task)
    source = subject.task.source(subject.recipe)
    learned = source.facts(whole.splits().train)
    assert trained.facts == learned
    assert subject.task.facts.model_validate_json(learned.model_dump_json()) == learned
    torch.manual_seed(99)
    fresh = subject.task.network(trained.recipe, trained.facts)
    fresh.load_state_dict(weights(whole, "model.safetensors"))
    assert same_bits(dict(fresh.state_dict()), dict(trained.network.cpu().state_dict()))


def test_the_kept_weights_score_as_the_run_says(subject: Subject, whole: Run) -> None:
    found = api.load(whole.path).evaluate()
    for name, score in whole.info["scores"].items():
        if score is not None:
            assert found.metrics[name].value == pytest.approx(score, rel=1e-6, abs=1e-9)


def document(report: Path) -> dict[str, Any]:
    """The report as data; NaN and infinity are no JSON."""
    page = report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="glassnet">(.*?)</script>', page, re.S)
    assert found is not None

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in the report")

    parsed = json.loads(found[1], parse_constant=refuse)
    assert isinstance(parsed, dict)
    return parsed


def test_the_report_holds_what_was_asked_and_found(subject: Subject, whole: Run) -> None:
    text = json.dumps(document(whole.path / "report.html"), ensure_ascii=False)
    sections = ("How good it is", "The sealed test", "What was asked", "How it learned")
    for part in (*sections, "Never opened", "How to reproduce it"):
        assert part in text
    for metric in subject.task.metrics:
        if not metric.costly:
            assert metric.name.replace("_", " ") in text


# --- Bad knobs ------------------------------------------------------------------------------------


def test_a_misspelt_knob_is_refused_with_the_nearest_name(subject: Subject) -> None:
    with pytest.raises(UserError, match=r"fit\.epoch'.*Did you mean 'fit\.epochs'"):
        catalog.resolve(str(subject.data), {**required(subject), "fit.epoch": 3})


def test_every_knob_refuses_a_value_of_a_wrong_kind_by_its_name(subject: Subject) -> None:
    model, base = subject.task.recipe, complete(subject)
    for knob in knobs(model):
        bad = {knob.name: {"no": ["such", "value"]}}
        if knob.choices:  # it exists for some of the choices only
            bad[knob.name.rpartition(".")[0]] = knob.choices[0]
        with pytest.raises(UserError, match=rf"\b{re.escape(knob.name)}\b"):
            build(model, merge(base, nested(bad, model)))


def test_every_knob_with_a_range_refuses_what_lies_outside(subject: Subject) -> None:
    model, base = subject.task.recipe, complete(subject)
    outside = dict(_outside(model.model_json_schema(), model.model_json_schema(), ""))
    assert {"fit.lr", "fit.epochs", "fit.batch_size"} <= outside.keys()
    for name, value in outside.items():
        with pytest.raises(UserError, match=re.escape(name)):
            build(model, merge(base, nested({name: value}, model)))


def required(subject: Subject) -> dict[str, Any]:
    """The task, and the knobs that have no default."""
    fields = subject.task.recipe.model_fields
    needed = [n for n, f in fields.items() if f.is_required() and n not in ("data", "task")]
    return {"task": subject.name, **{name: getattr(subject.recipe, name) for name in needed}}


def complete(subject: Subject) -> dict[str, Any]:
    """The recipe as plain data."""
    values: dict[str, Any] = subject.recipe.model_dump(mode="json")
    return values


def _outside(schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str) -> Any:
    """Every knob with a range, and a value below or above it."""
    for name, info in schema.get("properties", {}).items():
        for option in info.get("anyOf", [info]):
            if "$ref" in option:
                part = root["$defs"][option["$ref"].rsplit("/", 1)[-1]]
                if name != "goal":
                    yield from _outside(part, root, f"{prefix}{name}.")
            elif "exclusiveMinimum" in option:
                yield f"{prefix}{name}", option["exclusiveMinimum"]
            elif "minimum" in option:
                yield f"{prefix}{name}", option["minimum"] - 1
            elif "maximum" in option:
                yield f"{prefix}{name}", option["maximum"] + 1


def test_the_task_says_in_a_line_what_it_is_for(subject: Subject) -> None:
    path = Path(subject.name)
    file = path if path.suffix == ".py" else listing.file("tasks", subject.name)
    assert len(listing.summary(file)) > 20


def test_the_loop_knows_no_task(subject: Subject) -> None:
    assert subject.name.replace("-", "_") not in Path(loop.__file__).read_text(encoding="utf-8")
    assert "data" in read_yaml_of(subject)


def read_yaml_of(subject: Subject) -> dict[str, Any]:
    """The recipe through YAML."""
    from glassnet.recipe import to_yaml

    path = Path("recipe.yaml")
    path.write_text(to_yaml(subject.recipe), encoding="utf-8")
    values = read_yaml(path)
    assert build(subject.task.recipe, values) == subject.recipe
    return values
