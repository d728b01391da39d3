"""What is needed of the transformers library to build one of its encoders: see ``encoder``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from glassnet.networks._sequences import PAD

POSITIONS = ("position_embeddings", "embed_positions")
"""How the library calls learned positions."""


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


def first_line(error: Exception) -> str:
    """Return what an error says, without its advice to programmers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
