"""First weights for networks that read words: from a run, a folder, or the Hugging Face Hub.

As ``weights`` is for images. What differs: the weights come with a vocabulary, so that a single
file is not enough; and what a task feeds a network says which weights suit it. 'tokens' (an answer
for each text) takes any encoder of transformers, 'stream' (what comes next) GPT-2; both take runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassnet import cards, hub, weightfiles, weights
from glassnet.cards import Card
from glassnet.errors import UserError
from glassnet.networks import _transformers
from glassnet.published import Recognized, recognize
from glassnet.recipe import read_yaml
from glassnet.run import Run
from glassnet.weights import Weights
from glassnet.words import publishedwords

TOKENS, STREAM = "tokens", "stream"
CONTEXT = 256
"""Tokens of a block, at most, in which a GPT-2 learns on: the logits of its 50,257 tokens for a
batch of 8 blocks take 412 MB, and twice that while learning. It still writes with all of its own.
"""
WITHOUT_HEAD: Mapping[str, Any] = {"transfer": {"head_alone": 0.0}}
"""What comes next is asked of a network that answers it already: no new head learns alone first."""
_RULE = {"name": "adamw", "weight_decay": 0.01}
AS_ELECTRA: Mapping[str, Any] = {
    "fit": {
        "optimizer": _RULE, "lr": 1e-4, "batch_size": 16, "epochs": 4, "clip": 1.0,
        "schedule": {"name": "one-cycle", "pct_start": 0.1, "anneal": "linear"},
    },
    "transfer": {"layer_decay": 0.8},
}  # fmt: skip
"""How a published encoder learns on, after Clark and others (2020), "ELECTRA", appendix B: rate
1e-4, of each layer 0.8 times that above it, rising over a tenth of the steps and falling along a
line; theirs: 3 epochs of batches of 32, as BERT, whose sets are larger than what most people have.
"""
AS_GPT: Mapping[str, Any] = {
    "fit": {"optimizer": {**_RULE, "betas": (0.9, 0.999)}, "lr": 5e-5, "batch_size": 8},
    "transfer": {"head_alone": 0.0, "layer_decay": 1.0},
}
"""How a published GPT-2 learns on: the rate of transformers' own examples; that of GPT (Radford and
others 2018, section 4.1) is 6.25e-5. All layers learn alike, as there."""
OWNERS = {
    "google-bert": (
        "bert-base-uncased", "bert-base-cased", "bert-large-uncased", "bert-large-cased",
        "bert-base-multilingual-cased", "bert-base-multilingual-uncased", "bert-base-chinese",
        "bert-base-german-cased",
    ),
    "distilbert": (
        "distilbert-base-uncased", "distilbert-base-cased", "distilbert-base-multilingual-cased",
        "distilbert-base-uncased-finetuned-sst-2-english", "distilroberta-base", "distilgpt2",
    ),
    "FacebookAI": ("roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large"),
    "openai-community": ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"),
    "albert": ("albert-base-v1", "albert-base-v2", "albert-large-v2", "albert-xlarge-v2"),
    "almanach": ("camembert-base",),
}  # fmt: skip
"""Models that everybody still calls by the name that they had before the Hub knew owners."""


def settled(origin: str) -> str:
    """The same from any folder and on any day: an absolute path, or a name with its commit."""
    return weights.settled(_with_owner(origin))


def folder(origin: str) -> Path:
    """Where weights and their vocabulary lie on this machine; what is on the Hub is fetched.

    Raises:
        UserError: If there is no such folder, or it cannot be fetched.
    """
    path = Path(origin).expanduser()
    if path.is_dir():
        return path
    if path.is_file():  # what is beside it is needed, too
        return path.parent
    origin = _with_owner(origin)
    if not hub.is_name(origin):
        origin = weights.settled(origin)  # says what may be given
    return hub.folder(origin, beside=hub.TOKENIZERS)


def about(origin: str, reads: str) -> dict[str, Any]:
    """Defaults that go with weights, without reading the tensors themselves.

    Raises:
        UserError: If there are none, or they are for something else than ``reads``.
    """
    place = folder(origin)
    if (place / "run.json").is_file():
        return _OfRun(Run.open(place)).about(reads)
    published = Published.at(place)
    if reads == TOKENS:
        return {**published.encoder, **AS_ELECTRA}
    return {**published.decoder, **AS_GPT}


def read(origin: str, reads: str, network: Mapping[str, Any]) -> Weights:
    """Bring weights for a network with these knobs from where the user says they are."""
    place = folder(origin)
    if (place / "run.json").is_file():
        return _OfRun(Run.open(place)).read(origin)
    published = Published.at(place)
    if reads == STREAM:
        raw = weightfiles.tensors(weightfiles.in_folder(place))
        recognized = published.recognized
        ours = recognized.renamed(raw)
        return Weights(origin, published.decoder, [], ours, recognized.whose)
    tensors = _through_transformers(place, classifier=network.get("pooling") == "library")
    return Weights(origin, published.encoder, published.card.classes, tensors)


# --- Runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OfRun:
    """Weights that a run of ours found."""

    run: Run

    @property
    def facts(self) -> Mapping[str, Any]:
        facts = self.run.facts_of_one()
        if "vocabulary" not in facts:
            raise UserError(
                f"{self.run.path} is a run of the task {self.run.info['task']}, which does not "
                "read texts: its weights cannot begin with them. Give a run that was trained on "
                "texts, or a name on the Hugging Face Hub."
            )
        return facts

    def about(self, reads: str) -> dict[str, Any]:
        """Its network, and how long its texts were."""
        facts = self.facts
        found: dict[str, Any] = {"network": self.network}
        if reads == TOKENS and "classes" in facts:
            return {**found, "longest": facts["longest"]}
        if reads == TOKENS:  # what learned to look ahead only knows one direction
            one_way = {"bidirectional": False} if "bidirectional" in self.network else {}
            return {"network": {**self.network, **one_way}}
        if "classes" in facts:
            return found
        return {**found, "context": facts["context"], **WITHOUT_HEAD}

    @property
    def network(self) -> Mapping[str, Any]:
        """Its knobs."""
        return read_yaml(self.run.path / "recipe.yaml")["network"]  # type: ignore[no-any-return]

    def read(self, origin: str) -> Weights:
        facts = self.facts
        tensors, _ = self.run.read_tensors("model.safetensors")
        if all(name.startswith("0.") for name in tensors):  # class weights stand behind it
            tensors = {name.removeprefix("0."): tensor for name, tensor in tensors.items()}
        return Weights(origin, {"network": self.network}, facts.get("classes", []), tensors)


# --- Published ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """A folder of weights as the transformers library writes it."""

    place: Path
    card: Card

    @classmethod
    def at(cls, place: Path) -> Published:
        """Read what is written beside the weights; these are opened safely, or refused."""
        card = cards.read(place)
        if card.config is None:
            raise UserError(
                f"{place} must hold a run (run.json) or a model of the transformers library, with "
                "its config.json, weights and tokenizer: config.json is missing or says no "
                "model_type. Copy it from the page of the model."
            )
        weightfiles.shapes(weightfiles.in_folder(place))  # here a pickle that asks for code stops
        return cls(place, card)

    @property
    def config(self) -> Mapping[str, Any]:
        """Of transformers."""
        assert self.card.config is not None
        return self.card.config

    @property
    def kind(self) -> str:
        """The library's name for it, such as bert."""
        return str(self.config["model_type"])

    @property
    def encoder(self) -> dict[str, Any]:
        """Knobs of a task that answers each text."""
        try:
            config = _transformers.completed(self.config)
            with torch.device("meta"):
                model = _transformers.model_of(config, 0, 2, classifier=False)
        except ValueError as error:
            raise UserError(f"{self.place}: {str(error).removeprefix('encoder: ')}.") from None
        network: dict[str, Any] = {"name": "encoder", "config": config}
        if self.card.made_for.endswith("ForSequenceClassification"):
            network["pooling"] = "library"
        limits = [n for n in (_transformers.longest(model), self.card.longest) if n is not None]
        return {"network": network, **({"longest": min(limits)} if limits else {})}

    @property
    def recognized(self) -> Recognized:
        """The network of ours that these weights are, for what writes texts.

        Raises:
            UserError: If it is none.
        """
        shapes = weightfiles.shapes(weightfiles.in_folder(self.place))
        found = recognize(shapes, config=self.config, spellings=publishedwords.SPELLINGS)
        if found is not None:
            return found
        what = f"{self.place} holds a network of the kind {self.kind}"
        fills_gaps = "bert" in self.kind or self.card.made_for.endswith("ForMaskedLM")
        if fills_gaps:
            raise UserError(
                f"{what}, an encoder: it reads a whole text at once, and cannot continue one. "
                "Choose a GPT-2, such as openai-community/gpt2; or classify texts with this one."
            )
        raise UserError(
            f"{what}, or computes it in a way of its own: none of the networks that write texts "
            f"here ({publishedwords.KNOWN}). Choose a GPT-2, such as openai-community/gpt2."
        )

    @property
    def decoder(self) -> dict[str, Any]:
        """Knobs of a task that continues texts."""
        network = dict(self.recognized.network)
        return {"network": network, "context": min(CONTEXT, network["context"])}


def _through_transformers(place: Path, classifier: bool) -> dict[str, Tensor]:
    """Read an encoder by the library that wrote it: it knows how its names changed over the years.

    It runs no code of the repository. Only what was found in the file is returned.
    """
    import transformers

    auto = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    try:
        with _transformers.quiet():
            model, told = auto.from_pretrained(
                place,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, RuntimeError) as error:
        text = _transformers.first_line(error)
        raise UserError(
            f"{place}: the transformers library cannot make an encoder of it: {text}"
        ) from None
    if not classifier:
        model = _transformers.without_pooler(model)
    found = {n: t for n, t in model.state_dict().items() if n not in told["missing_keys"]}
    for name, theirs, _ in told["mismatched_keys"]:  # refused later, with both sizes
        found[name] = torch.empty(theirs, device="meta")
    return {f"model.{name}": tensor for name, tensor in found.items()}


def _with_owner(origin: str) -> str:
    """``gpt2`` -> ``openai-community/gpt2``, unless there is such a folder."""
    name, _, revision = origin.partition("@")
    if Path(origin).expanduser().exists() or re.search(r"[/\\]", name):
        return origin
    owner = next((owner for owner, names in OWNERS.items() if name in names), None)
    return origin if owner is None else f"{owner}/{origin}"
