"""How well a network says what comes next: sums over blocks of a text, and figures made of them."""

# Letters in tensor names: N examples, B batch, T tokens, V tokens of the vocabulary.

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.network import find, schema
from glassnet.networks._sequences import chosen
from glassnet.task import Examples, Metric, Outcome

NATS, HITS, TOKENS, BYTES = range(4)
"""Columns of an outcome's outputs: what was found in each block, summed over its tokens."""
LOGITS, READ = 2**22, 2**13
"""So many numbers are computed at once, and so many tokens read: more do not fit into a processor's
cache (nanoGPT's CPU setting: 1.9 ms for a block of 64 tokens in batches of 64, 2.4 in 512)."""
STREAMS = 64
"""Places of the text from which a network with a state reads on, side by side."""


def next_token(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """The mean cross entropy of the tokens that are to be predicted."""
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())


def score(network: nn.Module, examples: Examples[Any], facts: Any) -> Outcome:
    """Predict every token once; outputs (N, 4) are nats, hits, tokens and bytes of each block.

    A network without a limit of context reads on from block to block, as it does when it writes;
    one with a limit begins each block anew. Logits are thrown away batch by batch.
    """
    where = examples.rows.device
    sizes = torch.tensor(facts.vocabulary.sizes, device=where)
    goes_on, count = network.context is None, len(examples)
    at_once = LOGITS // (facts.context * len(sizes))
    at_once = max(1, min(STREAMS if goes_on else READ // facts.context, at_once))
    number = -(-count // at_once)
    everything = torch.arange(count, device=where)
    batches = [everything[step::number] for step in range(number)]
    sums_N4 = torch.zeros((count, 4), dtype=torch.float64)
    was_training, state = network.training, None
    network.eval()
    with torch.inference_mode():
        for index, batch in zip(batches, examples.batches(batches), strict=True):
            if goes_on:
                state = None if state is None else chosen(state, everything[: len(index)])
                logits, state = network.follow(batch.inputs, state)  # type: ignore[operator]
            else:
                logits = network(batch.inputs)
            sums_N4[index.cpu()] = _sums(logits.float(), batch.targets, sizes).cpu()
    network.train(was_training)
    return Outcome(sums_N4, sums_N4[:, TOKENS].clone())


def _sums(logits_BTV: Tensor, targets_BT: Tensor, sizes_V: Tensor) -> Tensor:
    """(B, 4): nats, hits, tokens and bytes of the tokens that are to be predicted."""
    nats_BT = losses_of(logits_BTV, targets_BT)
    counted_BT = targets_BT >= 0
    hits_BT = (logits_BTV.argmax(-1) == targets_BT) & counted_BT
    bytes_BT = sizes_V[targets_BT.clamp(min=0)] * counted_BT
    return torch.stack([x.double().sum(1) for x in (nats_BT, hits_BT, counted_BT, bytes_BT)], 1)


def losses_of(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Nats (B, T) of each token; 0 where nothing is to be predicted."""
    flat = nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none"
    )
    return flat.view(targets_BT.shape)


def loss(outcome: Outcome) -> float:
    """Mean negative log probability (nats) of a token."""
    return _per(outcome, NATS, TOKENS)


def perplexity(outcome: Outcome) -> float:
    """Among how many equally probable tokens the network would be as much at a loss."""
    return math.exp(min(700.0, loss(outcome)))


def bits_per_byte(outcome: Outcome) -> float:
    """Bits for each byte of the text, which can be compared whatever the tokens are."""
    return _per(outcome, NATS, BYTES) / math.log(2)


def accuracy(outcome: Outcome) -> float:
    """Share of the tokens that were the most probable ones."""
    return _per(outcome, HITS, TOKENS)


def _per(outcome: Outcome, what: int, unit: int) -> float:
    sums = outcome.outputs.sum(0)
    return float(sums[what] / sums[unit])


METRICS = (
    Metric("loss", loss, better="lower"),
    Metric("perplexity", perplexity, better="lower"),
    Metric("bits_per_byte", bits_per_byte, better="lower"),
    Metric("accuracy", accuracy),
)


def keeps_state(name: str) -> bool:
    """Whether a network, by its name, reads texts of any length and keeps a state between them."""
    return "context" not in schema(find(name)).model_fields
