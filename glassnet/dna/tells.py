"""What each place of aligned sequences tells a network about a class: a signed logo.

The filters of the first layer show motifs only where filters carry them; what stands at fixed
places may lie in a linear part or behind several layers. So the whole network is asked: integrated
gradients (M. Sundararajan, A. Taly, Q. Yan 2017, "Axiomatic Attribution for Deep Networks",
arXiv:1703.01365) of the log-odds of a class, from letters that are as probable everywhere as in the
training sequences to those of a sequence. What a place adds goes to the letter that stands there;
the mean over sequences of the class is drawn.
"""

# Letters in tensor names: B sequences, C letters, T places, O classes.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.dna.placing import knows_places
from glassnet.figures import Logo
from glassnet.networks._series import present
from glassnet.task import Review

SHOWN = 6
"""Classes that are shown, in their order."""
MOST = 100
"""Sequences of a class that are looked at."""
STEPS = 16
"""Points between no letter and the letters at which the gradient is taken."""
NETWORKS = 10
"""Folds whose networks are asked."""
AT_ONCE = 64
LONGEST = 600
"""Places; of longer sequences a logo shows nothing that can be read."""
STRONG, LEAST = 0.25, 0.1
"""Share of the highest letter, and nats, from which on a letter is named."""


def view(number: int) -> Callable[[Review[Any]], Logo | None]:
    """The logo of the class of this number, from 0."""

    def drawn(review: Review[Any]) -> Logo | None:
        facts = review.facts
        if number >= len(facts.classes) or facts.most > LONGEST or not knows_places(review.network):
            return None
        own = (review.outcome.targets == number).nonzero().flatten()
        if not len(own):
            return None
        own = own[:: -(-len(own) // MOST)]
        # One by one: a batch of several folds must not mix them.
        signals = [review.examples.batch(position[None]).inputs[0] for position in own]
        heights_TC = adds(review.network, signals, facts, number)
        return Logo(
            f"What each place tells about {facts.classes[number]}",
            list(facts.letters),
            heights_TC.tolist(),
            x_label="place in the sequence",
            y_label="adds to the log-odds",
            note=f"mean of {len(own):,} sequences of the class: by how much the letter that stands "
            "there moves the whole network towards the class (up) or away (down), against letters "
            f"as frequent as in training, in nats; {_said(heights_TC, facts.letters)}",
        )

    return drawn


def adds(network: nn.Module, signals: Sequence[Tensor], facts: Any, number: int) -> Tensor:
    """What the letters at each place add to the log-odds of a class, mean (T, C) in nats.

    Args:
        network: One that knows places; of several folds up to NETWORKS are asked, each about its
            share of the sequences.
        signals: Sequences of the class, (C, T) each.
        facts: Of the training sequences; the letters' frequencies are where the path begins.
        number: The class.
    """
    members = getattr(network, "members", None)
    asked = list(members) if isinstance(members, nn.ModuleList) else [network]
    asked = asked[:: -(-len(asked) // NETWORKS)]
    plain_C1 = torch.tensor(facts.frequencies, dtype=torch.float32)[:, None].to(signals[0].device)
    total_TC = torch.zeros(facts.most, len(facts.letters))
    for share, one in enumerate(asked):
        was_training = one.training
        one.eval()
        own = signals[share :: len(asked)]
        for at in range(0, len(own), AT_ONCE):
            letters_BCT = torch.stack(
                [nn.functional.pad(signal, (0, facts.most - signal.shape[1]), value=torch.nan)
                 for signal in own[at : at + AT_ONCE]]
            )  # fmt: skip
            added_BT = _integrated(one, letters_BCT, plain_C1, number)
            total_TC += (letters_BCT.nan_to_num(0.0) * added_BT[:, None]).sum(0).T.cpu()
        one.train(was_training)
    return total_TC / len(signals)


def _integrated(network: nn.Module, letters_BCT: Tensor, plain_C1: Tensor, number: int) -> Tensor:
    """What each place adds to the log-odds of the class, (B, T)."""
    here_BT = present(letters_BCT)
    whole_BCT = letters_BCT.nan_to_num(0.0)
    apart_BCT = (whole_BCT - plain_C1) * here_BT[:, None]
    slopes_BCT = torch.zeros_like(whole_BCT)
    for step in range(STEPS):
        share = (step + 0.5) / STEPS
        between_BCT = (whole_BCT - (1 - share) * apart_BCT).requires_grad_()
        shown_BCT = between_BCT.masked_fill(~here_BT[:, None], torch.nan)
        with torch.enable_grad():
            logs_BO = network(shown_BCT).float().log_softmax(1)
            others_BO = torch.cat([logs_BO[:, :number], logs_BO[:, number + 1 :]], 1)
            odds_B = logs_BO[:, number] - others_BO.logsumexp(1)
            slopes_BCT += torch.autograd.grad(odds_B.sum(), between_BCT)[0]
    return (apart_BCT * slopes_BCT).sum(1) / STEPS


def _said(heights_TC: Tensor, letters: str) -> str:
    """The strongest letters in words: runs of neighbouring places that add much."""
    best_T, which_T = heights_TC.max(1)
    strong = (best_T >= max(LEAST, STRONG * float(best_T.max()))).nonzero().flatten().tolist()
    if not strong:
        return "no place stands out"
    runs: list[list[int]] = []
    for place in strong:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    runs.sort(key=lambda run: -float(best_T[run].sum()))
    told = [f"{''.join(letters[int(which_T[p])] for p in run)} at {run[0] + 1}" for run in runs[:4]]
    return "the strongest letters: " + ", ".join(told)


VIEWS: dict[str, Callable[[Review[Any]], Any]] = {
    f"places_tell_{number + 1}": view(number) for number in range(SHOWN)
}
