"""Language modelling: what comes next in a text? It learns to write like the text that it read.

Data: any text file (.txt, .md, program sources, also .gz), a folder of them, or one document in
each line, such as a list of names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from glassnet import learners, progress
from glassnet.data import corpus, prompts, sources, tokenizerfiles
from glassnet.data.corpus import CorpusFacts
from glassnet.data.stretches import Block, anywhere, as_streams
from glassnet.errors import UserError
from glassnet.learners import Supervised, between
from glassnet.network import build_network
from glassnet.optimizers import AdamW
from glassnet.recipe import Fit, NetworkKnobs, Recipe, Split, Transfer
from glassnet.schedules import Cosine
from glassnet.task import Data, Examples, Look, Prediction, Problem, Task
from glassnet.transfer import refuse_without_weights
from glassnet.words import carrying, language, languageviews, sampling, wording
from glassnet.words.sampling import Sampling

USUAL = 128
"""Width up to which learning rates were compared (docs/log.md)."""
CONTINUED, LIKELY = 100, 5
"""Tokens that ``predict`` writes, and of how many it tells the probability to come first."""


class LanguageModelling(Recipe):
    """The knobs of language modelling."""

    network: NetworkKnobs = NetworkKnobs(name="gpt")
    fit: Fit = Fit(
        optimizer=AdamW(betas=(0.9, 0.99), weight_decay=0.1),
        schedule=Cosine(eta_min=0.1, warmup=0.1),
        clip=1.0,
    )
    split: Split = Split(test=0.1, validation=0.1)
    weights: wording.FirstWeights = None
    transfer: Transfer = Transfer()
    units: corpus.Units = "characters"
    vocabulary: int | None = Field(
        None,
        ge=261,
        le=10**6,
        description="The most tokens, with subwords: 4 special ones and 256 bytes at least. "
        "Unset: 300 to 8000, by the size of the text.",
    )
    context: int = Field(
        64,
        ge=1,
        le=2**20,
        description="Tokens that are read at once in training, and all that a gpt ever looks back. "
        "Raise it where what comes next depends on what was said long before; time grows with it.",
    )
    documents: corpus.Lines = None
    per_epoch: corpus.PerEpoch = None
    carry: bool | None = Field(
        None,
        description="For recurrent networks: true: each batch goes on where the one before ended "
        "in the text (truncated backpropagation). false: each block begins with an empty memory. "
        "Unset: true, but false with per_epoch, whose blocks do not follow each other.",
    )
    cache: corpus.Cache = "auto"

    _transfers = model_validator(mode="after")(refuse_without_weights)
    _reads = model_validator(mode="after")(wording.refuse_own_vocabulary("units", "vocabulary"))

    @model_validator(mode="after")
    def _text_is_cut_once(self) -> Self:
        if self.split.mode != "fixed":
            raise ValueError(
                f"split.mode={self.split.mode} draws stretches of the text at random, and "
                "neighbouring stretches of a text are not independent: what is validated on would "
                "have been learned from its neighbours. Use fixed"
            )
        if self.vocabulary is not None and self.units != "subwords":
            raise ValueError(
                f"vocabulary={self.vocabulary} contradicts units={self.units}, which has as many "
                "as the text; set units to subwords, or leave vocabulary unset"
            )
        if self.carry and self.per_epoch is not None:
            raise ValueError(
                f"carry: true contradicts per_epoch={self.per_epoch}, whose blocks are spread over "
                "the text and do not follow each other. Leave one of them unset"
            )
        if self.carry and not language.keeps_state(self.network.name):
            raise ValueError(
                f"carry: true is for recurrent networks, and {self.network.name} reads each block "
                "from its beginning. Leave carry unset, or choose lstm or gru"
            )
        if self.split.refit and self.per_epoch is not None:
            raise ValueError("split.refit contradicts per_epoch: it trains on the whole text")
        return self


def fits(look: Look) -> str | None:
    """Running text is to be continued."""
    return "running text" if look.kind == "corpus" else None


def source(recipe: LanguageModelling) -> corpus.Corpus:
    """Open the text."""
    return corpus.open_corpus(
        sources.locate(recipe.data),
        context=recipe.context,
        units=recipe.units,
        vocabulary=recipe.vocabulary,
        lines=recipe.documents,
        shares=(recipe.split.test, recipe.split.validation),
        seed=recipe.split.seed,
        per_epoch=recipe.per_epoch,
        cache=recipe.cache,
        given=lambda: tokenizerfiles.read_if(wording.folder(recipe)),
    )


def network(recipe: LanguageModelling, facts: CorpusFacts) -> nn.Module:
    """The chosen network, with an output for each token of the vocabulary."""
    size = len(facts.vocabulary)
    built = build_network(recipe.network, (facts.context,), size, reads="stream", vocabulary=size)
    if built.context is not None and int(built.context) < facts.context:  # type: ignore[arg-type]
        raise UserError(
            f"network.context={built.context} is less than context={facts.context}, the tokens "
            "that it is fed at once. Leave network.context unset, or make it larger."
        )
    return built


def carries(recipe: LanguageModelling) -> bool:
    """Whether batches follow each other in the text."""
    return (
        recipe.carry is not False
        and recipe.per_epoch is None
        and language.keeps_state(recipe.network.name)
    )


def cut(
    recipe: LanguageModelling, examples: Examples[Block], order: Tensor, number: int
) -> Sequence[Tensor]:
    """Random blocks; for a network that carries its state, parallel streams of the text."""
    return as_streams(order, number) if carries(recipe) else order.tensor_split(number)


def learner(recipe: LanguageModelling, network: nn.Module, data: Data[Block]) -> Supervised:
    """Cross entropy of every next token, on blocks that begin elsewhere in each epoch."""
    follow, num_blocks = wording.following(recipe, network), len(data.positions(0)[0])
    built = partial(Supervised, network, language.next_token, recipe.fit, num_blocks, layers=follow)
    if not carries(recipe):
        return built(augment=anywhere)

    def together(batch: Any, epoch: int) -> Block:
        """All blocks of an epoch begin as much earlier, so that each still follows the other."""
        carried.begin(epoch, len(batch.inputs))
        draw = torch.Generator().manual_seed(recipe.fit.seed * 1_000_003 + epoch)
        back = int(torch.randint(recipe.context, (1,), generator=draw))
        return batch.moved_back(back)  # type: ignore[no-any-return]

    made = built(augment=together)
    carried = carrying.carrying(made)
    return made


def generate(network: nn.Module, facts: CorpusFacts, prompt: str, how: Sampling) -> Iterator[str]:
    """Continue a prompt, piece by piece."""
    read, context = prompts.encode(prompt, facts), network.context
    if isinstance(context, int) and len(read) > context:
        what = f"has {len(read):,} tokens, and the network reads {context:,}"
        progress.warn([Problem("the prompt", what, "only its end is read")])
    written = sampling.continued(network, read, how, never=prompts.never(facts))
    return prompts.texts_of(written, facts)


def predict(network: nn.Module, facts: CorpusFacts, raw: Any) -> Sequence[Prediction]:
    """Continue each prompt with what is most probable, and tell what may come first."""
    how, answers = Sampling(tokens=CONTINUED, temperature=0), []
    for prompt in prompts.read(raw):
        read = prompts.encode(prompt, facts)[-facts.context :]
        shares_V = sampling.expected(network, read, prompts.never(facts))
        best = shares_V.argsort(descending=True)[:LIKELY].tolist()
        likely = {facts.vocabulary.token(token): float(shares_V[token]) for token in best}
        answer = "".join(generate(network, facts, prompt, how))
        answers.append(Prediction(prompt, answer, {"probabilities": likely}))
    return answers


def published(origin: str) -> tuple[nn.Module, CorpusFacts]:
    """A GPT-2 as it is; each text that it writes begins and ends as a document of its own."""
    network, known = wording.published(origin, tokenizerfiles.read)
    context = int(network.context)  # type: ignore[arg-type]
    return network, CorpusFacts(vocabulary=known, context=context, many=True, characters=0)


_fill = learners.filler(
    lr={"muon": 3e-3, "adamw": 3e-3, "adam": 3e-3, "rmsprop": 1e-3, "sgd": 0.1},
    batch_size=lambda n: 2 ** between(3, math.log2(n / 200), 4),
    epochs=lambda n: between(1, 60_000 / n, 30),
)


def fill(recipe: LanguageModelling, num_examples: int) -> LanguageModelling:
    """Set the unset knobs: a network wider than usual takes smaller steps, 1e-3 at 384."""
    filled = _fill(recipe, num_examples)
    sizes = (recipe.network.options.get(name) for name in ("width", "hidden"))
    width = max((size for size in sizes if isinstance(size, int)), default=USUAL)
    if recipe.fit.lr is not None or width <= USUAL or recipe.fit.optimizer.name == "muon":
        return filled
    assert filled.fit.lr is not None
    lr = float(f"{filled.fit.lr * USUAL / width:.1g}")
    return filled.model_copy(update={"fit": filled.fit.model_copy(update={"lr": lr})})


TASK = Task(
    recipe=LanguageModelling,
    facts=CorpusFacts,
    fits=fits,
    source=source,
    network=network,
    fill=fill,
    start=partial(wording.start, reads="stream"),
    implied=partial(wording.implied, reads="stream"),
    bound=wording.bound,
    learner=learner,
    layers=wording.layers,
    cut=cut,
    score=language.score,
    metrics=language.METRICS,
    chosen_by=("loss",),
    predict=predict,
    published=published,
    generate=generate,
    views={
        "sample": lambda review: languageviews.sample(review, generate),
        "passage": languageviews.passage,
        "worst": languageviews.worst,
    },
    output_names=lambda facts: [facts.vocabulary.token(n) for n in range(len(facts.vocabulary))],
)
