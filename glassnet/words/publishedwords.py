"""How others name the parameters of our networks that read texts: GPT-2's, as transformers has it.

Names and shapes say which network it is, as for images in ``published``.
"""

from __future__ import annotations

import re

from torch import Tensor

from glassnet.published import Knobs, Names, Spelling
from glassnet.weightfiles import Shapes

_GPT2 = {
    "wte": "embedding.tokens",
    "wpe": "embedding.places",
    "ln_f": "norm",
    "ln_1": "within_norm",
    "attn.c_attn": "within.query_key_value",
    "attn.c_proj": "within.output",
    "ln_2": "dense_norm",
    "mlp.c_fc": "dense.0",
    "mlp.c_proj": "dense.2",
}
_BUFFERS = r"h\.\d+\.attn\.(masked_)?bias|lm_head\.weight"
"""Masks that were stored with the weights once, and the embedding for the second time."""
_HEAD_WIDTH = 64
"""Of every GPT-2; a file without its configuration does not say."""


def _gpt2_names(shapes: Shapes) -> Names:
    found = {}
    for name in shapes:
        short = name.removeprefix("transformer.")
        match = re.fullmatch(r"(?:h\.(\d+)\.)?([\w.]+)\.(weight|bias)", short)
        if re.fullmatch(_BUFFERS, short):
            found[name] = ""
        elif match and match[2] in _GPT2:
            block = "" if match[1] is None else f"blocks.{match[1]}."
            found[name] = f"{block}{_GPT2[match[2]]}.{match[3]}"
    return found


def _gpt2_shaped(name: str, tensor: Tensor) -> Tensor:
    """Its dense layers are written (inputs, outputs), those of torch (outputs, inputs)."""
    dense = tensor.ndim == 2 and not name.startswith("embedding.")
    return tensor.T.contiguous() if dense else tensor


def _gpt2(shapes: Shapes) -> Knobs | None:
    """Read layers, width and context; heads are those of the family."""
    tokens, places = shapes.get("embedding.tokens.weight"), shapes.get("embedding.places.weight")
    first = shapes.get("blocks.0.within.query_key_value.weight", ())
    if tokens is None or places is None or first != (tokens[1], 3 * tokens[1]):
        return None
    layers = {match[1] for name in shapes if (match := re.match(r"blocks\.(\d+)\.", name))}
    heads = max(1, tokens[1] // _HEAD_WIDTH)
    return {"name": "gpt", "num_layers": len(layers), "num_heads": heads, "width": tokens[1],
            "context": places[0], "activation": "gelu_tanh"}  # fmt: skip


SPELLINGS = tuple(
    Spelling(
        "transformers",
        mark,
        _gpt2_names,
        _gpt2,
        config={
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "n_inner": None,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
            "tie_word_embeddings": True,
        },
        told={"n_head": "num_heads", "resid_pdrop": "dropout"},
        shaped=_gpt2_shaped,
    )
    for mark in ("h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight")
)

KNOWN = "gpt2"
"""What of transformers' decoders it is, for people."""
