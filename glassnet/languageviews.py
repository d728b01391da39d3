"""Figures about a network that writes: what it writes, and where it did not know what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from glassnet.figures import Cell, Table
from glassnet.language import NATS, TOKENS, losses_of
from glassnet.sampling import Sampling
from glassnet.task import Review

Write = Callable[[Any, Any, str, Sampling], Iterator[str]]
"""Network, facts, prompt and how to draw -> pieces of text."""
WRITTEN = 500
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


def passage(review: Review[Any]) -> Table:
    """The probability of each token of a passage, and what was expected instead."""
    middle = len(review.examples) // 2
    where = review.examples.rows.device
    batch = review.examples.batch(torch.tensor([middle], device=where))
    with torch.inference_mode():
        logits = review.network(batch.inputs).float()
    nats = losses_of(logits, batch.targets)[0]
    shares, best = logits[0].softmax(-1).max(-1)
    token = review.facts.vocabulary.token
    rows: list[list[Cell]] = [
        [number + 1, token(int(target)), float((-nats[number]).exp()), token(int(best[number])),
         float(shares[number])]
        for number, target in enumerate(batch.targets[0].tolist()) if target >= 0
    ]  # fmt: skip
    columns = ["place", "token", "its probability", "most probable", "with"]
    title = f"A passage, token by token ({review.name(middle)})"
    return Table(title, columns, rows)
