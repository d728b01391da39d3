"""Figures about a network that writes: what it writes, and where it did not know what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from glassnet import nexttoken
from glassnet.figures import Cell, Table, Tokens
from glassnet.language import NATS, TOKENS
from glassnet.sampling import Sampling
from glassnet.task import Review

Write = Callable[[Any, Any, str, Sampling], Iterator[str]]
"""Network, facts, prompt and how to draw -> pieces of text."""
WRITTEN = 300
WORST = 10
TEMPERATURES = (0.5, 0.8, 1.0)


def sample(review: Review[Any], write: Write) -> Table:
    """Texts that the network writes by itself, without a prompt."""
    rows: list[list[Cell]] = []
    for temperature in TEMPERATURES:
        how = Sampling(tokens=WRITTEN, temperature=temperature)
        text = "".join(write(review.network, review.facts, "", how))
        rows.append([temperature, text])
    note = (
        "Nothing of it was chosen. A low temperature takes probable tokens and repeats itself; at "
        "1, tokens are drawn as they are expected. `glassnet generate RUN PROMPT` writes more."
    )
    return Table("What it writes", ["temperature", "text"], rows, note=note)


def worst(review: Review[Any]) -> Table:
    """The blocks of the text that were predicted worst."""
    sums = review.outcome.outputs
    each = sums[:, NATS] / sums[:, TOKENS]
    order = each.argsort(descending=True)[:WORST].tolist()
    rows: list[list[Cell]] = []
    for place in order:
        batch = review.examples.batch(torch.tensor([place], device=review.examples.rows.device))
        text = review.facts.vocabulary.decode(batch.inputs[0].tolist())
        rows.append([review.name(place), float(each[place]), text])
    note = "Names, other languages, tables and slips of the pen are usual; or the text changes."
    return Table("Worst predicted stretches", ["where", "nats per token", "text"], rows, note=note)


def passage(review: Review[Any]) -> Tokens:
    """A passage from the middle of the text, each token coloured by how much it surprised."""
    middle = len(review.examples) // 2
    where = review.examples.rows.device
    batch = review.examples.batch(torch.tensor([middle], device=where))
    with torch.inference_mode():
        logits_TV = review.network(batch.inputs)[0].float().cpu()
    # A short passage is padded, and padding is no text.
    told = int((batch.targets[0] >= 0).nonzero().max()) + 1
    tokens_T = torch.cat(
        (batch.inputs[0, :1], batch.inputs[0, 1:told], batch.targets[0, told - 1 : told])
    )
    name = partial(readable, review.facts.vocabulary)
    found = nexttoken.expected(logits_TV, tokens_T.cpu(), [name(int(t)) for t in tokens_T], name)
    spaced = review.facts.vocabulary.unit == "words"
    shown = nexttoken.text(found, spaced)
    return replace(shown, title=f"A passage, token by token ({review.name(middle)})")


def readable(vocabulary: Any, token: int) -> str:
    """A token as it stands in the text, white space included; its name where it is no text."""
    text: str = vocabulary.decode([token])
    broken = not text or "\N{REPLACEMENT CHARACTER}" in text
    return vocabulary.token(token) if broken else text
