"""The command that writes: a run goes on with a text."""

from __future__ import annotations

import sys

from glassnet.cli.verb import RUN, TRUST, Options, Verb, say
from glassnet.errors import UserError


def generate(options: Options) -> int:
    """Continue a prompt, and show the text as it comes."""
    from glassnet import api

    if options.samples < 1:
        raise UserError(f"--samples: expected at least 1, found {options.samples}.")
    write = api.writer(options.run, options.trust_code)
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    texts = []
    for number in range(options.samples):
        written = write(
            prompt,
            tokens=options.tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed + number,
        )
        if options.json:
            texts.append({"seed": options.seed + number, "text": "".join(written)})
            continue
        sys.stdout.write(("\n---\n" if number else "") + prompt)
        for piece in written:
            sys.stdout.write(piece)
            sys.stdout.flush()
    if not options.json:
        sys.stdout.write("\n")
        return 0
    return say(options, {"prompt": prompt, "samples": texts}, "")


VERBS = (
    Verb(
        "generate",
        "Go on with a text, token by token.",
        generate,
        (
            RUN,
            (
                ("prompt",),
                {
                    "metavar": "PROMPT",
                    "nargs": "?",
                    "default": "",
                    "help": "how the text begins; - reads it from standard input (default: a new "
                    "document, or a new line)",
                },
            ),
            (
                ("--tokens",),
                {"type": int, "default": 300, "help": "how many at most (default: 300)"},
            ),
            (
                ("--temperature",),
                {
                    "type": float,
                    "default": 0.8,
                    "help": "0: always the most probable token; 1: as probable as the network "
                    "says; above: more daring (default: 0.8)",
                },
            ),
            (("--top-k",), {"type": int, "help": "draw among so many most probable tokens"}),
            (
                ("--top-p",),
                {
                    "type": float,
                    "help": "draw among the most probable tokens that together have this "
                    "probability, such as 0.9",
                },
            ),
            (("--seed",), {"type": int, "default": 0, "help": "same seed, same text (default: 0)"}),
            (("--samples",), {"type": int, "default": 1, "help": "how many texts (default: 1)"}),
            TRUST,
        ),
    ),
)
