"""What a network of convolutions looks at: in images of yours, and in all that it has learned.

``images`` explains what a run answers to raw images; ``network`` shows its filters, what excites
them, and the evidence behind its worst and best answers to validation examples. Both put together
the methods of this folder, which know nothing of runs and tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from glassnet import figures
from glassnet.errors import UserError, nearest
from glassnet.explain import evidence, excite, maps, seenpage, trust
from glassnet.explain.evidence import Evidence
from glassnet.explain.example import Tap
from glassnet.explain.excite import Made, Patch
from glassnet.explain.feature_maps import FeatureMaps, feature_maps
from glassnet.explain.filters import Filters, filters
from glassnet.explain.maps import Map
from glassnet.explain.trust import Check
from glassnet.metrics import answered
from glassnet.progress import tell
from glassnet.task import Review
from glassnet.trained import Trained
from glassnet.views import as_read, worst_mistakes

LEARNED = ("gradcam",)
"""The methods for validation examples, if none are named."""
MOST_IMAGES = 16
SOME = 4
"""Worst and best validation examples, of each."""
PIXELS = 3_200_000
"""Of images that are searched for what excites filters: 64 of 224×224, at most ``SEARCHED``."""
SEARCHED = 512
OF_VIEWS = (
    "The run answers with the average over several views of each image (tta). Explained, with its "
    "probabilities, is the plain view."
)
FILTERS = 6
REPORTED = 12
"""Kernels in a report."""
SMALL_IMAGE = 64
"""Pixels of a side up to which the costly parts look at more."""


@dataclass(frozen=True)
class Seen:
    """One image, what was answered, and the evidence for one class."""

    name: str
    image: Tensor
    """(C, H, W), uint8: as the network reads it."""
    probabilities: dict[str, float]
    """Of all classes, the most probable first."""
    answer: str
    about: str
    """The class that is explained."""
    truth: str | None
    """None if nobody said."""
    evidence: Sequence[Evidence]

    def to_json(self) -> dict[str, Any]:
        """The image itself is left out."""
        plain = {key: getattr(self, key) for key in ("name", "answer", "about", "truth")}
        found = [one.to_json() for one in self.evidence]
        return {**plain, "probabilities": self.probabilities, "evidence": found}


@dataclass(frozen=True)
class Excited:
    """What excites one filter most."""

    layer: str
    channel: int
    patches: Sequence[Patch]
    pictures: Sequence[Tensor]
    """The patches, each (C, h, w) of one size; what lies beyond the border is grey."""
    made: Made | None
    """None for the first convolution, whose kernel says it already."""

    def to_json(self) -> dict[str, Any]:
        """``box`` is top, left, bottom, right in pixels; pictures are left out."""
        made = None
        if self.made is not None:
            made = {"mean": self.made.mean, "highest_in_data": self.made.natural}
        patches = [vars(patch) for patch in self.patches]
        return {"layer": self.layer, "filter": self.channel + 1, "patches": patches, "made": made}


@dataclass(frozen=True)
class Explanation:
    """What was found; ``text`` for a terminal, ``document`` for a page."""

    run: str
    network: str
    images: Sequence[Seen]
    checks: Sequence[Check]
    """Whether the methods are to be trusted on these images."""
    maps: Sequence[FeatureMaps] = ()
    """Of the first image."""
    filters: Sequence[Filters] = ()
    excited: Sequence[Excited] = ()
    searched: int = 0
    """How many validation images were searched for what excites filters."""
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet explain --json`` prints it."""
        return {
            "run": self.run,
            "network": self.network,
            "images": [one.to_json() for one in self.images],
            "checks": [one.to_json() for one in self.checks],
            "feature_maps": [one.to_json() for one in self.maps],
            "filters": [one.to_json() for one in self.filters],
            "excited": [one.to_json() for one in self.excited],
            "searched": self.searched,
            "notes": list(self.notes),
        }

    @property
    def text(self) -> str:
        """For a terminal, in 100 columns."""
        return seenpage.text(self)

    @cached_property
    def document(self) -> figures.Document:
        """For a page: ``figures.page(explanation.document)``."""
        return seenpage.document(self)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return figures.notebook(self.document)


def images(
    trained: Trained,
    raw: Any,
    methods: Sequence[str] = evidence.DEFAULT,
    about: str | None = None,
    layer: str | None = None,
) -> Explanation:
    """Explain what a run answers to raw images.

    Args:
        trained: The run.
        raw: As for ``predict``: a path, a folder, an array or a list.
        methods: Names from ``evidence.METHODS``.
        about: The class to explain; None: the one that the run answers.
        layer: The layer whose maps are shown, and that Grad-CAM looks at; None: some layers, and
            the last map.

    Raises:
        UserError: If the network has no convolutions over images, or a name is unknown.
    """
    one, notes = able(trained), _about_folds(trained)
    network, classes = one.network, list(one.task.output_names(one.facts))
    _known(about, classes)
    evidence.chosen(methods, None)  # refuses unknown names before any work is done
    tap = Tap(network)
    answers = [p for p in one.predict(raw, tap) if "error" not in p.details]
    inputs = as_read(one.facts, torch.cat(tap.seen))
    network = maps.once(network, inputs[:1])
    if len(answers) > MOST_IMAGES:
        notes.append(
            f"Explained are the first {MOST_IMAGES} of {len(answers)} images; name the others to "
            "see them."
        )
        answers, inputs = answers[:MOST_IMAGES], inputs[:MOST_IMAGES]
    given = [str(p.answer) for p in answers]
    shown = [about or answer for answer in given]
    asked = Asked(network, inputs, classes, methods, _layer(network, inputs, layer))
    if network is not one.network:
        notes.append(OF_VIEWS)
    found, checks = asked.explain([p.input for p in answers], given, shown, [None] * len(given))
    return Explanation(
        run=str(trained.run.path), network=one.recipe.network.name, images=found, checks=checks,
        maps=feature_maps(network, inputs[0], asked.layers), notes=notes,
    )  # fmt: skip


def network(
    trained: Trained,
    review: Review[Any],
    methods: Sequence[str] = LEARNED,
    layer: str | None = None,
) -> Explanation:
    """Show what a run has learned: filters, what excites them, its worst and best answers.

    Arguments and errors are as for ``images``; ``review`` has its validation examples.
    """
    one, notes = able(trained), _about_folds(trained)
    evidence.chosen(methods, None)  # refuses unknown names
    found = reviewed(review, one.recipe.network.name, methods, layer, make=True)
    if found is None:
        raise UserError(f"{trained.run.path} has no validation examples to explain; name an image.")
    return replace(found, run=str(trained.run.path), notes=[*notes, *found.notes])


def reviewed(
    review: Review[Any],
    name: str,
    methods: Sequence[str] = LEARNED,
    layer: str | None = None,
    *,
    make: bool = False,
) -> Explanation | None:
    """What a network does with validation examples; None if it has no convolutions over images.

    ``make`` makes images for filters too, and checks the methods, which takes longer; it refuses
    convolutions whose kernels span the whole input, of which a report says nothing.
    """
    net, classes = review.network, list(getattr(review.facts, "classes", ()))
    if not _reads_images(net) or len(classes) < 2 or not len(review.outcome.targets):
        return None
    positions = _worst_and_best(review)
    inputs = _inputs(review, positions)
    net = maps.once(net, inputs[:1])
    if not make and not maps.there(net, inputs[:1]):
        return None
    asked = Asked(net, inputs, classes, methods, _layer(net, inputs, layer))
    answers = [classes[int(c)] for c in answered(review.outcome)[positions]]
    truths = [classes[int(c)] for c in review.outcome.targets[positions]]
    names = [review.name(position) for position in positions]
    found, checks = asked.explain(names, answers, answers, truths, check=make)
    searched = min(len(review.outcome.targets), SEARCHED, 1 + PIXELS // inputs[0, 0].numel())
    # Rows may stand class by class: any first few of them would be of one class.
    order = torch.randperm(len(review.outcome.targets), generator=torch.Generator().manual_seed(0))
    many = _inputs(review, order[:searched].tolist())
    kernels = [filters(net) if make else filters(net, shown=REPORTED)]
    if layer is not None and asked.layers[0] in maps.convolutions(net):
        kernels = [filters(net, asked.layers[0])]
    return Explanation(
        run="", network=name, images=found, checks=checks,
        maps=feature_maps(net, inputs[-1], asked.layers), filters=kernels,
        excited=list(_excited(asked, many, make)), searched=searched,
        notes=[] if net is review.network else [OF_VIEWS],
    )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A network, some inputs for it, and what is to be found out about them."""

    network: nn.Module
    inputs: Tensor
    """(B, C, H, W), uint8."""
    classes: Sequence[str]
    methods: Sequence[str]
    layer: Map | None

    @cached_property
    def layers(self) -> list[str]:
        """Whose maps are shown."""
        if self.layer is not None:
            return [self.layer.name]
        return [one.name for one in maps.levels(maps.listed(self.network, self.inputs[:1]))]

    def explain(
        self,
        names: Sequence[str],
        answers: Sequence[str],
        about: Sequence[str],
        truths: Sequence[str | None],
        *,
        check: bool = True,
    ) -> tuple[list[Seen], list[Check]]:
        """Find the evidence for the classes ``about``, and whether it is to be trusted."""
        methods = evidence.chosen(self.methods, self.layer.name if self.layer else None)
        numbers = torch.tensor([self.classes.index(c) for c in about], device=self.inputs.device)
        with torch.no_grad():
            shares = self.network(self.inputs).float().softmax(1).cpu()
        heats: dict[str, Tensor] = {}
        checks = []
        few = slice(0, SOME if min(self.inputs.shape[2:]) <= SMALL_IMAGE else 1)
        for done, (name, method) in enumerate(methods.items()):
            tell("finding evidence", done, len(methods))
            heats[name] = method(self.network, self.inputs, maps.of_class(numbers)).cpu()
            if check:
                target, score = maps.of_class(numbers[few]), _share_of(numbers[few])
                some = self.inputs[few]
                checks.append(trust.check(name, method, self.network, some, target, score))
        tell("finding evidence", len(methods), len(methods))
        found = [
            Seen(
                names[i], self.inputs[i].cpu(), _sorted(self.classes, shares[i]), answers[i],
                about[i], truths[i], [Evidence(m, heat[i]) for m, heat in heats.items()],
            )
            for i in range(len(names))
        ]  # fmt: skip
        return found, checks


def _excited(asked: Asked, many: Tensor, make: bool) -> Iterator[Excited]:
    """What excites the filters that matter most in each of the layers."""
    net, small = asked.network, min(many.shape[2:]) <= SMALL_IMAGE
    sample = many[: 64 if small else 8]
    with torch.no_grad():
        target = maps.of_class(net(sample).argmax(1))
    first = next(iter(maps.convolutions(net)))
    for done, layer in enumerate(asked.layers):
        tell("looking for what excites filters", done, len(asked.layers))
        channels = excite.telling(net, sample, target, layer, FILTERS)
        best = excite.patches(net, many, layer, channels)
        new: dict[int, Made] = {}
        if make and layer != first:
            steps = excite.STEPS if small else excite.STEPS // 2
            new = excite.made(net, sample, layer, channels, steps=steps)
        side = [max(p.box[2 + a] - p.box[a] for ps in best.values() for p in ps) for a in (0, 1)]
        for channel in channels:
            pictures = [_cut(many[p.example], p.box, side) for p in best[channel]]
            yield Excited(layer, channel, best[channel], pictures, new.get(channel))
    tell("looking for what excites filters", len(asked.layers), len(asked.layers))


def _cut(image: Tensor, box: tuple[int, int, int, int], sides: Sequence[int]) -> Tensor:
    """The part of an image, laid where it belongs in a field of the full size."""
    top, left, bottom, right = box
    field = image.new_full((len(image), *sides), 128).cpu()
    # A field that begins at the border has lost its beginning, any other one its end.
    y = sides[0] - (bottom - top) if top == 0 else 0
    x = sides[1] - (right - left) if left == 0 else 0
    field[:, y : y + bottom - top, x : x + right - left] = image[:, top:bottom, left:right].cpu()
    return field


def _worst_and_best(review: Review[Any]) -> list[int]:
    """Positions of the most certain wrong answers, then of the most certain right ones."""
    outputs, answers = review.outcome.outputs.double(), answered(review.outcome)
    shares = outputs.softmax(1).gather(1, answers[:, None])[:, 0]
    right = (answers == review.outcome.targets).nonzero().flatten()
    best = right[shares[right].argsort(descending=True, stable=True)]
    # Spread over the classes: the most certain ones of all are often of one class.
    firsts = {int(answers[i]): int(i) for i in best.flip(0)}
    order = sorted(firsts.values(), key=lambda i: -float(shares[i]))
    rest = [int(i) for i in best if int(i) not in set(order)]
    return [*worst_mistakes(review.outcome)[:SOME], *[*order, *rest][:SOME]]


def _inputs(review: Review[Any], positions: Sequence[int]) -> Tensor:
    device = review.examples.rows.device
    # One by one: examples of a k-fold run lie in several parts.
    batches = [review.examples.batch(torch.tensor([p], device=device)) for p in positions]
    return as_read(review.facts, torch.cat([batch.inputs for batch in batches]))


def able(trained: Trained) -> Trained:
    """The run, or the first of its folds, if it can be explained.

    Raises:
        UserError: If its network has no convolutions over images, or it does not answer classes.
    """
    folds = trained.run.folds()
    one = trained.fold(folds[0]) if folds else trained
    name, path = one.recipe.network.name, trained.run.path
    if not _reads_images(one.network):
        raise UserError(
            f"`explain` is for networks with convolutions over images; {path} is a {name}, which "
            f"has none. `glassnet trace {path}` shows how any network comes to an answer."
        )
    if len(one.task.output_names(one.facts)) < 2:
        raise UserError(
            f"`explain` explains answers that are classes; the task {one.recipe.task!r} has none."
        )
    return one


def _about_folds(trained: Trained) -> list[str]:
    folds = trained.run.folds()
    if not folds:
        return []
    return [f"A k-fold run has {len(folds)} networks; this is the one of {folds[0].path.name}."]


def _reads_images(network: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) for m in network.modules())


def _known(about: str | None, classes: Sequence[str]) -> None:
    if about is not None and about not in classes:
        raise UserError(
            f"--class {about}: the run knows no such class.{nearest(about, classes)} "
            f"Classes: {', '.join(classes)}."
        )


def _layer(network: nn.Module, inputs: Tensor, name: str | None) -> Map | None:
    return None if name is None else maps.find(maps.listed(network, inputs[:1]), name)


def _share_of(numbers: Tensor) -> maps.Target:
    """The probability of a class for each example."""
    return lambda outputs: outputs.float().softmax(1).gather(1, numbers[:, None])[:, 0]


def _sorted(classes: Sequence[str], shares: Tensor) -> dict[str, float]:
    order = shares.argsort(descending=True, stable=True).tolist()
    return {classes[c]: float(shares[c]) for c in order}
