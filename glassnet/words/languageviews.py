"""Figures about a network that writes: what it writes, and where it did not know what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from glassnet.figures import Cell, Table, Tokens
from glassnet.task import Review
from glassnet.words import nexttoken
from glassnet.words.language import NATS, TOKENS
from glassnet.words.sampling import Sampling

Write = Callable[[Any, Any, str, Sampling], Iterator[str]]
"""Network, facts, prompt and how to draw -> pieces of text."""
WRITTEN = 300
WORST = 10
PASSAGE = 400
"""Tokens that are shown one by one."""
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
    middle, length = len(review.examples) // 2, int(review.facts.context)
    last = min(len(review.examples), middle + max(1, PASSAGE // length))
    where = review.examples.rows.device
    batch = review.examples.batch(torch.arange(middle, last, device=where))
    follows = (batch.starts.diff() == length).cumprod(0).sum()  # another text may begin
    inputs_T, targets_T = (part[: follows + 1].flatten() for part in (batch.inputs, batch.targets))
    told = int((targets_T >= 0).nonzero().max()) + 1  # a short text is padded
    tokens_T = torch.cat((inputs_T[:told], targets_T[told - 1 : told]))
    logits_TV = nexttoken.logits(review.network, tokens_T, review.network.context)  # type: ignore[arg-type]
    name = partial(readable, review.facts.vocabulary)
    names = [name(token) for token in tokens_T.tolist()]
    found = nexttoken.expected(logits_TV.cpu(), tokens_T.cpu(), names, name)
    shown = nexttoken.text(found, spaced=review.facts.vocabulary.unit == "words")
    return replace(shown, title=f"A passage, token by token ({review.name(middle)})")


def readable(vocabulary: Any, token: int) -> str:
    """A token as it stands in the text, white space included; its name where it is no text."""
    text: str = vocabulary.decode([token])
    broken = not text or "\N{REPLACEMENT CHARACTER}" in text
    return vocabulary.token(token) if broken else text
