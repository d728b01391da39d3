"""What tasks that read words need for first weights: knobs, what these imply, and how they begin.

A recipe has these knobs under these names: ``network``, ``fit``, ``weights``, ``transfer``, and, if
texts are cut, ``longest``; the facts have ``vocabulary``, and ``classes`` where there are some.
``reads`` is what the task feeds its network, as in ``build_network``.

The vocabulary of first weights is kept as it is. A token is a row of the embedding, and its meaning
comes from where it stood: another vocabulary cuts the same text elsewhere, so that even a piece
that both know stood beside other pieces. So knobs of a vocabulary contradict first weights, and are
refused (``refuse_own_vocabulary``); what the vocabulary does not know is told (``unknown``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field
from torch import Tensor, nn

from glassnet import matching, transfer
from glassnet.errors import UserError
from glassnet.figures import Table
from glassnet.matching import Match
from glassnet.network import build_network
from glassnet.networks._posterior import Posterior
from glassnet.recipe import NetworkKnobs
from glassnet.task import Data
from glassnet.transfer import Layers
from glassnet.weights import Weights
from glassnet.words import wordweights
from glassnet.words.wordweights import STREAM, TOKENS

V = TypeVar("V", bound=Sized)

FirstWeights = Annotated[
    str | None,
    Field(
        description="First weights: a run folder, a folder with config.json, weights and "
        "tokenizer, or a name on the Hugging Face Hub. They bring network and vocabulary; for "
        "classes, the last layer begins anew unless they know all of yours by name. Unset: random "
        "ones.",
    ),
]

MUCH_UNKNOWN = 0.01
"""Share of tokens that the vocabulary does not know, from which on a user is told."""

LOOKED_AT = 1_000_000
"""Tokens by which that is judged."""
_ADVICE = ", or leave it out: weights bring their own"


# --- Before the network ---------------------------------------------------------------------------


def bound(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bind first weights to a place or a commit: the recipe tells a run in full."""
    origin = values.get("weights")
    return {"weights": wordweights.settled(str(origin))} if origin else {}


def implied(values: Mapping[str, Any], reads: str) -> Mapping[str, Any]:
    """First weights bring their network, how long a text may be, and how such networks learn on."""
    return wordweights.about(str(values["weights"]), reads) if values.get("weights") else {}


def folder(recipe: Any) -> Path | None:
    """Where the vocabulary of the first weights lies, for ``tokenizerfiles.read``; None: nowhere.

    A source asks for it when it learns its facts, and never later: a run has it in its facts.
    """
    return None if recipe.weights is None else wordweights.folder(recipe.weights)


def refuse_own_vocabulary(*names: str) -> Callable[[Any], Any]:
    """For a recipe's validator: these knobs make a vocabulary, which first weights bring."""

    def refuse(recipe: Any) -> Any:
        changed = recipe.model_dump(include=set(names), exclude_defaults=True)
        if recipe.weights is not None and changed:
            name, value = next(iter(changed.items()))
            raise ValueError(
                f"{name}={value} contradicts weights={recipe.weights}: first weights mean nothing "
                "without the vocabulary that they learned with, so it is kept; leave out one of "
                "them"
            )
        return recipe

    return refuse


# --- The network ----------------------------------------------------------------------------------


def start(recipe: Any, network: nn.Module, data: Data[Any], reads: str) -> list[str]:
    """Lay the chosen first weights into the network, and tell what became of them.

    Raises:
        UserError: If they do not fit it; names the layers.
    """
    if recipe.weights is None:
        return []
    own, facts = behind(network), data.facts
    pool: Any = data.pool
    found = wordweights.read(recipe.weights, reads, recipe.network.options)
    if reads == TOKENS:
        _agree_on_padding(recipe, facts.vocabulary)
        new_head = recipe.transfer.head == "new"
        match = matching.put(own, found, facts.classes, new_head=new_head, advice=_ADVICE)
    else:
        match = _continued(own, found, len(facts.vocabulary))
    strange = unknown(pool.tokens[:LOOKED_AT], facts.vocabulary)
    return [match.sentence, *([strange] if strange else [])]


def behind(network: nn.Module) -> nn.Module:
    """The chosen network itself, before what makes honest probabilities of its answers."""
    levelled = isinstance(network, nn.Sequential) and isinstance(network[-1], Posterior)
    return network[0] if levelled else network  # type: ignore[index]


def layers(recipe: Any, network: nn.Module) -> Table | None:
    """When each block learns, if the first weights come from elsewhere."""
    if recipe.weights is None:
        return None
    return transfer.table(recipe.transfer, recipe.fit, behind(network))


def following(recipe: Any, network: nn.Module) -> Callable[[int], Layers] | None:
    """What a learner asks: steps in an epoch -> which block learns when; None: all, always."""
    return transfer.following(recipe, network, behind(network))


def unknown(tokens: Tensor, vocabulary: Any) -> str | None:
    """A sentence for users if the vocabulary of the first weights does not know their texts.

    Args:
        tokens: Those of the texts, end to end.
        vocabulary: Theirs.
    """
    if vocabulary.unknown is None or not tokens.numel():
        return None
    share = float((tokens == vocabulary.unknown).double().mean())
    if share < MUCH_UNKNOWN:
        return None
    return (
        f"the vocabulary of the first weights does not know {share:.0%} of your texts: they were "
        "trained on another language, script or subject"
    )


def published(origin: str, vocabulary: Callable[[Path], V]) -> tuple[nn.Module, V]:
    """A network that writes texts with published weights, ready to answer, and its vocabulary.

    For use without any training.

    Args:
        origin: A folder with a GPT-2 as transformers writes it, or its name on the Hub.
        vocabulary: Reads the vocabulary in a folder, as ``tokenizerfiles.read`` does.

    Raises:
        UserError: If there is none, or it is no GPT-2.
    """
    place = wordweights.folder(wordweights.settled(origin))
    knobs = NetworkKnobs(**wordweights.about(str(place), STREAM)["network"])
    known = vocabulary(place)
    size, context = len(known), (int(knobs.options["context"]),)
    network = build_network(knobs, context, size, reads=STREAM, vocabulary=size)
    _continued(network, wordweights.read(str(place), STREAM, knobs.options), size)
    return network.eval(), known


def _continued(own: nn.Module, found: Weights, tokens: int) -> Match:
    """Lay in weights of a network that says what comes next."""
    if found.classes:  # of a classifier: what it knows of texts is kept, its answers are not
        match = matching.put(own, found, [], new_head=True, advice=_ADVICE)
        return replace(match, notes=["they answer classes, so the head begins anew"])
    spare = {
        name: tensor[:tokens]
        for name, tensor in found.tensors.items()
        if name in EMBEDDINGS and len(tensor) > tokens
    }
    match = matching.put_whole(own, replace(found, tensors={**found.tensors, **spare}))
    if not spare:
        return match
    return replace(match, notes=["rows of tokens that their tokenizer never gives are left out"])


EMBEDDINGS = ("embedding.tokens.weight",)
"""Of ``gpt``: published ones may have rows that fill up to a round number."""


def _agree_on_padding(recipe: Any, vocabulary: Any) -> None:
    """What fills up short texts must be what the network passes over."""
    said = recipe.network.options.get("config", {}).get("pad_token_id", vocabulary.pad)
    if said != vocabulary.pad:
        raise UserError(
            f"{recipe.weights}: config.json says that texts are filled up with token {said}, its "
            f"tokenizer says {vocabulary.pad} ({vocabulary.token(vocabulary.pad)}). Fetch both "
            "again, from the same page."
        )
