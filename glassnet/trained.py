"""What a run folder holds for those who come after training: recipe, facts and network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from glassnet import device, owncode, references
from glassnet.decisions import Decision
from glassnet.errors import UserError
from glassnet.recipe import read_yaml
from glassnet.run import Run
from glassnet.task import Examples, Outcome, Prediction, Source, Task

DECISION = "decision.json"


class Trained:
    """A run to be used; everything is read from its folder when it is first needed."""

    def __init__(self, run: Run, task: Task[Any, Any], trust_code: bool = False) -> None:
        self.run, self.task, self.trust_code = run, task, trust_code

    @cached_property
    def recipe(self) -> Any:
        """Every knob, resolved."""
        values = read_yaml(self.run.path / "recipe.yaml")
        network = values.get("network", {})
        name = owncode.find(self.run, "network", str(network.get("name")), self.trust_code)
        values["network"] = {**network, "name": name}
        try:
            return self.task.recipe.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{self.run.path}/recipe.yaml does not fit its task: {place}: {first['msg']}."
            ) from None

    @cached_property
    def facts(self) -> Any:
        """What turns raw inputs into tensors and outputs into answers."""
        try:
            found = self.task.facts.model_validate(self.run.read_json("facts.json"))
        except ValidationError as error:
            raise UserError(f"{self.run.path}/facts.json is damaged: {error}") from None
        later = set(self.task.later) & set(type(found).model_fields)
        asked = {name: value for name, value in self.asked.items() if name in later}
        return found.model_copy(update=asked)

    @cached_property
    def network(self) -> nn.Module:
        """The network with the kept weights, in evaluation mode, on the best device here."""
        folds = self.run.folds()
        if folds and self.recipe.split.mode == "rolling":
            return self.fold(folds[-1]).network
        if folds:
            return Mean([self.fold(fold).network for fold in folds]).eval()
        return self._load("model.safetensors")

    @cached_property
    def validated(self) -> nn.Module:
        """The network whose answers to the validation rows are honest: it never saw them."""
        refitted = self.run.exists("validated.safetensors")
        return self._load("validated.safetensors") if refitted else self.network

    def _load(self, name: str) -> nn.Module:
        network = self.task.network(self.recipe, self.facts)
        weights, _ = self.run.read_tensors(name)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"{self.run.path}/{name} does not fit the network "
                f"{self.recipe.network.name}: {error}"
            ) from None
        return device.place(network, device.here(self.recipe.fit.device)).eval()

    def fold(self, run: Run) -> Trained:
        """One fold of a k-fold run."""
        return Trained(run, self.task, self.trust_code)

    def predict(self, raw: Any, network: nn.Module | None = None) -> Sequence[Prediction]:
        """Answer raw inputs; the data set is not needed. ``network`` may stand in for the run's."""
        decision = self.decision
        more = () if decision is None else (decision,)
        return self.task.predict(network or self.network, self.facts, raw, *more)

    @property
    def decision(self) -> Any:
        """How the answers are chosen; None: they follow from the outputs."""
        if not self.is_decided:
            return self.choose(None)  # by the knobs alone, until `evaluate` has seen the answers
        found = self._decision["decision"]
        kind = self.task.decision or Decision
        return None if found is None else kind.model_validate(found)

    @property
    def is_decided(self) -> bool:
        """Whether validation examples were looked at with these weights, to decide."""
        return bool(self._decision.get("step", -1) == self.run.info.get("step"))

    @property
    def asked(self) -> dict[str, Any]:
        """The knobs by which to decide, where ``glassnet decide`` changed those of the recipe."""
        return dict(self._decision.get("asked", {}))

    @property
    def _decision(self) -> dict[str, Any]:
        return self.run.read_json(DECISION) if self.run.exists(DECISION) else {}

    def choose(self, outcome: Outcome | None) -> Any:
        """Choose a decision as was asked, by the answers to the validation examples."""
        if self.task.decide is None:
            return None
        recipe = self.recipe.model_copy(update=self.asked)
        return self.task.decide(recipe, self.facts, outcome)

    def keep(self, decision: Any, asked: Mapping[str, Any]) -> None:
        """Write down how answers are chosen with these weights, and what was asked for."""
        values = None if decision is None else decision.model_dump()
        step = self.run.info.get("step")
        self.run.write_json(DECISION, {"asked": dict(asked), "step": step, "decision": values})

    def source(self, data: str | Path | None = None) -> Source[Any]:
        """Open the data set of the run again (from ``data`` if it has moved), and check it."""
        recipe = self.recipe
        if data is not None:
            recipe = recipe.model_copy(update={"data": references.hidden(str(data))})
        try:
            source: Source[Any] = self.task.source(recipe)
        except UserError as error:
            raise UserError(
                f"{error} (This run was trained on {recipe.data}; if the data have moved, say "
                "where by --data.)"
            ) from None
        expected = self.run.info.get("fingerprint")
        if expected not in (None, source.fingerprint):
            raise UserError(
                f"{recipe.data} is not what {self.run.path} was trained on: fingerprint "
                f"{source.fingerprint}, expected {expected}. Its splits would mean other rows."
                f"{self._other_classes(source)}"
            )
        return source

    def _other_classes(self, source: Source[Any]) -> str:
        """Name the classes that only the run or only the data have."""
        known = self.run.read_json("facts.json").get("classes", [])
        if not known or source.strata is None:
            return ""
        one_of_each = {label: row for row, label in enumerate(source.strata)}
        facts = source.facts(torch.tensor(sorted(one_of_each.values())))
        found = facts.model_dump()["classes"]
        lists = {
            "Only the run knows the classes": [name for name in known if name not in found],
            "Only these data have the classes": [name for name in found if name not in known],
        }
        said = [f" {about} {', '.join(names[:5])}" for about, names in lists.items() if names]
        return ".".join(said) + ("." if said else "")

    def examples(self, part: str, source: Source[Any]) -> Examples[Any]:
        """Encode the rows of one part; 'test' is for ``evaluate`` alone, which counts it."""
        rows: Tensor = getattr(self.run.splits(), part)
        return source.examples(rows, self.facts).to(next(self.network.parameters()).device)


class Mean(nn.Module):
    """Several networks whose outputs are averaged: the answer of a k-fold run."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        """The mean of the members' outputs."""
        return torch.stack([member(inputs) for member in self.members]).mean(0)

    def read(self, source: Tensor) -> list[Any]:
        """What each member remembers of a source text."""
        return [member.read(source) for member in self.members]  # type: ignore[operator]

    def follow(self, tokens: Tensor, *held: Any) -> tuple[Tensor, list[Any]]:
        """Go on writing: the mean of the members' logits, and the state of each.

        ``held`` are memory and state, or the state alone, as the members take them.
        """
        own = zip(
            *([None] * len(self.members) if one is None else one for one in held), strict=True
        )
        found = [
            member.follow(tokens, *mine)  # type: ignore[operator]
            for member, mine in zip(self.members, own, strict=True)
        ]
        return torch.stack([logits for logits, _ in found]).mean(0), [state for _, state in found]
