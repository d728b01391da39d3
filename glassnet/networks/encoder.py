"""Any encoder of the transformers library: BERT, RoBERTa, DistilBERT, ELECTRA, MPNet and more.

Paper: Jacob Devlin, Ming-Wei Chang, Kenton Lee, Kristina Toutanova (2019), "BERT: Pre-training of
Deep Bidirectional Transformers for Language Understanding", NAACL; the other kinds have their own,
named in https://huggingface.co/docs/transformers; the library: Thomas Wolf and others (2020),
"Transformers: State-of-the-Art Natural Language Processing", EMNLP.

The network is built by `AutoModel.from_config` from `config`, a configuration as the library writes
it into `config.json`. It stands in the recipe, so that a run folder rebuilds its network without
the Hub and without the weights that it began from.

How ours differs: one dense layer answers from the mean of what the encoder says of all tokens of a
text (Reimers and Gurevych 2019, "Sentence-BERT", section 3); BERT's paper answers from the first
token, [CLS] (`pooling first`). Of RoBERTa and others, which never trained their first token to
stand for a text, the mean tells more as long as the encoder is frozen. With `pooling library` the
library's own classifier of the kind is built, `AutoModelForSequenceClassification`.

Sizes: distilbert-base 66 million parameters, bert-base and roberta-base 110 and 125, large ones 335
and more. Most read 512 tokens at most.

Public weights: `--weights distilbert-base-uncased`, or any other encoder of the Hub that
transformers reads, brings `config`, vocabulary and length. Needs `pip install
'glassnet[transformers]'`.

When to use it: few examples of texts in a language that a published encoder has read.
"""

# Letters in tensor names: B examples, T tokens, D width.

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, mean_over_text

READS = ("tokens",)

POSITIONS = ("position_embeddings", "embed_positions")
"""How the library calls learned positions."""
SMALL_BERT = {
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


class Encoder(nn.Module):
    """An encoder of the transformers library, and one answer for each text (B, T) of tokens."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        config: Annotated[
            dict[str, Any],
            Field(
                description="The library's configuration, with its `model_type`. Published weights "
                "bring theirs; write one to train such a network from scratch."
            ),
        ] = SMALL_BERT,  # noqa: B006, never changed
        pooling: Annotated[
            Literal["mean", "first", "library"],
            Field(
                description="From what a text is classified. mean: of all its tokens. first: its "
                "first token, as BERT's paper does. library: by the library's own classifier of "
                "this kind; published classifiers imply it, which were trained with it."
            ),
        ] = "mean",
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of the pooled features that is dropped before the last layer, "
                "while training. Not with pooling library, which has its own.",
            ),
        ] = 0.1,
    ):
        super().__init__()
        self.pooling = pooling
        self.model = model_of(config, vocabulary, num_outputs, pooling == "library")
        settings: Any = self.model.config
        self.pad = PAD if settings.pad_token_id is None else int(settings.pad_token_id)
        if pooling != "library":
            self.dropout = nn.Dropout(dropout)
            self.head = nn.Linear(settings.hidden_size, num_outputs)
        check(self, input_shape, settings.model_type)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of texts that are filled up with the padding token."""
        present_BT = tokens_BT != self.pad
        seen_BT = present_BT.clone()
        seen_BT[:, 0] = True  # attention to nothing at all would be no number
        # The library looks at the numbers of a mask, which shapes alone do not have.
        mask_BT = None if tokens_BT.is_meta else seen_BT.long()
        read = self.model(input_ids=tokens_BT, attention_mask=mask_BT)
        if self.pooling == "library":
            return read.logits  # type: ignore[no-any-return]
        features_BTD = read.last_hidden_state
        first = self.pooling == "first"
        pooled_BD = features_BTD[:, 0] if first else mean_over_text(features_BTD, present_BT)
        return self.head(self.dropout(pooled_BD))  # type: ignore[no-any-return]


def model_of(
    config: Mapping[str, Any], vocabulary: int, num_outputs: int, classifier: bool
) -> nn.Module:
    """Build the library's network with its own first weights.

    Raises:
        ValueError: If the library is missing, does not know the kind, or has no encoder of it; if
            there are more tokens than the configuration has.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            "encoder needs the transformers library: pip install 'glassnet[transformers]' "
            f"({error})"
        ) from None
    kind = str(config.get("model_type", ""))
    check_kind(kind, config)
    options = {"vocab_size": vocabulary, "pad_token_id": PAD, **config, "num_labels": num_outputs}
    del options["model_type"]
    if options["vocab_size"] < vocabulary:
        raise ValueError(
            f"encoder: network.config has vocab_size {options['vocab_size']}, and the vocabulary "
            f"has {vocabulary} tokens: they do not belong together"
        )
    try:
        with quiet():
            settings = transformers.AutoConfig.for_model(kind, **options)
            if classifier:
                kinds = transformers.AutoModelForSequenceClassification
                return kinds.from_config(settings)  # type: ignore[no-any-return]
            return without_pooler(transformers.AutoModel.from_config(settings))
    except Exception as error:  # each kind raises its own
        raise ValueError(
            f"encoder: transformers builds no encoder from network.config (model_type {kind!r}): "
            f"{first_line(error)}"
        ) from None


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what a file may leave out because it is usual, and must be told here.

    Raises:
        ValueError: If it is no encoder, or the library cannot read it.
    """
    import transformers

    kind = str(config.get("model_type", ""))
    check_kind(kind, config)
    try:
        with quiet():
            settings = transformers.AutoConfig.for_model(**{"model_type": kind, **config})
    except Exception as error:  # each kind raises its own
        raise ValueError(f"encoder: config.json is wrong: {first_line(error)}") from None
    usual = {"vocab_size": settings.vocab_size, "pad_token_id": settings.pad_token_id}
    return {**usual, **config}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from writing on the screen what is checked here, or does not matter."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def check_kind(kind: str, config: Mapping[str, Any]) -> None:
    """Refuse what writes texts, as GPT-2 does, and what reads no texts.

    Raises:
        ValueError: If it is no encoder.
    """
    from transformers.models.auto import modeling_auto as known

    fills_gaps = kind in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    encoder_only = kind not in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    if fills_gaps and encoder_only and not config.get("is_decoder"):
        return
    if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not encoder_only:
        raise ValueError(
            f"encoder: {kind} is a decoder, made to write texts, not to classify them. Choose an "
            "encoder, such as distilbert/distilbert-base-uncased or FacebookAI/xlm-roberta-base "
            "(100 languages)"
        )
    raise ValueError(
        f"encoder: {kind or 'a configuration without model_type'} is no encoder of texts that the "
        "transformers library knows; bert, roberta, distilbert, electra, deberta-v2, mpnet and "
        "modernbert are some"
    )


def without_pooler(model: Any) -> nn.Module:
    """Take off the layer that some kinds put on their first token, which nobody would read."""
    if "pooler" in dict(model.named_children()):
        model.pooler = nn.Identity()  # some kinds call it whether there is one or not
    return model  # type: ignore[no-any-return]


def longest(model: nn.Module) -> int | None:
    """How many tokens its learned positions reach; None if it has none."""
    for name, part in model.named_modules():
        if isinstance(part, nn.Embedding) and name.rpartition(".")[2] in POSITIONS:
            # RoBERTa and its kin count positions from behind the padding's number.
            spare = 0 if part.padding_idx is None else part.padding_idx + 1
            return part.num_embeddings - spare
    return None


def check(network: Encoder, input_shape: tuple[int, ...], kind: str) -> None:
    """Refuse texts longer than it reads, and kinds that take padding for text.

    Raises:
        ValueError: If so.
    """
    most = longest(network.model)
    if most is not None and input_shape[0] > most:
        raise ValueError(
            f"encoder: this {kind} reads {most} tokens at most, and the longest text may have "
            f"{input_shape[0]}: set its length to {most} or less"
        )
    if next(network.parameters()).is_meta:
        return
    word = network.pad + 1
    short = torch.tensor([[word, word, word]])
    filled = torch.tensor([[word, word, word, *[network.pad] * 5]])
    training = network.training
    try:
        with torch.no_grad(), quiet():
            one, other = network.eval()(short), network(filled)
    except Exception as error:  # each kind raises its own
        raise ValueError(f"encoder: {kind} cannot read tokens: {first_line(error)}") from None
    network.train(training)
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
        raise ValueError(
            f"encoder: {kind} takes the padding behind a short text for text (it has no mask for "
            "it), so that the same text would be answered differently beside a longer one"
        )


def first_line(error: Exception) -> str:
    """Return what an error says, without its advice to programmers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


NETWORK = Encoder
