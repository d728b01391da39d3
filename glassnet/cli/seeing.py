"""Commands that show: what is in data, what a network does and looks at, how its bricks work."""

from __future__ import annotations

from glassnet.cli.text import writable
from glassnet.cli.verb import DATA, MOVED, RUN, TRUST, Options, Verb, say
from glassnet.errors import UserError


def inspect(options: Options) -> int:
    """Look at data before training, and repair a copy."""
    from glassnet import api, catalog, figures, inspection
    from glassnet.cli.text import look, repairs

    page = writable(options.output) if options.output else None
    with api.watcher(True):
        found = inspection.inspect(options.data, options.target)
        done = inspection.fix(found, options.target, options.fix) if options.fix else None
        if page:
            document = inspection.document(found)
            page.write_text(figures.page(document), encoding="utf-8")
    fitting = catalog.tasks_for(found)
    answer = {
        "kind": found.kind,
        "path": str(found.path),
        "summary": [list(item) for item in found.summary],
        "problems": [vars(problem) for problem in found.problems],
        "tasks": fitting,
    }
    text = look(found, fitting, options)
    if done:
        answer["fix"] = {"out": str(done.out), "log": str(done.log), "done": done.summary}
        text += f"\n\n{repairs(done)}"
    if page:
        answer["page"] = str(page)
        text += f"\n\npage  {page}"
    return say(options, answer, text)


def trace(options: Options) -> int:
    """Show one example forward through a network, its loss, and every gradient backward."""
    from glassnet import api, figures

    path = None if options.output is None else writable(options.output)
    with api.watcher(True):
        found = api.load(options.run, options.trust_code).trace(
            options.example, part=options.part, input=options.input, data=options.data
        )
    if path is not None:
        path.write_text(figures.page(found.document), encoding="utf-8")
    answer = {**found.to_json(), "page": None if path is None else str(path)}
    say(options, answer, found.text if path is None else f"{found.text}\n\npage  {path}")
    return 0 if found.agrees else 1


def explain(options: Options) -> int:
    """Show what a network looks at, in given images or texts, or in all that it has learned."""
    from glassnet import api, figures

    run = api.load(options.run, options.trust_code)
    path = writable(options.output) if options.output else run.path / "explain.html"
    with api.watcher(True):
        found = run.explain(
            options.inputs or None,
            methods=None if options.method is None else options.method.split(","),
            about=options.about,
            layer=options.layer,
            step=options.step,
            data=options.data,
        )
    path.write_text(figures.page(found.document), encoding="utf-8")
    return say(options, {**found.to_json(), "page": str(path)}, f"{found.text}\n\npage  {path}")


def convolve(options: Options) -> int:
    """Step a filter or a pooling window over numbers, an image, or an example of a run."""
    from glassnet import api, figures
    from glassnet.cli.text import sides

    path = None if options.output is None else writable(options.output)
    for_run = ("layer", "filter", "example", "part", "data")
    own = ("kernel", "stride", "padding", "dilation", "pool", "window")
    wrong = [
        name for name in (own if options.run else for_run) if getattr(options, name) is not None
    ]
    if wrong:
        whose = "is what the run's own layer says" if options.run else "needs a --run"
        raise UserError(f"--{wrong[0]} {getattr(options, wrong[0])} {whose}; leave it out.")
    if options.run:
        found = api.load(options.run, options.trust_code).convolve(
            options.layer, 1 if options.filter is None else options.filter,
            example=1 if options.example is None else options.example,
            part=options.part or "validation", input=options.input, data=options.data,
        )  # fmt: skip
    else:
        found = api.convolve(
            options.input, options.kernel,
            stride=sides(options, "stride"), padding=sides(options, "padding", 0),
            dilation=sides(options, "dilation", 1),
            pool=options.pool, window=sides(options, "window"),
        )  # fmt: skip
    if path is not None:
        path.write_text(figures.page(found.document), encoding="utf-8")
    answer = {**found.to_json(), "page": None if path is None else str(path)}
    say(options, answer, found.text if path is None else f"{found.text}\n\npage    {path}")
    return 0 if found.walk.check.agrees else 1


def activations(options: Options) -> int:
    """Draw each activation with its derivative."""
    from glassnet import figures, showcase
    from glassnet.cli.text import activations as told

    path = writable(options.output)
    shown = showcase.activations()
    path.write_text(figures.page(showcase.document(shown)), encoding="utf-8")
    answer = {"activations": [vars(one) for one in shown], "plot": str(path)}
    return say(options, answer, f"{told(shown)}\n\nplot  {path}")


def gradients(options: Options) -> int:
    """Measure how the gradient vanishes through recurrent networks."""
    from glassnet import api, figures

    path = writable(options.output)
    found = api.gradients(
        options.networks.split(","), length=options.length, steps=options.steps, seeds=options.seeds
    )
    path.write_text(figures.page(found.document), encoding="utf-8")
    return say(options, {**found.to_json(), "page": str(path)}, f"{found.text}\n\npage  {path}")


VERBS = (
    Verb(
        "inspect",
        "Say what is in data, what is wrong with it, and which task fits; repair a copy.",
        inspect,
        (
            DATA,
            (("--target",), {"help": "the column to predict, for tables"}),
            (("--fix",), {"metavar": "OUT", "help": "write a repaired copy to this new path"}),
            (("-o", "--output"), {"help": "write a page with all findings to this .html file"}),
        ),
    ),
    Verb(
        "trace",
        "Show one example number by number: forward, its loss, and every gradient backward.",
        trace,
        (
            RUN,
            (
                ("--example",),
                {"type": int, "default": 1, "metavar": "N", "help": "its number, from 1"},
            ),
            (
                ("--part",),
                {"default": "validation", "help": "validation (default) or train; never test"},
            ),
            (("--input",), {"help": "trace an example of this file or folder, forward only"}),
            (("-o", "--output"), {"help": "draw it as a page, such as trace.html"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "explain",
        "Show what a network looks at: in your images, texts, sounds, series, or in all it knows.",
        explain,
        (
            RUN,
            (
                ("inputs",),
                {
                    "nargs": "*",
                    "metavar": "INPUT",
                    "help": 'images, sounds, tables, folders or archives; texts in quotes ("what a '
                    'film") or text files; none: filters and what excites them, and the worst and '
                    "best validation examples",
                },
            ),
            (
                ("--method",),
                {
                    "metavar": "NAME,…",
                    "help": "for images gradcam, occlusion, integrated_gradients, saliency, "
                    "smoothgrad; for all others integrated_gradients, occlusion, "
                    "gradient_times_input (default: the first four; all; of validation examples "
                    "the first)",
                },
            ),
            (
                ("--class",),
                {
                    "dest": "about",
                    "metavar": "NAME",
                    "help": "the class to explain, of a language model the next token, of speech a "
                    "word, of a forecast the variable (default: the answer)",
                },
            ),
            (
                ("--step",),
                {
                    "type": int,
                    "metavar": "N",
                    "help": "of a forecast: the step of the future to explain, from 1 (default: "
                    "the last)",
                },
            ),
            (
                ("--layer",),
                {
                    "metavar": "NAME",
                    "help": "the layer to look into, as `stages.1.0`, or whose heads or gates are "
                    "drawn (default: an early one, some in the middle, the last)",
                },
            ),
            (("-o", "--output"), {"help": "the page (default: explain.html in the run)"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "convolve",
        "Show convolution or pooling one window at a time, on numbers, an image, or in a run.",
        convolve,
        (
            (
                ("--input",),
                {
                    "help": "numbers as '1,0;0,1' (rows of an image) or 1,2,3 (a signal), a .csv "
                    "of them, or an image (default: the worked 5x5 example); with --run a raw input"
                },
            ),
            (
                ("--kernel",),
                {
                    "help": "numbers as '1,0;0,1' (write --kernel=-1,0,1 if a minus comes first), "
                    "or cross (default), sobel-x, sobel-y, edge, sharpen, blur, identity"
                },
            ),
            (
                ("--stride",),
                {"help": "cells from one window to the next, as 2 or 2,1 (default: 1 or --window)"},
            ),
            (("--padding",), {"help": "cells around the input, as 1 or 1,0 (default: 0)"}),
            (("--dilation",), {"help": "cells from number to number of the kernel (default: 1)"}),
            (("--pool",), {"help": "max, average or l2, instead of a kernel"}),
            (("--window",), {"help": "side of the pooling window, as 3 or 3,2 (default: 2)"}),
            (("--run",), {"help": "a run folder: step one of its own filters over an example"}),
            (
                ("--layer",),
                {"help": "a convolution or pooling layer of the run (default: first convolution)"},
            ),
            (("--filter",), {"type": int, "metavar": "N", "help": "its number, from 1"}),
            (("--example",), {"type": int, "metavar": "N", "help": "its number, from 1"}),
            (("--part",), {"help": "validation (default) or train; never test"}),
            (("-o", "--output"), {"help": "draw it as a page, such as steps.html"}),
            MOVED,
            TRUST,
        ),
    ),
    Verb(
        "gradients",
        "Show how the gradient vanishes through an RNN and not through an LSTM.",
        gradients,
        (
            (
                ("--networks",),
                {
                    "default": "rnn,gru,lstm",
                    "metavar": "NAME,…",
                    "help": "recurrent networks (default: rnn,gru,lstm)",
                },
            ),
            (
                ("--length",),
                {
                    "type": int,
                    "default": 100,
                    "metavar": "N",
                    "help": "tokens of a text: so far back a gradient must reach (default: 100)",
                },
            ),
            (
                ("--steps",),
                {
                    "type": int,
                    "default": 300,
                    "metavar": "N",
                    "help": "steps of training (default: 300); 0: first weights alone",
                },
            ),
            (
                ("--seeds",),
                {"type": int, "default": 2, "metavar": "N", "help": "how often each (default: 2)"},
            ),
            (
                ("-o", "--output"),
                {"default": "gradients.html", "help": "the page (default: gradients.html)"},
            ),
        ),
    ),
    Verb(
        "activations",
        "Draw each activation with its derivative, and say when to take which.",
        activations,
        (
            (
                ("-o", "--output"),
                {"default": "activations.html", "help": "the page (default: activations.html)"},
            ),
        ),
    ),
)
