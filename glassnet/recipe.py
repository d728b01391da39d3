"""Recipes: every knob of a training, declared once.

The pydantic models below are the one schema behind YAML files, command-line flags
(``--fit.lr 0.1``), Python keywords and web forms: a knob's ``Field`` holds its type, range,
default, unit and help. A task's recipe is a ``Recipe`` with fields of its own.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from glassnet.errors import UserError, nearest
from glassnet.knobs import Knobs
from glassnet.optimizers import AdamW, OptimizerKnobs
from glassnet.schedules import OneCycle, ScheduleKnobs

M = TypeVar("M", bound=BaseModel)


class NetworkKnobs(BaseModel):
    """Which network, and its constructor's arguments (see ``glassnet networks NAME``)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(description="A name from `glassnet networks`, or a Python file of your own.")

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self.model_extra or {})

    @property
    def usual(self) -> str:
        """Its usual name, a variant's by depth or size: resnet50, hgnetv2-b2; of a file, its stem.

        >>> [NetworkKnobs(name="resnet", depth=50).usual, NetworkKnobs(name="my/net.py").usual]
        ['resnet50', 'net']
        """
        size = f"-{self.options['size']}" if "size" in self.options else ""
        return f"{Path(self.name).stem}{self.options.get('depth', '')}{size}"


class Fit(Knobs):
    """How the weights are found. The first three are the knobs that everybody looks for."""

    batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples per optimizer step, at most. Larger: steadier and faster per example;"
        " smaller: more steps. Unset: chosen from the number of training examples.",
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="Learning rate at its peak. The first knob to try: `glassnet lr` draws what "
        "your data bear. Unset: the task's tested default.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        description="Passes over the training examples. More: better until the validation loss "
        "rises. Unset: chosen from the number of training examples.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**32 - 1,
        description="Seed of weights, order and augmentation. The same seed on the same machine "
        "gives the same weights, bit for bit.",
    )
    optimizer: OptimizerKnobs = Field(
        AdamW(),
        description="The rule that turns gradients into steps: sgd, rmsprop, adam, adamw, muon.",
    )
    schedule: ScheduleKnobs = Field(
        OneCycle(),
        description="How the learning rate changes: constant, step, exponential and cosine (each "
        "with `warmup`), one-cycle (whose rise is its warm-up).",
    )
    clip: float | None = Field(
        None, gt=0, description="Largest gradient norm; set to about 1 if the loss jumps."
    )
    l1: float = Field(
        0.0,
        ge=0,
        le=100,
        description="L1 regularization: each optimizer step takes lr times this off the size of "
        "every weight, and what would cross zero becomes zero. Set it to 0.01-0.3 for a network "
        "that uses few of its weights or inputs; 0 turns it off. Biases and normalizations are "
        "spared. L2 is `fit.optimizer.weight_decay`.",
    )
    average: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Exponential average of the weights (EMA): score and keep a network that at "
        "each optimizer step holds on to this share of itself and takes the rest from the trained "
        "one. 0.99-0.999 steadies noisy validation scores, above all with a constant lr; 1 / (1 - "
        "average) steps must be few beside those of the training. Unset: the trained weights.",
    )
    accumulate: int = Field(
        1,
        ge=1,
        description="Compute each batch in this many pieces and add their gradients: same batch "
        "size, less memory.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Early stopping: end after this many epochs without a better validation score. "
        "Unset: never.",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="Which weights the run answers with: those of the best validation epoch, or "
        "the last. Both are stored. Redrawn validation always keeps the last.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="Arithmetic of forward and backward. bfloat16 is faster on recent hardware at "
        "a small cost in accuracy; float16 (CUDA only) scales the loss.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto (CUDA, then Apple's MPS, then CPU), cpu, cuda, cuda:1, mps.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads. Unset: one for very small networks, else all cores.",
    )
    checkpoint_seconds: float = Field(
        60.0, gt=0, le=600, description="Longest time between two checkpoints, in seconds."
    )

    def steps_per_epoch(self, num_examples: int) -> int:
        """Optimizer steps for one pass; batches differ in size by one example at most."""
        assert self.batch_size is not None, "fit.batch_size is filled before training"
        return max(1, math.ceil(num_examples / self.batch_size))

    def num_steps(self, num_examples: int) -> int:
        """Optimizer steps of the whole training."""
        assert self.epochs is not None, "fit.epochs is filled before training"
        return self.epochs * self.steps_per_epoch(num_examples)


class Split(Knobs):
    """How the rows are divided. The test rows are drawn first, and sealed."""

    test: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of all rows that is sealed for the test; ignored if the data bring a "
        "test part. 0: no test.",
    )
    validation: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the remaining rows for validation; ignored if the data bring one.",
    )
    mode: Literal["fixed", "redrawn", "kfold", "rolling"] = Field(
        "fixed",
        description="fixed: one validation part. redrawn: another one at each epoch (its scores "
        "flatter, since its rows were trained on before). kfold: `folds` networks, each validated "
        "on the part that it did not see. rolling: `folds` networks in order of time, each trained "
        "on what came before the part on which it is validated; for rows that have an order.",
    )
    folds: int = Field(5, ge=2, description="Number of folds with mode kfold or rolling.")
    fold: int | None = Field(
        None, ge=1, description="Train only this fold (1 to `folds`). Unset: all of them."
    )
    refit: bool = Field(
        False,
        description="With mode fixed: when validation has told how good the knobs are, train once "
        "more on training and validation rows together, for as many epochs as were best. The run "
        "answers with these weights; its validation figures stay those of the weights that never "
        "saw the validation rows. Set it where examples are few; it doubles the time.",
    )
    per_class: int | None = Field(
        None,
        ge=1,
        description="Train on at most this many rows of each class, drawn at random; the other "
        "training rows stay unused. Set it to try what few examples would give. Unset: all rows.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**32 - 1,
        description="Seed of the draw; apart from fit.seed, so that runs share a test.",
    )

    @property
    def refits(self) -> bool:
        """Whether a second training on all rows follows; folds answer together instead."""
        return self.refit and self.mode == "fixed"

    @property
    def has_folds(self) -> bool:
        """Whether several networks are trained, each validated on rows of its own."""
        return self.mode in ("kfold", "rolling")

    @model_validator(mode="after")
    def _few_stay_few(self) -> Self:
        if self.per_class is not None and (self.mode == "redrawn" or self.refits):
            other = "split.mode=redrawn" if self.mode == "redrawn" else "split.refit"
            raise ValueError(
                f"split.per_class={self.per_class} contradicts {other}, which trains on the "
                "validation rows too; unset one of them"
            )
        return self

    @model_validator(mode="after")
    def _fold_needs_folds(self) -> Self:
        if self.fold is not None and (not self.has_folds or self.fold > self.folds):
            raise ValueError(
                f"split.fold={self.fold} contradicts split.mode={self.mode} with "
                f"split.folds={self.folds}: choose mode kfold (or rolling) and a fold from 1 to "
                "folds"
            )
        return self


class Transfer(Knobs):
    """How a network with first weights from elsewhere learns on. Nothing without `weights`."""

    head: Literal["known", "new"] = Field(
        "known",
        description="known: outputs of the last layer are kept if the weights know all of your "
        "classes by name, in whatever order. new: the last layer always begins anew; set it if "
        "classes share their names by chance, as 0 to 9 do in most sets of digits.",
    )
    head_alone: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of all epochs in which the last layer learns alone, at a constant "
        "fit.lr; the schedule begins after them. 0: all blocks learn at once.",
    )
    unfreeze: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of all epochs, after the head's own, over which the blocks begin to "
        "learn, one after another from the top. 0: all at once. Try 0.3 if the training loss falls "
        "while validation gets worse.",
    )
    layer_decay: float = Field(
        0.7,
        gt=0,
        le=1,
        description="The learning rate of each block is this times that of the block above it. "
        "Lower where data are few or like the old ones, 1 where they are many and unlike.",
    )
    freeze: Annotated[int, Field(ge=0)] | str = Field(
        0,
        description="Blocks that never learn: a number of them from the input, the name of the "
        "last one of them, or `all` but the head (a linear probe: fastest, and best with very few "
        "examples). `--dry-run` lists the blocks.",
    )

    @model_validator(mode="after")
    def _time_is_left_for_all(self) -> Self:
        if self.head_alone + self.unfreeze >= 1:
            raise ValueError(
                f"transfer.head_alone={self.head_alone} and transfer.unfreeze={self.unfreeze} "
                "leave no time in which all blocks learn: their sum must be below 1"
            )
        return self


LabelSmoothing = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Label smoothing: share of each label that is spread over all classes; about "
        "0.1 against overconfidence and wrong labels.",
    ),
]


MixupAlpha = Annotated[
    float,
    Field(
        ge=0,
        le=10,
        description="Mixup: train on mixtures of two examples and of what is expected of both; "
        "this is the α of their shares, drawn from Beta(α, α). 0.1-0.4 against overfitting and "
        "overconfidence, with more epochs; 0 turns it off.",
    ),
]


CutmixAlpha = Annotated[
    float,
    Field(
        ge=0,
        le=10,
        description="Cutmix: train on images into which a rectangle of another one is pasted, with "
        "shares by area; this is the α of these shares. 1 for long trainings on photographs, "
        "together with `mixup` one of both for each batch; 0 turns it off.",
    ),
]


RowWeights = Annotated[
    str | None,
    Field(
        description="Name of a column that says how much each row counts in training (0 or more); "
        "it is not learned from, and figures count every row once. Unset: all count the same."
    ),
]


class Goal(Knobs):
    """What a recipe must reach; re-checked by ``glassnet recipes check``."""

    metric: str = Field(description="Name of the metric, as `glassnet evaluate` prints it.")
    value: float = Field(description="The figure to reach.")
    split: Literal["validation", "test"] = Field("test", description="On which examples.")
    minutes: float = Field(
        description="Within this time on 2 CPU cores; on one GPU if fit.device is cuda.", gt=0
    )


class Recipe(Knobs):
    """A complete training: data, task and knobs. Tasks add fields of their own."""

    summary: str = Field("", description="One line about the recipe, for lists.")
    task: str = Field(description="A name from `glassnet tasks`, or a Python file of your own.")
    data: str = Field(
        description="A path, a name from `glassnet datasets`, a sheet as book.xlsx#Sheet2, or a "
        "table or query of a database as sqlite:///shop.db#orders."
    )
    network: NetworkKnobs
    fit: Fit = Fit()
    split: Split = Split()
    doctor: Literal["skip", "quick", "full"] = Field(
        "quick",
        description="How thoroughly the data are examined before training: duplicates, wrong "
        "labels, leaks, drift. quick: some seconds, large data by a sample. full: as `glassnet "
        "inspect` does, up to minutes. skip: not at all. Nothing is changed; `glassnet inspect "
        "--fix` repairs a copy.",
    )
    goal: Goal | None = Field(None, description="What the run must reach, for verified recipes.")

    @model_validator(mode="after")
    def _early_stopping_needs_unseen_rows(self) -> Self:
        if self.fit.patience is not None and self.split.mode == "redrawn":
            raise ValueError(
                "fit.patience contradicts split.mode=redrawn: redrawn validation rows were "
                "trained on before, so their score cannot say when to stop; unset one of them"
            )
        return self


# --- From and to YAML, flags and keywords ---------------------------------------------------------


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested ``changes`` over ``base``.

    A choice (a group with a ``name``, such as the optimizer) may be given by its name alone; when
    the name changes, the other knobs of the former choice go with it.

    >>> merge({"a": {"name": "sgd", "momentum": 0.9}}, {"a": "adam"})
    {'a': {'name': 'adam'}}
    """
    merged = deepcopy(dict(base))
    for key, change in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and "name" in old and isinstance(change, str):
            change = {"name": change}
        if not (isinstance(old, Mapping) and isinstance(change, Mapping)):
            merged[key] = deepcopy(change)
        elif "name" in change and change["name"] != old.get("name"):
            merged[key] = dict(change)
        else:
            merged[key] = merge(old, change)
    return merged


class Flag(str):
    """A knob's value as it was typed, not read yet: ``2024`` may be a number or a column's name."""


def nested(flat: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Turn ``{"fit.lr": 0.1}`` or the short ``{"lr": 0.1}`` into ``{"fit": {"lr": 0.1}}``.

    A short name stands for the one knob of ``fit`` or of the recipe that is called so.
    """
    tree: dict[str, Any] = {}
    for name, value in _full_names(flat, model).items():
        *groups, leaf = name.split(".")
        node = tree
        for group in groups:
            below = node.setdefault(group, {})
            node[group] = node = {"name": below} if isinstance(below, str) else below
        if isinstance(value, Flag):
            value = str(value) if _is_text(model, name) else parse_value(value)
        node[leaf] = merge({leaf: node.get(leaf)}, {leaf: value})[leaf]
    return tree


def parse_value(text: str) -> Any:
    """Read a flag's text as YAML reads it; ``100,100`` is a list, ``1e-3`` a number."""
    try:
        return float(text) if "e" in text.lower() and text[:1] in "0123456789.-+" else _yaml(text)
    except ValueError:
        return _yaml(text)


def build(model: type[M], values: Mapping[str, Any], prefix: str = "") -> M:
    """Validate ``values`` as ``model``; every mistake is a UserError that names the knob."""
    try:
        return model.model_validate(merge(_defaults(model), _listed(model, values)))
    except ValidationError as error:
        mistakes = [_explain(model, item, prefix) for item in error.errors()]
        raise UserError("\n".join(mistakes)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a recipe file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not a readable YAML file: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold knobs such as `data: photos/`, found {values!r:.60}.")
    return values


def to_yaml(recipe: BaseModel) -> str:
    """Write a recipe as YAML, in the order of its declaration."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Knob:
    """One knob as help texts, forms and reference pages show it."""

    name: str
    type: str
    default: Any
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()
    """The choices that have this knob, such as the optimizers with momentum; empty: always."""


def knobs(
    model: type[BaseModel], prefix: str = "", given: Mapping[str, Any] | None = None
) -> Iterator[Knob]:
    """List all knobs of a recipe, depth first, in the order of their declaration.

    ``given`` are the defaults of this group in the recipe that holds it.
    """
    for name, info in model.model_fields.items():
        path, groups = f"{prefix}{name}", _groups(info.annotation)
        default = (given or {}).get(name, _default(info))
        if not groups:
            help_text, needed = info.description or "", info.is_required() and default is None
            yield Knob(path, _type_name(info), default, help_text, needed)
        elif len(groups) == 1:
            yield from knobs(groups[0], f"{path}.", default)
        else:
            yield from _choice(path, info.description or "", default, groups)


def _choice(
    path: str, help_text: str, chosen: Mapping[str, Any], groups: list[type[BaseModel]]
) -> Iterator[Knob]:
    """A choice among groups by name, then the knobs of all groups, each once."""
    names = [group.model_fields["name"].default for group in groups]
    yield Knob(path, " | ".join(names), chosen["name"], help_text)
    for name in dict.fromkeys(field for group in groups for field in group.model_fields):
        having = [group for group in groups if name in group.model_fields and name != "name"]
        if having:
            field = having[0].model_fields[name]
            default = chosen.get(name, _default(field))
            who = tuple(group.model_fields["name"].default for group in having)
            about = field.description or ""
            yield Knob(f"{path}.{name}", _type_name(field), default, about, choices=who)


# --- Helpers --------------------------------------------------------------------------------------


def _yaml(text: str) -> Any:
    if "," in text and not text.startswith(("[", "{", "'", '"')):
        text = f"[{text}]"
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _listed(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """A single number for a knob that is a list is a list of one: ``--network.hidden 4``."""
    lists = {
        name
        for name, info in model.model_fields.items()
        if any(typing.get_origin(option) is tuple for option in _flatten(info.annotation))
    }
    return {
        name: [value] if name in lists and type(value) in (int, float) else value
        for name, value in values.items()
    }


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """All default values as plain data, so that a partial group keeps the task's defaults."""
    found = {}
    for name, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            found[name] = default.model_dump()
    return found


def _full_names(flat: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Full name -> value, 'fit.optimizer' before 'fit.optimizer.momentum'."""
    typed: dict[str, str] = {}
    for name in flat:
        full = _full_name(name, model)
        if full in typed:
            raise UserError(f"{typed[full]!r} and {name!r} are the same knob; give one of them.")
        typed[full] = name
    return {full: flat[typed[full]] for full in sorted(typed)}


def _full_name(name: str, model: type[BaseModel]) -> str:
    first = name.partition(".")[0]
    if first in model.model_fields:
        return name
    if first in Fit.model_fields:
        return f"fit.{name}"
    fits = [knob.name for knob in knobs(model) if knob.name.rsplit(".", 1)[-1] == name]
    return fits[0] if fits else name


def _is_text(model: type[BaseModel], name: str) -> bool:
    """Whether a knob, by its full name, holds text and nothing else."""
    first, _, rest = name.partition(".")
    info = model.model_fields.get(first)
    if info is None:
        return False
    if rest:
        return any(_is_text(group, rest) for group in _groups(info.annotation))
    return set(_flatten(info.annotation)) <= {str, type(None)}


def _groups(annotation: Any) -> list[type[BaseModel]]:
    """The models behind an annotation: one is a group of knobs, several are a choice."""
    options = [a for a in _flatten(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    return [option for option in options if option is not Goal]


def _flatten(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _flatten(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [b for a in typing.get_args(annotation) for b in _flatten(a)]
    return [annotation]


def _type_name(info: FieldInfo) -> str:
    options = [a for a in _flatten(info.annotation) if a is not type(None)]
    if len(options) == 1 and typing.get_origin(options[0]) is Literal:
        return " | ".join(map(str, typing.get_args(options[0])))
    return " | ".join("list" if typing.get_origin(a) is tuple else a.__name__ for a in options)


def _default(info: FieldInfo) -> Any:
    if info.is_required():
        return None
    default = info.get_default(call_default_factory=True)
    return default.model_dump() if isinstance(default, BaseModel) else default


def _explain(model: type[BaseModel], error: Any, prefix: str) -> str:
    place = _without_choices(model, [str(part) for part in error["loc"]])
    name = prefix + ".".join(part for part in place if not part.startswith("function-"))
    if error["type"] == "extra_forbidden":
        known = [f"{prefix}{knob.name}" for knob in knobs(model)]
        leaf = name.rsplit(".", 1)[-1]
        leaves = [k for k in known if k.rsplit(".", 1)[-1] == leaf]
        if name in known:
            having = next(k.choices for k in knobs(model) if f"{prefix}{k.name}" == name)
            return f"'{name}' is a knob of {', '.join(having)} only, which is not chosen."
        by_leaf = {k.rsplit(".", 1)[-1]: k for k in known}
        close = leaves or [by_leaf[k] for k in get_close_matches(leaf, by_leaf, 1)]
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return f"Unknown knob '{name}'.{hint} `glassnet train --help` lists all, and `tasks NAME`."
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):
        whole = name.rpartition(".")[0]
        about = next((k.help for k in knobs(model) if f"{prefix}{k.name}" == whole), "")
        return f"{whole}: expected more than {len(error['input'])} values. {about}"
    if error["type"] == "missing":
        about = next((k.help for k in knobs(model) if f"{prefix}{k.name}" == name), "")
        return f"The recipe lacks '{name}': {about}"
    if error["type"] == "union_tag_invalid":
        tag, tags = error["ctx"]["tag"], error["ctx"]["expected_tags"].replace("'", "")
        return f"{name}: {tag!r} is none of {tags}.{nearest(tag, tags.split(', '))}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and all(f"{prefix}{k.name}" != name for k in knobs(model)):
        return f"{name}: {message}." if name else f"{message}."  # a group: knobs and values in it
    return f"{name}: {message}, found {error['input']!r:.80}." if name else f"{message}."


def _without_choices(model: type[BaseModel], place: list[str]) -> list[str]:
    """Turn pydantic's fit.optimizer.adamw.eps into the knob's name, fit.optimizer.eps."""
    choices = {knob.name: knob.type.split(" | ") for knob in knobs(model)}
    return [
        part
        for number, part in enumerate(place)
        if part not in choices.get(".".join(place[:number]), ())
    ]
