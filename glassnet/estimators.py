"""glassnet for scikit-learn: ``GlassnetClassifier`` and ``GlassnetRegressor``.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet import GlassnetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> GlassnetClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
    True

They train as ``glassnet train`` does: the same recipe, splits, loop and run folder. They can do
what scikit-learn asks of its own (``check_estimator``), in pipelines, searches and ensembles.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load, save
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from glassnet import api, catalog, device, evaluate, loop, progress, splits
from glassnet.data import declared, given, memory, tables
from glassnet.data.columns import Array
from glassnet.data.declared import DeclaredTable
from glassnet.data.examples import TensorExamples
from glassnet.data.order import natural
from glassnet.data.tables import Target
from glassnet.errors import UserError
from glassnet.recipe import NetworkKnobs, Split
from glassnet.task import Event, Problem, Task, Validated, Warned
from glassnet.trained import Mean, Trained

ALIKE = 64
"""Rows are answered by so many at least: a single one is computed by another kernel, which differs
in the last bits, and an answer must not depend on the company in which a row is asked about."""

_MEMORY = "a table in memory"

_alone = threading.Lock()  # torch's random numbers are the process's, not the thread's


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """
    Unset knobs (None) are chosen from the data, as ``glassnet train`` chooses them. Columns may
    hold numbers, booleans, texts, categories and dates, of a numpy array or of a pandas or polars
    frame, with missing cells anywhere; nothing need be scaled or encoded before.

    **Rows.** The order of the rows does not change what is learned: they are sorted by their
    contents first. A part of them (``validation_fraction``) is set aside at first, and chooses the
    number of epochs; then the default network is trained once more, for so many epochs, on all
    rows (the knob ``split.refit``; other networks answer with the weights of the best epoch unless
    you set it). Tables of fewer than 20 rows are too small for that: all rows are trained on and
    validated on. Equal rows may end up on both sides.

    **Weights.** A ``sample_weight`` of whole numbers repeats rows (0 leaves them out), as long as
    that makes the table at most ten times as long; any other weighs the losses of the examples of
    a batch and the validation figures, while scales and levels count each row once; then there is
    no second training, and the validation rows are not learned from.

    **Not examined.** The data doctor, which looks for copies, wrong labels and leaks before every
    ``glassnet train``, is not run: ``fit`` is called too often for that. Run ``glassnet.inspect``
    or ``glassnet inspect`` on the table once.

    **Side by side.** ``n_jobs`` of searches and ensembles works with joblib's ``loky``, the
    default, and with ``threading``, where fits wait for one another. ``multiprocessing`` forks, and
    polars, which reads the tables, hangs in a fork of a process that has used it.

    Parameters
    ----------
    network : str or dict, default=None
        A name from ``glassnet networks``, a dictionary of it with its options
        (``{"name": "mlp", "hidden": [64, 64]}``), or a Python file of your own.
    epochs : int, default=None
        Passes over the training rows.
    lr : float, default=None
        Peak learning rate.
    batch_size : int, default=None
        Examples per optimizer step, at most.
    optimizer : str or dict, default=None
        ``"adamw"``, ``"sgd"`` …, or a dictionary of its name and options.
    validation_fraction : float, default=None
        Share of the rows that is set aside.
    patience : int, default=None
        Stop after so many epochs without a better validation score.
    class_weight : "balanced" or dict, default=None
        How much each class counts (of the classifier): ``"balanced"``, or a weight above 0 by
        class, 1 for others. ``predict`` then favours the classes of weight; ``predict_proba``
        stays honest. Other than in scikit-learn, the two may thus disagree.
    knobs : dict, default=None
        Any other knob by its full or short name, such as ``{"fit.clip": 1.0, "device": "cpu"}``;
        ``glassnet train --help`` lists them. ``{"split.mode": "kfold"}`` trains a network for each
        of five folds and answers with their mean; ``{"costs": {"bad": {"good": 50}}}`` makes
        ``predict`` answer what costs least.
    random_state : int, RandomState or None, default=None
        The seed of weights, order and split. The same number gives the same weights, bit for bit,
        on the same machine.
    runs : str or Path, default=None
        A folder in which to keep the run of each ``fit``, with its report; None: nothing is kept.
    verbose : bool, default=False
        Whether to show progress, and what was noticed about the data.

    Attributes
    ----------
    classes_ : ndarray
        The classes, sorted (of the classifier).
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a frame.
    n_iter_ : int
        Epochs that were trained and validated (of all folds together).
    history_ : list of dict
        Training loss and validation figures of each epoch.
    problems_ : list of str
        What was noticed about the data, such as columns that cannot be used.
    recipe_ : glassnet.recipe.Recipe
        Every knob, as it was used.
    facts_ : TableFacts
        How a row becomes numbers, and an output an answer.
    network_ : torch.nn.Module
        The trained network.
    decision_ : glassnet.decisions.Decision or None
        How ``predict`` chooses by costs or class weights, such as a threshold; None: it answers
        the most probable class.
    run_ : str or None
        The run folder, for ``glassnet.load``, if ``runs`` is set.
    """

    _task: str

    def __init__(
        self,
        *,
        network: Any = None,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        optimizer: Any = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        knobs: dict[str, Any] | None = None,
        random_state: Any = None,
        runs: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.network = network
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.knobs = knobs
        self.random_state = random_state
        self.runs = runs
        self.verbose = verbose

    # --- Training ---------------------------------------------------------------------------------

    def _train(self, table: DeclaredTable, class_weights: Any = None) -> None:
        """Train on a table in a run folder, and take from there what answering needs."""
        seed = _seed(self.random_state)
        own: dict[str, Any] = {"task": self._task, "fit.seed": seed, "split.seed": seed}
        own |= {"target": table.target.name, "class_weights": class_weights}
        with (
            _alone,
            self._folder() as folder,
            device.forked_random(torch.device("cpu")),
            api.watcher(bool(self.verbose)) as watch,
        ):
            task, recipe = self._resolve(_MEMORY, own)
            table = _divided(table, recipe.split)
            kept = self.runs is not None
            if kept:
                path = memory.store(table.stored(), folder)
                task, recipe = self._resolve(str(path), {**own, "weights": table.weights_name})
                table.fingerprint = _stored_fingerprint(task, recipe, table)
            if table.has_copies:
                recipe = _without_refit(recipe, table)
            run = api.create(recipe, type(self).__name__, folder, durable=kept)
            self.history_: list[dict[str, Any]] = []
            self.problems_: list[str] = []
            events = self._noted(watch(loop.train(task, recipe, run, table)))
            trained = Trained(run, task)
            api.finish(events, trained, table, report_too=kept)
            if run.info["status"] == "interrupted":
                raise KeyboardInterrupt
            self._take(trained, table, recipe.network)

    def _resolve(self, data: str, own: dict[str, Any]) -> tuple[Task[Any, Any], Any]:
        """The task, and the recipe with all that was asked for."""
        asked = {
            "network": self.network,
            "fit.epochs": self.epochs,
            "fit.lr": self.lr,
            "fit.batch_size": self.batch_size,
            "fit.optimizer": self.optimizer,
            "fit.patience": self.patience,
            "split.validation": self.validation_fraction,
        }
        if not isinstance(self.knobs, dict | None):
            raise UserError(
                f"knobs must be a dictionary such as {{'fit.clip': 1.0}}, found {self.knobs!r:.80}."
            )
        flags = {**own, "split.test": 0.0, "doctor": "skip", **asked, **(self.knobs or {})}
        task, recipe = catalog.resolve(data, _plain(flags))
        if recipe.doctor != "skip":
            raise UserError(
                f"knobs: doctor is {recipe.doctor!r}, but fit runs no data doctor. Leave it out, "
                "and run glassnet.inspect on the table."
            )
        return task, recipe

    def _noted(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass the events on, and note what the estimator tells of them."""
        for event in events:
            if isinstance(event, Validated):
                told = {"epoch": event.epoch + 1, "train_loss": event.train_loss}
                self.history_.append({**told, **event.scores})
            elif isinstance(event, Warned):
                self.problems_.append(event.message)
            yield event

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Where run folders go: the one that was asked for, or one that is deleted afterwards."""
        if self.runs is not None:
            yield Path(self.runs)
            return
        with tempfile.TemporaryDirectory(prefix="glassnet-") as folder:
            yield Path(folder)

    def _take(self, trained: Trained, table: DeclaredTable, network: NetworkKnobs) -> None:
        """Read from a run folder what was learned."""
        if trained.decision is not None and not trained.is_decided:
            evaluate.decide(trained, evaluate.look(trained, "validation", table))
        # An own network is found where it was given: the run's copy of it may be gone.
        self.recipe_ = trained.recipe.model_copy(update={"network": network})
        self.facts_ = trained.facts
        self.network_ = trained.network
        self.decision_ = trained.decision
        self.n_iter_ = len(self.history_)
        self.run_ = None if self.runs is None else str(trained.run.path)

    # --- Answering --------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Tensor:
        """What the network says to each row, (N, …), in the terms of the task's metrics."""
        check_is_fitted(self, "network_")
        frame = given.frame(self, X, reset=False)
        frame.columns = [column.name for column in self.facts_.columns]
        _, inputs, problems = tables.read_raw(frame, self.facts_)
        progress.warn(problems)
        num = len(inputs)
        inputs = torch.cat([inputs, inputs[-1:].expand(-num % ALIKE, -1)])
        where = next(self.network_.parameters()).device
        examples = TensorExamples(torch.arange(len(inputs)), inputs, torch.zeros(len(inputs)))
        task = catalog.task(self.recipe_.task)
        outputs: Tensor = task.score(self.network_, examples.to(where), self.facts_).outputs
        return outputs[:num].double()

    # --- Being one of scikit-learn's --------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Weights are kept as safetensors; the network is built anew from recipe and facts."""
        state = dict(super().__getstate__())
        if "network_" in state:
            weights = state["network_"].state_dict()
            plain = {name: weight.cpu().contiguous().clone() for name, weight in weights.items()}
            state["network_"] = save(plain)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = _built(self.recipe_, self.facts_, load(state["network_"]))


class GlassnetClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A neural network for tables that says which class a row belongs to."""

    _task = "table-classification"

    def __init__(
        self,
        *,
        network: Any = None,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        optimizer: Any = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        class_weight: Any = None,
        knobs: dict[str, Any] | None = None,
        random_state: Any = None,
        runs: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            network=network,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            optimizer=optimizer,
            validation_fraction=validation_fraction,
            patience=patience,
            knobs=knobs,
            random_state=random_state,
            runs=runs,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (N, columns), their classes y (N,), and perhaps weights (N,).

        Raises ValueError if X or y is no such thing, or y has one class only.
        """
        frame, labels, weights = given.given(self, X, y, sample_weight)
        check_classification_targets(labels)
        seen = labels if weights is None else labels[weights > 0]
        self.classes_ = np.unique(seen)
        if len(self.classes_) < 2:
            raise UserError(
                f"y holds 1 class only, {self.classes_.tolist()[0]!r} (in rows of weight above 0). "
                "There is nothing to learn; give rows of at least two classes."
            )
        names = [str(label) for label in self.classes_.tolist()]
        order = sorted(names, key=natural)
        places = np.array([order.index(name) for name in names])
        codes = places[np.searchsorted(self.classes_, labels).clip(max=len(names) - 1)]
        target = Target(name=given.target_name(y, frame), kind="categories", classes=order)
        table = declared.declare(frame, codes, target, weights)
        counting = None if table.weights is None else weights
        asked = given.class_weights(self.class_weight, self.classes_, labels, counting)
        self._train(table, asked)
        return self

    def predict(self, X: Any) -> Array:
        """The most probable class of each row, or the one that a decision chooses; (N,)."""
        check_is_fitted(self, "network_")
        if self.decision_ is not None:
            answers = self.decision_.answers(self._outputs(X)).numpy()
            places = np.argsort(self._places())[answers]
        else:
            places = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[places]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of ``classes_``; (N, K)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities; (N, K)."""
        logs = self._outputs(X).log_softmax(1).numpy()
        return logs[:, self._places()]

    def _places(self) -> list[int]:
        """Where each of ``classes_`` is among the outputs."""
        return [self.facts_.classes.index(str(label)) for label in self.classes_.tolist()]


class GlassnetRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A neural network for tables that says which number belongs to a row."""

    _task = "table-regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (N, columns), their numbers y (N,), and perhaps weights (N,).

        Raises ValueError if X or y is no such thing.
        """
        frame, values, weights = given.given(self, X, y, sample_weight)
        target = Target(name=given.target_name(y, frame), kind="numbers")
        self._train(declared.declare(frame, values.astype(np.float64), target, weights))
        return self

    def predict(self, X: Any) -> Array:
        """The number that belongs to each row, (N,)."""
        return self._outputs(X).numpy()


for _public in (GlassnetClassifier, GlassnetRegressor):
    _public.__doc__ = f"{_public.__doc__}\n{_Estimator.__doc__}"


# --- Helpers --------------------------------------------------------------------------------------


def _seed(random_state: Any) -> int:
    """A seed from what scikit-learn takes for one."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _plain(value: Any) -> Any:
    """Python's own types: a search gives numpy's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _divided(table: DeclaredTable, knobs: Split) -> DeclaredTable:
    """Say which rows are for validation where drawing some of them would not do."""
    few = len(table) < declared.FEW_ROWS
    lonely = table.strata is not None and np.bincount(table.answers).min() == 1
    if knobs.mode != "fixed" or not (few or lonely or table.weights is not None):
        return table
    drawn = splits.draw(table, knobs)
    if not few and len(drawn.validation):
        return declared.with_parts(table, drawn.train, drawn.validation)
    everything = torch.arange(len(table))
    what = f"of {len(table)} rows none can be spared for validation"
    table.problems.append(Problem("X", what, "the rows that are trained on are used"))
    return declared.with_parts(table, everything, everything)


def _without_refit(recipe: Any, table: DeclaredTable) -> Any:
    """A second training on all rows would count the validation rows too often."""
    if recipe.split.refits and table.weights is not None:
        what = "rows of unequal weight are repeated for validation"
        remedy = "the validation rows are not learned from"
        table.problems.append(Problem("sample_weight", what, remedy, level="note"))
    split = recipe.split.model_copy(update={"refit": False})
    return recipe.model_copy(update={"split": split})


def _stored_fingerprint(task: Task[Any, Any], recipe: Any, table: DeclaredTable) -> str:
    """That of the file beside the kept run, whose rows must be those of the table."""
    source = task.source(recipe)
    if len(source) != len(table):
        raise UserError(
            f"{len(table) - len(source)} rows have answers that mean 'missing' in a file, such as "
            "'?' or spaces, so that the run cannot be kept. Rename these classes, or set runs=None."
        )
    return source.fingerprint


def _built(recipe: Any, facts: Any, weights: dict[str, Tensor]) -> torch.nn.Module:
    """The network of a recipe with these weights, on the best device here."""
    task, where = catalog.task(recipe.task), device.here(recipe.fit.device)
    folds = recipe.split.folds if recipe.split.mode == "kfold" and not recipe.split.fold else 0
    with device.forked_random(where):
        members = [task.network(recipe, facts) for _ in range(folds or 1)]
    network = Mean(members) if folds else members[0]
    network.load_state_dict(weights)
    return device.place(network, where).eval()
