"""glassnet from Python: the same words as on the command line."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from glassnet import (
    catalog,
    convolving,
    diagnosis,
    evaluate,
    fading,
    figures,
    inspection,
    loop,
    optimizer_race,
    owncode,
    progress,
    references,
    showcase,
)
from glassnet import show as shows
from glassnet.data import memory
from glassnet.diagnosis import Diagnosis
from glassnet.diagnosis import page as diagnosis_page
from glassnet.errors import UserError
from glassnet.evaluate import Evaluation, ending, report
from glassnet.evaluate.intervals import Estimate
from glassnet.explain import asked, evidence, seen, sequences
from glassnet.explain import trace as tracing
from glassnet.explain.example import one_network
from glassnet.explain.read import Reading
from glassnet.explain.seen import Explanation
from glassnet.explain.sequences import Sequences
from glassnet.explain.ways import Pooling
from glassnet.explain.windowviews import Walked
from glassnet.fading import NETWORKS as RECURRENT
from glassnet.fading import Gradients
from glassnet.figures import Document
from glassnet.optimizer_race import Comparison
from glassnet.recipe import build, to_yaml
from glassnet.run import Run
from glassnet.task import Event, Finished, Look, Prediction, Source, Task, Warned
from glassnet.trained import Trained
from glassnet.words.sampling import Sampling

Show = Callable[[Iterator[Event]], Iterator[Event]]


class TrainedRun:
    """A trained (or partly trained) run folder: evaluate it, predict with it, look at it."""

    def __init__(self, trained: Trained, source: Source[Any] | None = None) -> None:
        self._trained, self._source = trained, source

    def __repr__(self) -> str:
        scores = ", ".join(f"{k} {v.value:.4f}" for k, v in list(self.metrics.items())[:3])
        return f"<glassnet run {self.path}: {scores or 'not evaluated yet'}>"

    def _repr_html_(self) -> str:
        if not self.report.is_file():
            return f"<code>{html.escape(repr(self))}</code>"
        page = html.escape(self.report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="800" style="border:0"></iframe>'

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._trained.run.path

    @property
    def report(self) -> Path:
        """``report.html``, written when a training ends and by ``evaluate``."""
        return self.path / "report.html"

    @property
    def recipe(self) -> Any:
        """Every knob, resolved."""
        return self._trained.recipe

    @property
    def facts(self) -> Any:
        """What turns raw inputs into tensors and outputs into answers."""
        return self._trained.facts

    @property
    def network(self) -> Any:
        """The trained ``torch.nn.Module``, in evaluation mode."""
        return self._trained.network

    @property
    def metrics(self) -> dict[str, Estimate]:
        """The figures on the validation examples, with 95 % intervals; empty if not evaluated."""
        return {} if self.evaluation is None else self.evaluation.metrics

    @property
    def notes(self) -> list[str]:
        """What one must know to read the figures; empty if not evaluated."""
        return [] if self.evaluation is None else list(self.evaluation.notes)

    @property
    def evaluation(self) -> Evaluation | None:
        """What was last measured on the validation examples, with the figures of plain methods."""
        run = self._trained.run
        if not run.exists("evaluation.json"):
            return None
        return Evaluation.from_json(run.read_json("evaluation.json"))

    @property
    def findings(self) -> list[str]:
        """What was noteworthy when training ended, such as that no line can separate the data."""
        return list(self._trained.run.info.get("findings", []))

    @property
    def openings(self) -> int:
        """How often the sealed test was opened."""
        return len(self._trained.run.rows("test-openings.jsonl"))

    @property
    def status(self) -> str:
        """'new', 'training', 'interrupted', 'diverged' or 'finished'."""
        return str(self._trained.run.info["status"])

    def evaluate(self, test: bool = False, data: str | Path | None = None) -> Evaluation:
        """Measure the run on its validation examples, or open the sealed test (this is counted).

        ``data`` says where the data set is now, if it has moved. The report is written anew.
        """
        source = self._source if data is None else None
        source = source or self._trained.source(data)
        opened = evaluate.measure(self._trained, "test", source)[0] if test else None
        evaluation, review = evaluate.measure(self._trained, "validation", source)
        report.write(self._trained, evaluation, review)
        return opened or evaluation

    def diagnose(
        self,
        reachable: float | None = None,
        *,
        minutes: float = 5.0,
        seeds: int = 3,
        data: str | Path | None = None,
        show: bool = True,
    ) -> Diagnosis:
        """Say what keeps the run from being better: bias, variance, data mismatch or noise.

        The recipe is trained anew on parts of its training rows, for about ``minutes`` (0: not at
        all); ``seeds`` is how often on each. ``reachable`` is what could be reached at best, in
        the task's first metric, if you know it. ``diagnosis.json`` and ``diagnosis.html`` are
        added to the run folder; weights and the sealed test are left alone.
        """
        source = self._source if data is None else None
        with watcher(show):
            found = diagnosis.diagnose(
                self._trained,
                source or self._trained.source(data),
                reachable=reachable,
                minutes=minutes,
                seeds=seeds,
            )
        page = figures.page(diagnosis_page.document(found, self.recipe))
        self._trained.run.write_text("diagnosis.html", page)
        return found

    def predict(self, raw: Any) -> list[Prediction]:
        """Answer raw inputs: a path, a folder, an array, a list or a DataFrame."""
        return list(self._trained.predict(raw))

    def generate(
        self,
        prompt: str = "",
        *,
        tokens: int = 300,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Continue a text; yields pieces of it as they are written, without the prompt.

        Args:
            prompt: How the text begins; empty: a new document, or a new line.
            tokens: How many are written, at most.
            temperature: 0 takes the most probable token, 1 draws by the network's probabilities.
            top_k: Draw among so many most probable tokens; None: among all.
            top_p: Draw among the most probable tokens that together have this probability.
            seed: Same seed, same text.

        Raises:
            UserError: If the run's task writes no text, a number is out of its range, or the
                prompt has characters that the training text had not.
        """
        given = prompt, tokens, temperature, top_k, top_p, seed
        return _written(self._trained.task, self.network, self.facts, *given)

    def finetune(self, data: Any, **options: Any) -> TrainedRun:
        """Train further on other data; see ``glassnet.finetune``."""
        return finetune(self, data, **options)

    def decide(
        self,
        costs: Mapping[str, Any] | None = None,
        data: str | Path | None = None,
        search: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Choose answers by other costs from now on, or search otherwise, without training again.

        A threshold, and the weights of a language model, are chosen on the validation examples;
        figures and report are written anew.

        Args:
            costs: As the knob ``costs``: {true class: {answer: cost}}; None: the most probable
                class, or what ``class_weights`` say.
            data: Where the data set is now, if it has moved.
            search: Other knobs of the search for a text, such as {"beam": 64}; what is not named
                becomes again what the recipe says. Unset: costs are decided by.

        Raises:
            UserError: If a class is unknown, a cost is none, the task does not choose classes, or
                a knob is none of its search.
        """
        task, recipe = self._trained.task, self.recipe
        if search is not None:
            asked = _searched(task, recipe, search)
        elif task.decide is None or task.decision is not None:
            raise UserError(f"The task {recipe.task!r} has no classes to decide between.")
        else:
            asked = {"costs": build(task.recipe, {**recipe.model_dump(), "costs": costs}).costs}
            task.decide(recipe.model_copy(update=asked), self.facts, None)  # unknown classes
        source = self._source if data is None else None
        source = source or self._trained.source(data)
        self._trained.keep(None, asked)
        self._trained = Trained(self._trained.run, task, self._trained.trust_code)  # other facts
        evaluation, review = evaluate.measure(self._trained, "validation", source)
        report.write(self._trained, evaluation, review)
        return evaluation

    def trace(
        self,
        example: int = 1,
        *,
        part: str = "validation",
        input: Any = None,
        data: str | Path | None = None,
    ) -> tracing.Trace:
        """Show one example number by number: forward, its loss, and every gradient backward.

        Args:
            example: Its number in the part (or in ``input``), from 1.
            part: 'validation' or 'train'; rows of the sealed test cannot be traced.
            input: A raw input instead, as for ``predict``; it has no target, so it goes forward
                only.
            data: Where the data set is now, if it has moved.

        Raises:
            UserError: If there is no such example, or the run has no weights yet.
        """
        if input is not None:
            return tracing.trace_input(self._trained, input, example)
        source = self._source if data is None else self._trained.source(data)
        return tracing.trace_example(self._trained, example, part, source)

    def explain(
        self,
        inputs: Any = None,
        *,
        methods: Sequence[str] | None = None,
        about: str | None = None,
        layer: str | None = None,
        step: int | None = None,
        data: str | Path | None = None,
        show: bool = True,
    ) -> Explanation | Reading | Sequences:
        """Show what the network looks at; the result draws itself in a notebook.

        Args:
            inputs: Raw images, texts, sounds, series or sequences, as for ``predict``: which parts
                of them speak for the answer; of a language model what it expected at each token, of
                a translation which words of the source it looked at. None: what the network has
                learned (filters, what excites them), and the evidence behind its worst and best
                answers to validation examples.
            methods: For images gradcam, occlusion, integrated_gradients, saliency, smoothgrad; for
                all others integrated_gradients, occlusion, gradient_times_input. None: the first
                four for images of yours, all for other inputs, one for validation examples.
            about: The class, the next token, the word or the variable to explain; None: what is
                answered. Only with ``inputs``.
            layer: Name of a layer to look into; None: as many as a page holds.
            step: Of a forecast: the step of the future to explain, from 1; None: the last.
            data: Where the data set is now, if it has moved.
            show: Whether to show progress.

        Raises:
            UserError: If the network reads neither images by convolutions, nor words, nor sequences
                of numbers, or a name is unknown.
        """
        words, numbers = asked.of_words(self.facts), sequences.of_sequences(self._trained)
        self._require_for_explain(numbers, about, layer, step, given=inputs is not None)
        with watcher(show):
            if inputs is not None:
                if numbers:
                    return sequences.inputs(self._trained, inputs, methods, about, step)
                if words:
                    return asked.texts(self._trained, inputs, methods, about, layer)
                return seen.images(self._trained, inputs, methods or evidence.DEFAULT, about, layer)
            first, _ = one_network(self._trained)
            one = first if words or numbers else seen.able(self._trained)
            source = self._source if data is None else None
            review = evaluate.look(one, "validation", source or self._trained.source(data))
            review = evaluate.decided(review, one.decision)
            if numbers:
                return sequences.validation(self._trained, review, methods, step)
            if words:
                return asked.validation(self._trained, review, methods, layer)
            return seen.network(self._trained, review, methods or seen.LEARNED, layer)

    def _require_for_explain(
        self, numbers: bool, about: str | None, layer: str | None, step: int | None, given: bool
    ) -> None:
        """Refuse what does not go together."""
        if about is not None and not given:
            raise UserError(
                "--class says what is explained in an input; without one each answer to a "
                "validation example is explained by itself."
            )
        if layer is not None and numbers:
            raise UserError(
                "--layer is for networks that read images or texts; in sequences of numbers the "
                "evidence is laid over the input. Leave it out."
            )
        ahead = numbers and bool(sequences.horizon(self._trained))
        if step is not None and not ahead:
            raise UserError("--step is for forecasts; this run makes none. Leave it out.")

    def convolve(
        self,
        layer: str | None = None,
        filter: int = 1,
        *,
        example: int = 1,
        part: str = "validation",
        input: Any = None,
        data: str | Path | None = None,
    ) -> Walked:
        """Step one filter of a convolution over what it reads of one example, window by window.

        Args:
            layer: A convolution or pooling layer by its name; None: the first convolution.
            filter: Its number, from 1; of pooling that of the channel.
            example: Its number in the part (or in ``input``), from 1.
            part: 'validation' or 'train'.
            input: A raw input instead, as for ``predict``.
            data: Where the data set is now, if it has moved.

        Raises:
            UserError: If there is no such layer, filter or example.
        """
        source = self._source if data is None else None
        if input is None:
            source = source or self._trained.source(data)
        return convolving.convolve_run(
            self._trained, source,
            layer=layer, filter=filter, example=example, part=part, input=input,
        )  # fmt: skip


def compare_optimizers(
    data: Any,
    *,
    steps: int | None = None,
    seeds: int = 3,
    rates: int = 5,
    minutes: float = 5.0,
    runs: str | Path = "runs",
    show: bool = True,
    **knobs: Any,
) -> Comparison:
    """Race all optimizers and all schedules on one problem.

    ``data`` and ``knobs`` are as for ``train``; a DataFrame or arrays are stored below ``runs``.
    Each of them takes ``steps`` optimizer steps (None: as many as ``minutes`` allow), with each
    of ``seeds`` seeds, at the best of up to ``rates`` learning rates.
    """
    reference, given = _reference(data, Path(runs), knobs)
    with watcher(show):
        task, recipe = catalog.resolve(reference, given)
        return optimizer_race.run(
            task, recipe, steps=steps, seeds=seeds, rates=rates, minutes=minutes
        )


def train(
    data: Any,
    *,
    task: str | None = None,
    network: Any = None,
    name: str | None = None,
    runs: str | Path = "runs",
    show: bool = True,
    **knobs: Any,
) -> TrainedRun:
    """Train a network and return the run.

    Args:
        data: A path, a name from ``glassnet datasets``, a recipe file, a sheet
            (``book.xlsx#Sheet2``), a table or query of a database (``sqlite:///shop.db#orders``,
            whose rows are kept beside the runs), a DataFrame or Arrow table (with ``target=``),
            or a pair (inputs, targets) of arrays or frames.
        task: A name from ``glassnet tasks``; unset: the one that fits the data.
        network: A name from ``glassnet networks``, a dictionary with its options, or a Python file.
        name: Name of the run folder; unset: from data and network.
        runs: Folder for run folders.
        show: Whether to show progress.
        **knobs: Any knob of the recipe, by full name (``**{"fit.lr": 0.1}``), nested
            (``fit={"lr": 0.1}``) or short (``lr=0.1``, ``epochs=5``, ``batch_size=64``).

    Raises:
        UserError: If anything in the input is wrong; the message says what and what to do.
    """
    return _train(data, {"task": task, "network": network, **knobs}, name, runs, show)


def _searched(task: Task[Any, Any], recipe: Any, search: Mapping[str, Any]) -> dict[str, Any]:
    """Knobs of the search, checked as those of the recipe are."""
    if other := [name for name in search if name not in task.later]:
        can = f"these can: {', '.join(task.later)}" if task.later else "none of this task can"
        raise UserError(f"{other[0]!r} cannot be changed after training; {can}.")
    built = build(task.recipe, {**recipe.model_dump(), **search})
    return {name: getattr(built, name) for name in search}


def _written(
    task: Any, network: Any, facts: Any, prompt: str = "", tokens: int = 300,
    temperature: float = 0.8, top_k: int | None = None, top_p: float | None = None, seed: int = 0,
) -> Iterator[str]:  # fmt: skip
    """See ``TrainedRun.generate``."""
    if task.generate is None:
        raise UserError("This task writes no texts: choose a run of language-modelling.")
    how = Sampling(tokens, temperature, top_k, top_p, seed)
    pieces: Iterator[str] = task.generate(network, facts, prompt, how)
    return pieces


def finetune(
    weights: str | Path | TrainedRun,
    data: Any,
    *,
    name: str | None = None,
    runs: str | Path = "runs",
    show: bool = True,
    **knobs: Any,
) -> TrainedRun:
    """Train further on other data what has learned already, and return the new run.

    Args:
        weights: A run, a run folder, a .safetensors or .pth file, or a name on the Hugging Face
            Hub. The last layer begins anew unless they know all of your classes by name.
        data: As for ``train``.
        name: As for ``train``.
        runs: Folder for run folders.
        show: Whether to show progress.
        **knobs: As for ``train``; ``freeze="all"`` trains the last layer alone.

    Raises:
        UserError: If anything in the input is wrong, such as weights for another task.
    """
    origin = weights.path if isinstance(weights, TrainedRun) else weights
    return _train(data, knobs, name, runs, show, str(origin))


def _train(
    data: Any, knobs: dict[str, Any], name: str | None, runs: str | Path, show: bool,
    weights: str | None = None,
) -> TrainedRun:  # fmt: skip
    reference, given = _reference(data, Path(runs), knobs)
    with watcher(show) as watch:
        chosen, recipe = catalog.resolve(reference, given, Path(runs), weights)
        return _or_interrupt(start(chosen, recipe, name, runs, watch))


def _reference(data: Any, runs: Path, knobs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the catalogue resolves: where the data are, and the knobs that were given."""
    in_memory = not isinstance(data, str | Path)
    reference = memory.store(data, runs) if in_memory else references.hidden(str(data))
    if isinstance(data, tuple) and str(reference).endswith(".parquet"):
        knobs = {"target": memory.TARGET, **knobs}
    return str(reference), {key: value for key, value in knobs.items() if value is not None}


def writer(origin: str | Path, trust_code: bool = False) -> Callable[..., Iterator[str]]:
    """What continues texts: ``generate`` of a run, or of published weights as they are.

    Args:
        origin: A run folder; a folder with a GPT-2 as transformers writes it, or its name on the
            Hub, such as openai-community/gpt2.
        trust_code: As for ``load``.

    Raises:
        UserError: If there is neither, or it writes no texts.
    """
    place = Path(origin)
    if (
        (place / "run.json").exists()
        or not (place / "config.json").exists()
        and (place.exists() or (len(place.parts) > 1 and place.parent.exists()))
    ):
        return load(origin, trust_code).generate
    task = catalog.task("language-modelling")
    assert task.published is not None
    network, facts = task.published(str(origin))
    return functools.partial(_written, task, network, facts)


def load(path: str | Path, trust_code: bool = False) -> TrainedRun:
    """Open a run folder, on any machine; the data set is not needed to predict.

    ``trust_code`` lets a run that was trained with a task or network file of the user's own run
    the copy of that program in its folder, where the original is not there.

    Raises:
        UserError: If there is no run folder, it is damaged, or a newer glassnet wrote it.
    """
    return TrainedRun(_open(path, trust_code))


def inspect(
    data: str | Path,
    target: str | None = None,
    *,
    fix: str | Path | None = None,
    effort: Literal["quick", "full"] = "full",
    show: bool = True,
) -> Look:
    """Say what is in a data set and what is wrong with it (``problems``, the worst first).

    Args:
        data: A path, or a name from ``glassnet datasets``.
        target: The column to predict, for tables; without it, answers are not examined.
        fix: Where to write a repaired copy, with the list of changes beside it; it must not exist.
            The original is never touched.
        effort: "full" examines all rows (the costly checks up to some ten thousand), "quick" is
            what ``train`` does.
        show: Whether to show progress.

    Raises:
        UserError: If the data cannot be read, or ``fix`` cannot be written.
    """
    with watcher(show):
        look = inspection.inspect(references.hidden(str(data)), target, effort)
        if fix is not None:
            inspection.fix(look, target, fix)
    return look


def activations() -> Document:
    """Every activation with its derivative, and when to take which; draws itself in a notebook."""
    return showcase.document(showcase.activations())


def gradients(
    networks: Sequence[str] = RECURRENT,
    *,
    length: int = 100,
    steps: int = 300,
    seeds: int = 2,
    show: bool = True,
) -> Gradients:
    """How the gradient vanishes through an RNN and not through an LSTM; draws itself in a notebook.

    Args:
        networks: Recurrent networks from ``glassnet networks``.
        length: Tokens of a text, 2 to 2,000: so far back a gradient must reach.
        steps: Of training, about 30 to 60 ms each at 100 tokens; 0: first weights alone.
        seeds: How often each is measured; the figures have their range.
        show: Whether to show progress.

    Raises:
        UserError: If a network is not recurrent or unknown, or a number is out of range.
    """
    with watcher(show):
        return fading.compare(networks, length=length, steps=steps, seeds=seeds)


def convolve(
    input: Any = None,
    kernel: Any = None,
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    pool: Pooling | None = None,
    window: int | Sequence[int] | None = None,
) -> Walked:
    """Convolution or pooling one window at a time; draws itself in a notebook.

    Args:
        input: Numbers (H, W), (C, H, W) or, of a signal, (L,); a .csv of numbers; an image, whose
            grey levels are read. None: the worked example, 5×5 and a cross of 3×3.
        kernel: Numbers (K, L), (C, K, L) or (K,); or a name: cross, sobel-x, sobel-y, edge,
            sharpen, blur, identity (for signals: edge, sharpen, blur, identity).
        stride: Cells from one window to the next; None: 1, or for pooling the window.
        padding: Cells around the input: zeros; a maximum passes them over.
        dilation: Cells from one number under the kernel to the next.
        pool: 'max', 'average' or 'l2' instead of a kernel.
        window: Side of the pooling window, or (rows, columns); None: 2.

    Raises:
        UserError: If something cannot be read, or the shapes do not fit.

    >>> convolve().walk.output[0]
    ((4.0, 3.0, 4.0), (2.0, 4.0, 3.0), (2.0, 3.0, 4.0))
    """
    return convolving.convolve(
        input, kernel, stride=stride, padding=padding, dilation=dilation, pool=pool, window=window
    )


def start(
    task: Task[Any, Any], recipe: Any, name: str | None, runs: str | Path, watch: Show
) -> TrainedRun:
    """Make a run folder and train in it."""
    source = task.source(recipe)
    name = name or f"{Path(recipe.data).name.split('.')[0]}-{recipe.network.usual}"
    run = create(recipe, name, runs)
    examine = functools.partial(inspection.before_training, source, recipe, run)
    return go_on(Trained(run, task), recipe, source, watch, examine)


def create(recipe: Any, name: str, runs: str | Path, *, durable: bool = True) -> Run:
    """Make a run folder, with the user's own programs in it."""
    run = Run.create(runs, name, to_yaml(recipe), {"task": recipe.task}, durable=durable)
    owncode.keep(run, "task", recipe.task)
    owncode.keep(run, "network", recipe.network.name)
    return run


def resume(
    path: str | Path,
    *,
    show: bool = True,
    trust_code: bool = False,
    data: str | Path | None = None,
) -> TrainedRun:
    """Continue an interrupted run to the same weights as if it had never been stopped.

    ``data`` says where the data set is now, if it has moved; ``trust_code`` as for ``load``.
    """
    with watcher(show) as watch:
        return _or_interrupt(go_on_with(path, watch, trust_code, data))


def go_on_with(
    path: str | Path, watch: Show, trust_code: bool, data: str | Path | None
) -> TrainedRun:
    """Open a run and train to the end."""
    trained = _open(path, trust_code)
    return go_on(trained, trained.recipe, trained.source(data), watch)


def go_on(
    trained: Trained,
    recipe: Any,
    source: Source[Any],
    watch: Show,
    examine: Callable[[], Sequence[str]] = tuple,
) -> TrainedRun:
    """Say what ``examine`` finds wrong, train to the end, then measure and report."""
    events = loop.train(trained.task, recipe, trained.run, source)
    told = chain(_warned(examine), _with_findings(events, trained, source))
    finish(watch(told), trained, source)
    return TrainedRun(trained, source)


def _warned(examine: Callable[[], Sequence[str]]) -> Iterator[Event]:
    yield from map(Warned, examine())


def finish(
    events: Iterator[Event], trained: Trained, source: Source[Any], *, report_too: bool = True
) -> None:
    """Follow a training to its end; then measure and report, unless nobody will read it."""
    run = trained.run
    try:
        for event in events:
            if report_too and isinstance(event, Finished) and run.info["status"] == "finished":
                evaluation, review = evaluate.measure(trained, "validation", source)
                report.write(trained, evaluation, review)
    except UserError:
        if run.info["status"] == "new":  # it never began: no data, no device, no such network
            run.update_info(status="failed")
        raise


def _with_findings(
    events: Iterator[Event], trained: Trained, source: Source[Any]
) -> Iterator[Event]:
    """Say what is noteworthy about a training before it says that it has ended."""
    for event in events:
        if isinstance(event, Finished) and trained.run.info["status"] == "finished":
            yield from map(Warned, ending.conclude(trained, source))
        yield event


def _or_interrupt(run: TrainedRun) -> TrainedRun:
    """A script that was interrupted must not go on as if the training had ended."""
    if run.status == "interrupted":
        raise KeyboardInterrupt(
            f"stopped; glassnet.resume({str(run.path)!r}) continues exactly here"
        )
    return run


def _open(path: str | Path, trust_code: bool) -> Trained:
    run = Run.open(path)
    name = owncode.find(run, "task", str(run.info["task"]), trust_code)
    try:
        return Trained(run, catalog.task(name), trust_code)
    except UserError as error:
        raise UserError(f"{path} was made by the task {name!r}. {error}") from None


@contextmanager
def watcher(visible: bool) -> Iterator[Show]:
    """What shows the events: the terminal's or notebook's progress bar, or nothing."""
    if not visible:
        yield iter
        return
    with progress.listening(shows.Waiting()):
        yield shows.progress
