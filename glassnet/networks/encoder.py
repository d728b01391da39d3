"""Any encoder of the transformers library: BERT, RoBERTa, DistilBERT, ELECTRA, MPNet and others.

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

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, mean_over_text
from glassnet.networks._transformers import first_line, longest, model_of, quiet

READS = ("tokens",)

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


NETWORK = Encoder
