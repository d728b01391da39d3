"""The vocabulary of glassnet: what a task is made of, and the events that a training yields.

A task is a value: a frozen dataclass of functions at the end of one file in ``tasks/``. Nothing
here knows any particular task; the loop, the run folder and every tool that comes after training
speak these words only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from glassnet.decisions import Decision
    from glassnet.figures import Figure, Table
    from glassnet.recipe import Recipe
    from glassnet.words.sampling import Sampling

R = TypeVar("R", bound="Recipe")
B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)
B_contra = TypeVar("B_contra", contravariant=True)

Scores = dict[str, float]


def in_equal_pieces(recipe: Any, examples: Any, positions: Tensor, number: int) -> Sequence[Tensor]:
    """Cut shuffled positions into ``number`` batches of equal size."""
    return positions.tensor_split(number)


# --- Data -----------------------------------------------------------------------------------------


class Facts(BaseModel):
    """All that turns one raw input into a tensor and one output into an answer; ``facts.json``.

    Learned from the training rows only. A network is built from facts, never from the data set:
    that is what makes prediction possible without the data, on another machine, years later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class CellShown:
    """One cell of an encoded row, told to people."""

    column: str
    cell: str
    """What it says, in the unit of the column."""
    encoded: str
    """What the network reads for it."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with one item of the data, and what was or can be done about it."""

    where: str
    what: str
    remedy: str
    kind: str = ""
    """Which check found it, such as 'duplicates'; empty: it was met on the way."""
    level: Literal["note", "warning", "serious"] = "warning"
    """serious: figures or answers will be wrong; warning: look at it; note: good to know."""
    items: tuple[str, ...] = ()
    """Every row, file or pair that is concerned, the worst first."""
    rows: tuple[tuple[int, ...], ...] = ()
    """The same as row numbers of the source, for those that draw or repair them."""
    fix: str = ""
    """What ``glassnet inspect --fix`` does about it; empty: nothing, a person must decide."""


class Examples(Protocol[B_co]):
    """Encoded examples in memory; a batch is a slice by an index tensor."""

    @property
    def rows(self) -> Tensor:
        """The row of the source that each example came from; int64, shape (N,)."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, /) -> B_co:
        """Return the examples at the positions ``index`` (int64, on the same device)."""
        ...

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[B_co]:
        """Yield ``batch(index)`` for each of the (disjoint) indices from number ``first`` on."""
        ...

    def to(self, device: Any, /) -> Examples[B_co]:
        """Return the same examples on ``device``."""
        ...


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of supervised learning; the first axis of each is the example."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None
    """How much each example counts, float32 (B,); None: all the same."""


class Source(Protocol[B_co]):
    """A data set of which nothing has been learned yet: rows, labels, and nothing else."""

    fingerprint: str
    """Changes when the data change; a run refuses to be measured on data not its own."""
    problems: list[Problem]
    """What was wrong with single items; grows while rows are encoded."""

    def __len__(self) -> int: ...

    @property
    def strata(self) -> Sequence[Any] | None:
        """One label per row for stratified splits, or None."""
        ...

    @property
    def groups(self) -> Sequence[Any] | None:
        """Per row whose it is, such as a speaker, or None; rows of a group are never parted."""
        ...

    @property
    def parts(self) -> Sequence[str] | None:
        """'train', 'validation' or 'test' per row if the data bring their own split, or None."""
        ...

    def name(self, row: int, /) -> str:
        """How a person finds the row: a file's path, or 'row 17'."""
        ...

    def facts(self, rows: Tensor, /) -> Any:
        """Learn the facts from these rows and from no other row."""
        ...

    def examples(self, rows: Tensor, facts: Any, /) -> Examples[B_co]:
        """Encode these rows; one that cannot be read is reported in ``problems`` and left out."""
        ...


@dataclass(frozen=True)
class Look:
    """What a cheap look at the data found, before any task is chosen."""

    kind: str
    """'images', 'table', …: the reader in ``data/`` that understands it."""
    path: str | Path
    summary: Sequence[tuple[str, str]]
    """Label and value, for people."""
    problems: Sequence[Problem] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """What a task needs to say whether it fits, such as the type of the target column."""


@dataclass(frozen=True)
class Subset(Generic[B]):
    """Some of the examples, as examples."""

    whole: Examples[B]
    positions: Tensor

    @property
    def rows(self) -> Tensor:
        """The rows of the source."""
        return self.whole.rows[self.positions]

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, index: Tensor, /) -> B:
        """Return the examples at ``index``."""
        return self.whole.batch(self.positions[index])

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[B]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return self.whole.batches([self.positions[index] for index in indices], first)

    def to(self, device: Any, /) -> Subset[B]:
        """Return the same examples on ``device``."""
        return Subset(self.whole.to(device), self.positions.to(device))


class Joined:
    """Examples of several folds, one after another."""

    def __init__(self, parts: list[Examples[Any]]) -> None:
        self.parts = parts

    @property
    def rows(self) -> Tensor:
        """The rows of the source."""
        import torch

        return torch.cat([part.rows for part in self.parts])

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def batch(self, index: Tensor, /) -> Any:
        """Return the examples at ``index``, which must lie in one fold."""
        start = 0
        for part in self.parts:
            if int(index.min()) < start + len(part):
                return part.batch(index - start)
            start += len(part)
        raise IndexError(index)

    def batches(self, indices: Sequence[Tensor], first: int = 0, /) -> Iterator[Any]:
        """Yield the examples at each of the indices from number ``first`` on."""
        return map(self.batch, indices[first:])

    def to(self, device: Any, /) -> Joined:
        """Return the same examples on ``device``."""
        return Joined([part.to(device) for part in self.parts])


@dataclass(frozen=True)
class Splits:
    """Row numbers of the source (int64). Training code never receives the rows of ``test``."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Data(Generic[B]):
    """What training receives: encoded examples, and no way to the test rows."""

    pool: Examples[B]
    """The training and the validation examples."""
    positions: Callable[[int], tuple[Tensor, Tensor]]
    """epoch -> the positions in ``pool`` to train on and to validate on."""
    facts: Any
    splits: Splits
    fingerprint: str
    problems: Sequence[Problem] = ()


# --- Learning -------------------------------------------------------------------------------------


class Stateful(Protocol):
    """Anything that can be put into a checkpoint; ``nn.Module`` already is."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return tensors, numbers and strings, nested as you like."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Go back to that state."""
        ...


class Learner(Protocol[B_contra]):
    """One batch -> one change of the weights."""

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Everything that a resume needs."""
        ...

    @property
    def network(self) -> nn.Module:
        """What is scored and kept: the trained network, or the average of its weights."""
        ...

    def update(self, batch: B_contra, step: int, /) -> Mapping[str, Tensor | float]:
        """Learn from one batch; return 'loss' and whatever else is worth a curve.

        Tensors are detached, and not yet read from the device. All but the loss may come at some
        steps only; 'figure/layer' is the figure of one layer.
        """
        ...

    def shrink(self) -> str:
        """Make do with less memory for the same update, and say how."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a network answered, example by example: the ground of every figure about its quality."""

    outputs: Tensor
    """Raw outputs, first axis the example."""
    targets: Tensor
    answers: Tensor | None = None
    """What a run answers, where a decision chose it; None: it follows from the outputs alone."""
    moments: Tensor | None = None
    """int64 (N, 2), where examples have an order in time: number of the series, and its step."""
    notes: tuple[str, ...] = ()
    """What one must know of how a plain method answered, such as what it left out to save time."""

    def __getitem__(self, index: Any) -> Outcome:
        answers = None if self.answers is None else self.answers[index]
        moments = None if self.moments is None else self.moments[index]
        return Outcome(self.outputs[index], self.targets[index], answers, moments, self.notes)


@dataclass(frozen=True)
class Metric:
    """One figure of quality, computed from an ``Outcome``."""

    name: str
    compute: Callable[[Outcome], float]
    better: str = "higher"
    """'higher' or 'lower'."""
    costly: bool = False
    """True if it is left out at the end of each epoch, and computed by ``evaluate`` only."""
    proportion: bool = False
    """True for a share of examples: its interval is Wilson's, else a bootstrap's."""
    blocks: Callable[[Outcome], Outcome] | None = None
    """Where examples depend on each other, such as windows that overlap: the same answers in blocks
    that hardly do, for the bootstrap to draw. ``compute`` says the same of both."""


Baseline = Callable[[Any, Examples[Any], Examples[Any], Any], Outcome]
"""Recipe, training examples, other examples and facts -> what a plain method answers to these."""


@dataclass(frozen=True)
class Axes:
    """How people read the sequences of numbers (C, T) that a network is fed, for `explain`."""

    channels: Sequence[str] = ()
    """A name for each channel; empty: numbers."""
    step: float = 1.0
    """How far apart two steps are, in ``unit``."""
    unit: str = "step"
    """What time or place is told in, such as 's', 'hour', 'position'."""
    first: float = 0.0
    """The time or place of the first step."""
    letters: bool = False
    """Whether the channels are letters of an alphabet and their numbers probabilities, as DNA."""
    rate: int | None = None
    """Of sound: samples a second of its one channel, (1, T) from -1 to 1. People hear it."""
    front: nn.Module | None = None
    """The layer (B, C, T) -> (B, F, U) whose answer people look at, such as a spectrogram; evidence
    is laid over that. None: over the numbers themselves."""
    rows: Sequence[tuple[float, str]] = ()
    """Along the F rows of ``front``'s answer: places from 0 (the first) to 1, and their names."""
    tokens: Callable[[int], str] | None = None
    """Of a network that answers each frame, with 0 for nothing new: a token's text."""
    spell: Callable[[str], Sequence[int]] | None = None
    """The tokens of a text, by which it is found again in the frames."""
    frame: float = 0.0
    """How far apart two of its frames are, in ``unit``."""
    variables: int = 0
    """Of a forecast: the first so many channels are what is forecast."""
    horizon: int = 0
    """Of a forecast: the last so many steps are the future."""
    middle: int = 0
    """Of a forecast with several outputs for each step: the one that is the forecast."""
    scale: Sequence[tuple[float, float]] = ()
    """Per channel what turns a number into people's unit: x * scale + offset; empty: as it is."""


@dataclass(frozen=True)
class Reading:
    """How the figures of a run are to be read, which depends on its data."""

    metrics: tuple[Metric, ...]
    """In the order in which people should look at them."""
    notes: tuple[str, ...] = ()
    """What they must know to understand them; a sentence or two each."""
    first: tuple[str, ...] = ()
    """Names of the views that stand right below them, before all others."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one raw input, in the user's own terms."""

    input: str
    answer: Any
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Review(Generic[B]):
    """All that a view may look at: the answers to some examples, and the examples themselves."""

    outcome: Outcome
    examples: Examples[B]
    facts: Any
    name: Callable[[int], str]
    """position in ``examples`` -> how a person finds that example."""
    network: nn.Module
    """In evaluation mode, with the weights that answered."""
    history: Sequence[Mapping[str, Any]]
    """The rows of ``metrics.jsonl``; empty for a k-fold run, which has several."""
    recipe: Any
    """Every knob, resolved."""
    decision: Decision | None = None
    """How the answers were chosen; None: they follow from the outputs."""


@dataclass(frozen=True)
class Ended(Generic[B]):
    """All that may be looked at when a training has ended, to say what is noteworthy about it."""

    network: nn.Module
    """With the weights of the last step."""
    step: int
    examples: Callable[[], Examples[B]]
    """Encodes the training examples, at most some ten thousand: only for those who need them."""
    num_examples: int
    """How many training examples there are."""
    facts: Any
    name: Callable[[int], str]
    """row of the source -> how a person finds it."""
    history: Sequence[Mapping[str, Any]]
    """The rows of ``metrics.jsonl``."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[R, B]):
    """One kind of problem, as a value. See ``docs/add-a-task.md``."""

    recipe: type[R]
    """Its knobs."""
    facts: type[Any]
    """What ``facts.json`` is read as."""
    fits: Callable[[Look], str | None]
    """Why this task fits the data that were found, or None."""
    source: Callable[[R], Source[B]]
    """Open the data set."""
    network: Callable[[R, Any], nn.Module]
    """Build the network from recipe and facts."""
    fill: Callable[[R, int], R]
    """Replace the unset knobs by values that suit this number of training examples."""
    start: Callable[[R, nn.Module, Data[B]], Sequence[str]] = lambda *_: ()
    """Give a fresh network other first weights than its own, such as published ones, once and
    before its learner is made; returns what the user should know, a sentence each."""
    start_answers: bool = False
    """Whether what ``start`` gives is an answer already, as that of a regression solved in closed
    form: then it is scored before the first step, as epoch 0, and its weights are kept if no epoch
    is better. A refit then solves it anew, with the rows of the validation too."""
    learner: Callable[[R, nn.Module, Data[B]], Learner[B]]
    layers: Callable[[R, nn.Module], Table | None] = lambda *_: None
    """Recipe and network -> when each part of it learns, for people; None: all, from the start."""
    cut: Callable[[R, Examples[B], Tensor, int], Sequence[Tensor]] = in_equal_pieces
    """Recipe, all examples, the positions of an epoch in random order, and a number -> so many
    batches of positions; a pure function. Unset: of equal size."""
    score: Callable[[nn.Module, Examples[B], Any], Outcome]
    """Network, examples and facts -> the answers, in evaluation mode."""
    full_score: Callable[[nn.Module, Examples[B], Any], Outcome] | None = None
    """As ``score``, with what takes too long after each epoch, such as whole translations; for
    ``evaluate`` and the report. Unset: ``score``."""
    metrics: tuple[Metric, ...]
    """All that can be said of an ``Outcome``, in the order in which people should look at it."""
    chosen_by: tuple[str, ...] = ()
    """The metrics that choose the best weights, the next one where one is equal; unset: the first
    two of ``metrics``."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """Plain methods whose figures ``evaluate`` shows beside the network's, by name. They learn from
    the rows that the network learned from, and give what ``score`` gives."""
    predict: Callable[..., Sequence[Prediction]]
    """Network, facts and any raw input -> answers; a fourth argument is the decision, if any."""
    published: Callable[[str], tuple[nn.Module, Any]] | None = None
    """A folder or a name of the Hub -> a network with published weights and its facts, for a task
    that writes, without any training."""
    generate: Callable[[nn.Module, Any, str, Sampling], Iterator[str]] | None = None
    """Network, facts, the beginning of a text and how to draw -> pieces of what comes then, as
    they are written; for ``glassnet generate``. Unset: the task writes nothing."""
    decide: Callable[[R, Any, Outcome | None], Any] | None = None
    """Recipe, facts and the answers to the validation examples -> how a run chooses its answers."""
    later: tuple[str, ...] = ()
    """Knobs that say how answers are searched for, and so may change after training
    (``glassnet decide --search``); of those that are facts too, the fact is what changes."""
    decision: type[Any] | None = None
    """What ``decision.json`` is read as; unset: ``decisions.Decision``, which chooses classes."""
    reading: Callable[[Any, Any], Reading] | None = None
    """Facts and decision -> what to show, in which order; unset: ``metrics``, then ``views``."""
    views: Mapping[str, Callable[[Review[B]], Figure | None]] = field(default_factory=dict)
    """Figures for the report, in order."""
    implied: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {}
    """Knobs as they were given -> defaults that go with them, such as the rule with its loss."""
    bound: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {}
    """Knobs as they were given -> those of them that name something elsewhere, so that they mean
    the same from any folder and on any day: an absolute path, a name with its commit."""
    findings: Sequence[Callable[[Ended[B]], str | None]] = ()
    """What to say when a training has ended: a sentence each, or None."""
    input_names: Callable[[Any, int], Sequence[str]] = lambda facts, width: ()
    """Facts, and the width of an encoded example -> a name for each of its numbers, or none."""
    axes: Callable[[Any, nn.Module], Axes] | None = None
    """Facts and network -> how people read the sequences of numbers that it is fed: `explain` shows
    what in them speaks for an answer. Unset: the task is fed something else."""
    input_cells: Callable[[Any, Sequence[Any]], Sequence[CellShown]] = lambda facts, row: ()
    """Facts, and an encoded example as nested lists -> of a table's row: its cells in words."""
    output_names: Callable[[Any], Sequence[str]] = lambda facts: ()
    """Facts -> a name for each output, such as the classes, or none."""


# --- Events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """Training begins, or goes on at ``step``."""

    run: Path
    step: int
    num_steps: int
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step is done. ``values`` may still be on the device: read them seldom."""

    step: int
    epoch: int
    values: Mapping[str, Tensor | float]


@dataclass(frozen=True)
class Validated:
    """An epoch ended with these scores on the validation examples."""

    step: int
    epoch: int
    """Counted from 0; -1: before the first step, where ``Task.start_answers``."""
    scores: Scores
    train_loss: float
    """NaN before the first step."""
    best: bool


@dataclass(frozen=True)
class Refitting:
    """The knobs are judged; training begins anew on training and validation rows together."""

    step: int
    num_steps: int
    """At the end of it; steps are counted on."""
    epochs: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Warned:
    """Something that the user should know; training goes on."""

    message: str


@dataclass(frozen=True)
class Finished:
    """Training is over; ``scores`` are those of the kept weights on the validation examples."""

    run: Path
    step: int
    scores: Scores
    reason: str
    seconds: float


Event = Started | Step | Validated | Refitting | Saved | Warned | Finished
