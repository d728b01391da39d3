"""Any image classifier of the transformers library: ViT, Swin, DeiT, BEiT, MobileNet and more.

Paper: each kind has its own, named in https://huggingface.co/docs/transformers; the library: Thomas
Wolf and others (2020), "Transformers: State-of-the-Art Natural Language Processing", EMNLP.

The network is built by `AutoModelForImageClassification.from_config` from `config`, a configuration
as the library writes it into `config.json`. It stands in the recipe, so that a run folder rebuilds
its network without the Hub and without the weights that it began from.

How ours differs: the answer is the logits alone, and there are as many as the data have classes.
Inputs are standardized by glassnet; the library's image processors are not used.

Sizes: those that the configuration asks for; a Vision Transformer reads images of `image_size` and
no others, convolutional kinds most sizes.

Public weights: `--weights google/vit-base-patch16-224`, or any other model of the Hub for image
classification that transformers reads, brings `config`, size and preprocessing. Needs `pip install
'glassnet[transformers]'`.

When to use it: for published networks that glassnet has not written itself. Of its own, `resnet`
and the others can be looked into layer by layer.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

SMALL_RESNET = {
    "model_type": "resnet",
    "layer_type": "basic",
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64, 128],
    "depths": [1, 1, 1, 1],
}


class Backbone(nn.Module):
    """A network of the transformers library, for images (channels, height, width)."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        config: Annotated[
            dict[str, Any],
            Field(
                description="The library's configuration, with its `model_type`. Published weights "
                "bring theirs; write one to train such a network from scratch."
            ),
        ] = SMALL_RESNET,  # noqa: B006, never changed
    ):
        super().__init__()
        if len(input_shape) != 3:
            raise ValueError(
                f"backbone: input_shape must be (channels, height, width), found {input_shape}"
            )
        self.model = model_of(config, input_shape, num_outputs)
        check(self.model, input_shape)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of standardized images."""
        return self.model(pixel_values=inputs_BCHW).logits  # type: ignore[no-any-return]


def model_of(config: dict[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Build the library's network with its own first weights.

    Raises:
        ValueError: If the library is missing, does not know the kind, or cannot build it.
    """
    try:
        from transformers import AutoConfig, AutoModelForImageClassification
    except ImportError as error:
        raise ValueError(
            "backbone needs the transformers library: pip install 'glassnet[transformers]' "
            f"({error})"
        ) from None
    options = {"num_channels": input_shape[0], **config, "num_labels": num_outputs}
    kind = str(options.pop("model_type", ""))
    try:
        return AutoModelForImageClassification.from_config(  # type: ignore[no-any-return]
            AutoConfig.for_model(kind, **options), trust_remote_code=False
        )
    except Exception as error:  # each kind raises its own
        raise ValueError(
            f"backbone: transformers builds no image classifier from network.config "
            f"(model_type {kind!r}): {first_line(error)}"
        ) from None


def check(model: Any, input_shape: tuple[int, ...]) -> None:
    """Try one black image: most kinds say only then that a size does not suit them."""
    config = model.config.to_dict()
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(pixel_values=torch.zeros(1, *input_shape))
    except Exception as error:  # each kind raises its own
        made = f", made for images of {config['image_size']}," if "image_size" in config else ""
        raise ValueError(
            f"backbone: a network of the kind {config['model_type']}{made} cannot read images of "
            f"{' x '.join(map(str, input_shape))} (channels, height, width): {first_line(error)}"
        ) from None
    model.train(training)


def first_line(error: Exception) -> str:
    """Return what an error says, without its advice to programmers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


NETWORK = Backbone
