"""What to try next, in order: commands with knobs that this run's recipe has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassnet import network
from glassnet.diagnosis.verdict import Finding, Measured, curve_state, is_perfect
from glassnet.figures import short
from glassnet.recipe import knobs

FEW_ROWS = 10_000
"""Training rows below which a second training on the validation rows too is advised."""


@dataclass(frozen=True)
class Advice:
    """One thing to try, and why."""

    what: str
    why: str
    command: str | None = None


def advise(findings: Sequence[Finding], measured: Measured, recipe: Any, run: Path) -> list[Advice]:
    """What to try for each finding, in order, each thing once."""
    kitchen = Kitchen(recipe, run)
    items = [item for finding in findings for item in _for(finding, measured, kitchen)]
    return list({item.what: item for item in items}.values())


class Kitchen:
    """The run's knobs, and commands that change them."""

    def __init__(self, recipe: Any, run: Path) -> None:
        self.recipe, self.run = recipe, run
        self.options = set(network.schema(network.find(recipe.network.name)).model_fields)
        own = [k for k in knobs(type(recipe)) if not k.choices]
        chosen = [k for k in knobs(type(recipe)) if recipe.fit.optimizer.name in k.choices]
        self.names = {knob.name for knob in (*own, *chosen)}

    def has(self, knob: str) -> bool:
        """Whether the recipe has this knob."""
        group, _, leaf = knob.partition(".")
        return leaf in self.options if group == "network" else knob in self.names

    def value(self, knob: str) -> Any:
        """What the run had."""
        group, _, leaf = knob.partition(".")
        if group == "network":
            return self.recipe.network.options[leaf]
        value = self.recipe
        for part in knob.split("."):
            value = getattr(value, part)
        return value

    def train(self, **changes: Any) -> str:
        """The command for a new run with other knobs (``__`` for the dot)."""
        words = [f"--{name.replace('__', '.')} {_text(v)}" for name, v in changes.items()]
        return " ".join([f"glassnet train {self.run}/recipe.yaml", *words])

    def look(self) -> str:
        """The command that inspects the data."""
        target = getattr(self.recipe, "target", None) if self.has("target") else None
        more = f" --target '{target}'" if target else ""
        return f"glassnet inspect {self.recipe.data}{more}"


def _for(finding: Finding, measured: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    match finding.name:
        case "data in doubt":
            yield from _against_doubt(kitchen)
        case "high bias":
            yield from _against_bias(measured, kitchen)
        case "high variance":
            yield from _against_variance(measured, kitchen)
        case "data mismatch":
            yield from _against_mismatch(measured, kitchen)
        case "noise":
            yield from _against_noise(kitchen)
        case "behind a tree model":
            yield from _against_trees(kitchen)
        case "cannot be told":
            yield from _for_certainty(measured, kitchen)
        case "nothing stands out":
            yield from _when_healthy(finding, measured, kitchen)


def _against_doubt(kitchen: Kitchen) -> Iterator[Advice]:
    yield Advice(
        "Settle what the data doctor found, before anything else.",
        "A column that is not known when a prediction is made has to go, and so do rows that are "
        "in two parts; then train anew. All other advice waits for that.",
        kitchen.look(),
    )


def _against_bias(m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    longer = Advice(
        "Train longer.",
        "The last epochs were the best ones: it was not done."
        if (m.last_best or 0) > 0.9
        else "Cheapest to try.",
        kitchen.train(fit__epochs=3 * kitchen.value("fit.epochs")),
    )
    if (m.last_best or 0) > 0.9:
        yield longer
    yield from _larger(kitchen, "One that cannot learn its own training rows may be too small.")
    yield Advice(
        "Look for a better learning rate.",
        "A rate that is too small or too large looks like a network that is too small.",
        f"glassnet lr {kitchen.run}/recipe.yaml",
    )
    yield from _less_regularization(kitchen)
    yield longer
    yield Advice(
        "Compare optimizers.",
        "If all of them end at the same training loss, it is the network, not its training.",
        f"glassnet compare-optimizers {kitchen.run}/recipe.yaml",
    )


def _larger(kitchen: Kitchen, why: str) -> Iterator[Advice]:
    """A network that can do more."""
    for knob in ("hidden", "channels"):
        if kitchen.has(f"network.{knob}") and kitchen.value(f"network.{knob}") is not None:
            sizes = _each(kitchen.value(f"network.{knob}"), lambda size: 2 * size)
            if knob == "hidden" and isinstance(sizes, list) and len(sizes) < 2:
                sizes = [max(100, *sizes, 0)] * 2
            command = kitchen.train(**{f"network__{knob}": sizes})
            yield Advice("Take a larger network.", why, command)
    if kitchen.has("network.blocks"):
        more = kitchen.train(network__blocks=kitchen.value("network.blocks") + 1)
        yield Advice("Take a deeper network.", why, more)
    if not kitchen.options & {"hidden", "channels", "blocks"}:
        default = type(kitchen.recipe).model_fields["network"].get_default()
        if default is not None and default.name != kitchen.recipe.network.name:
            command = kitchen.train(network=default.name)
            yield Advice(f"Take another network, {default.name}.", why, command)


def _each(sizes: Any, change: Callable[[int], int]) -> Any:
    """Change the size of each layer, or the one size of all of them."""
    return change(sizes) if isinstance(sizes, int) else [change(size) for size in sizes]


def _less_regularization(kitchen: Kitchen) -> Iterator[Advice]:
    """Take back what holds the network down."""
    held = {
        knob: 0
        for knob in ("network.dropout", "fit.optimizer.weight_decay", "label_smoothing")
        if kitchen.has(knob) and kitchen.value(knob)
    }
    if held:
        changes = {knob.replace(".", "__"): value for knob, value in held.items()}
        yield Advice("Regularize less.", "It holds the network down.", kitchen.train(**changes))


def _against_variance(m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    trend = curve_state(m)
    rows = Advice(
        "Get more rows.",
        "The learning curve still rises."
        if trend == "rising"
        else "The surest remedy against variance"
        + (", but the learning curve is flat: expect little." if trend == "flat" else "."),
    )
    if trend != "flat":
        yield rows
    yield from _refit(m, kitchen)
    yield from _more_regularization(kitchen)
    yield from _smaller(kitchen)
    if kitchen.value("fit.patience") is None and (m.last_best or 1) < 0.8:
        epochs = kitchen.value("fit.epochs")
        yield Advice(
            "Stop earlier.",
            "The best epoch lay well before the end.",
            kitchen.train(fit__patience=max(3, epochs // 10)),
        )
    if kitchen.value("split.mode") == "fixed":
        yield Advice(
            "Average several networks.",
            "The mean of a network per fold varies less than one of them.",
            kitchen.train(split__mode="kfold"),
        )
    if trend == "flat" and not is_perfect(m):
        yield rows


def _refit(m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    """Give the validation rows to the final weights, where rows are few."""
    fixed = kitchen.value("split.mode") == "fixed"
    if fixed and not kitchen.value("split.refit") and m.num_training < FEW_ROWS:
        yield Advice(
            "Train once more on training and validation rows together.",
            "Rows are few, and the weights that answer have not seen the validation rows.",
            kitchen.train(split__refit="true"),
        )


def _more_regularization(kitchen: Kitchen) -> Iterator[Advice]:
    """Hold the network down, the strongest remedy first."""
    if kitchen.has("augment.shift") and kitchen.value("augment.shift") == 0:
        change = kitchen.train(augment__shift=0.08)
        yield Advice("Shift training images at random.", "Like more rows, for nothing.", change)
    if kitchen.has("network.dropout") and kitchen.value("network.dropout") < 0.5:
        more = round(min(0.5, kitchen.value("network.dropout") + 0.2), 2)
        change = kitchen.train(network__dropout=more)
        yield Advice("Use more dropout.", "Units that learn by heart together are parted.", change)
    knob = "fit.optimizer.weight_decay"
    if kitchen.has(knob):
        now = kitchen.value(knob)
        apart = kitchen.recipe.fit.optimizer.name in ("adamw", "muon")
        more = min(1.0 if apart else 0.01, max(0.1 if apart else 5e-4, 5 * now))
        if more > now:
            change = kitchen.train(fit__optimizer__weight_decay=float(f"{more:.1g}"))
            yield Advice("Use more weight decay.", "Smaller weights, smoother answers.", change)
    if kitchen.has("label_smoothing") and not kitchen.value("label_smoothing"):
        change = kitchen.train(label_smoothing=0.1)
        yield Advice("Smooth the labels.", "Against answers that are too sure.", change)

    yield from _mixed_and_sparse(kitchen)


def _mixed_and_sparse(kitchen: Kitchen) -> Iterator[Advice]:
    """Remedies that most recipes have and few use."""
    if kitchen.has("mixup") and not kitchen.value("mixup"):
        change = kitchen.train(mixup=0.2)
        yield Advice("Mix training examples in pairs.", "Answers become smoother between.", change)
    if kitchen.has("fit.average") and kitchen.value("fit.average") is None:
        change = kitchen.train(fit__average=0.99)
        yield Advice("Average the weights over the steps.", "The mean varies less.", change)
    if kitchen.has("fit.l1") and not kitchen.value("fit.l1"):
        change = kitchen.train(fit__l1=1e-4)
        yield Advice("Pull weights to exactly zero.", "Inputs that only add noise go.", change)


def _smaller(kitchen: Kitchen) -> Iterator[Advice]:
    for knob in ("hidden", "channels"):
        if kitchen.has(f"network.{knob}") and kitchen.value(f"network.{knob}"):
            sizes = _each(kitchen.value(f"network.{knob}"), lambda size: max(8, size // 2))
            if sizes != _each(kitchen.value(f"network.{knob}"), lambda size: size):
                change = kitchen.train(**{f"network__{knob}": sizes})
                yield Advice("Take a smaller network.", "It can learn less by heart.", change)


def _against_mismatch(m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    told = ", ".join(name for name, _ in m.drift.columns) if m.drift else ""
    yield Advice(
        "Find out how the parts differ.",
        f"Most telling: {told}." if told else "Look at examples of both parts side by side.",
        kitchen.look(),
    )
    yield Advice(
        "Get training rows of the kind that validation (and later use) has.",
        "No knob mends rows of another kind; some hundreds of the right ones do.",
    )
    yield Advice(
        "Leave out columns that differ for a reason that has nothing to do with the answer.",
        "Running numbers and dates of recording tell where a row came from, not what it is.",
    )
    yield Advice(
        "If the parts differ by mistake, let glassnet draw them.",
        "Put all rows into one file or folder without train/ and val/; the parts are then alike.",
    )


def _against_noise(kitchen: Kitchen) -> Iterator[Advice]:
    yield Advice(
        "Look at the labels.",
        "The report shows the mistakes of which the network was most certain: wrong labels are "
        "often among them. The data doctor lists contradicting and suspicious ones.",
        kitchen.look(),
    )
    yield Advice(
        "Add inputs that hold what is missing.",
        "Ask what a person would want to know, to answer better than the network.",
    )
    if kitchen.has("label_smoothing") and not kitchen.value("label_smoothing"):
        change = kitchen.train(label_smoothing=0.1)
        yield Advice("Smooth the labels.", "A wrong label then pulls less.", change)
    if kitchen.has("loss") and kitchen.value("loss") == "squared":
        change = kitchen.train(loss="huber")
        yield Advice("Use a loss that outliers pull less.", "Noise often is in the tails.", change)
    yield Advice(
        "Say what can be reached.",
        "If people agree with each other on 90 %, no network will do better.",
        f"glassnet diagnose {kitchen.run} --reachable VALUE",
    )


def _against_trees(kitchen: Kitchen) -> Iterator[Advice]:
    yield from _larger(kitchen, "It may find what the trees found.")
    yield from _more_regularization(kitchen)
    yield Advice(
        "Compare optimizers.",
        "A better optimum of the same network may be all that is missing.",
        f"glassnet compare-optimizers {kitchen.run}/recipe.yaml",
    )


def _for_certainty(m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    if kitchen.value("split.mode") != "kfold":
        yield Advice(
            "Validate on all rows, by folds.",
            f"{m.validation.examples:,} validation rows are too few to tell; folds use each row "
            "that is not sealed once.",
            kitchen.train(split__mode="kfold"),
        )
    if not is_perfect(m):
        yield Advice("Get more rows.", "Four times the validation rows halve the intervals.")


def _when_healthy(finding: Finding, m: Measured, kitchen: Kitchen) -> Iterator[Advice]:
    if m.reachable is None:
        yield Advice(
            "Say what can be reached, if you know it.",
            "What other models reach is not what is possible.",
            f"glassnet diagnose {kitchen.run} --reachable VALUE",
        )
    if curve_state(m) == "rising" and not m.doubts:
        yield Advice("Get more rows.", "The learning curve still rises.")
    if finding.certainty == "unsure" or m.doubts:
        return
    yield Advice(
        "Open the sealed test, once.",
        f"Validation says {short(m.validation.estimate.value)}; it chose the weights.",
        f"glassnet evaluate {kitchen.run} --test",
    )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
