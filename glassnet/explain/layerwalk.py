"""One filter, or one pooling, of a trained network on a real example, window by window."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from glassnet.errors import UserError, nearest
from glassnet.explain import windows
from glassnet.explain.example import Tap, member, require
from glassnet.explain.ways import Pooling
from glassnet.explain.windows import Walk
from glassnet.explain.windowviews import Walked
from glassnet.task import Source
from glassnet.trained import Trained

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
POOLINGS: dict[type[nn.Module], Pooling] = {
    nn.MaxPool1d: "max", nn.MaxPool2d: "max", nn.AvgPool1d: "average", nn.AvgPool2d: "average",
    nn.LPPool1d: "l2", nn.LPPool2d: "l2",
}  # fmt: skip


def walk_layer(
    trained: Trained,
    layer: str | None = None,
    filter: int = 1,
    *,
    example: int = 1,
    part: str = "validation",
    input: Any = None,
    source: Source[Any] | None = None,
) -> Walked:
    """Step one filter (or one channel of a pooling layer) over what its layer reads.

    Args:
        trained: The run.
        layer: A convolution or pooling by its name in the network; None: the first convolution.
        filter: Its number, from 1; of pooling the channel.
        example: Its number within the part (or the input), from 1.
        part: 'validation' or 'train'; the sealed test cannot be looked at.
        input: A raw input instead, as for ``predict``.
        source: The run's data set, if it is open already.

    Raises:
        UserError: If there is no such layer, filter or example.
    """
    one, inputs, name = _example(trained, example, part, input, source)
    network = copy.deepcopy(one.network).cpu().eval()
    chosen = _layer(network, layer)
    module = network.get_submodule(chosen)
    reads, answers, times = _seen(network, module, inputs.cpu(), chosen)
    require_filter(filter, len(answers), chosen)
    walk, notes = _walk(module, reads, answers[filter - 1], filter - 1)
    if times > 1:
        notes.append(f"The network uses this layer {times} times; this is the first time.")
    what = "filter" if isinstance(module, CONVOLUTIONS) else "channel"
    title = f"{trained.run.path}, layer {chosen}, {what} {filter} on {name}"
    return Walked(walk, title, tuple(notes))


def require_filter(filter: int, of: int, layer: str) -> None:
    """Refuse the number of a filter that is not there."""
    if not 1 <= filter <= of:
        raise UserError(
            f"--filter {filter}: layer {layer} has {of:,} filters, numbered from 1 to {of:,}."
        )


def _example(
    trained: Trained, example: int, part: str, raw: Any, source: Source[Any] | None
) -> tuple[Trained, Tensor, str]:
    """The network that answers for an example, the batch of this one example, and its name."""
    if raw is not None:
        folds = trained.run.folds()
        one = trained.fold(folds[0]) if folds else trained
        tap = Tap(one.network)
        answers = [p for p in trained.predict(raw, tap) if "error" not in p.details]
        require(example, len(answers), "the input")
        return one, torch.cat(tap.seen)[example - 1 : example], answers[example - 1].input
    if part not in ("validation", "train"):
        sealed = " The test is sealed." * (part == "test")
        raise UserError(f"--part {part}: expected validation or train.{sealed}")
    one, position, _, _ = member(trained, part, example)
    source = source or trained.source()
    row = getattr(one.run.splits(), part)[position : position + 1]
    examples = source.examples(row, one.facts)
    if not len(examples):
        raise UserError(f"Example {example} ({source.name(int(row))}) could not be read.")
    inputs = examples.batch(torch.zeros(1, dtype=torch.int64)).inputs
    return one, inputs, f"example {example} of {part} ({source.name(int(row))})"


def _layer(network: nn.Module, asked: str | None) -> str:
    """The name of the layer; by default that of the first convolution."""
    kinds: tuple[type[nn.Module], ...] = (*CONVOLUTIONS, *POOLINGS)
    there: dict[str, nn.Module] = {
        name: m for name, m in network.named_modules() if isinstance(m, kinds)
    }
    convolutions: list[str] = [name for name, m in there.items() if isinstance(m, CONVOLUTIONS)]
    if not convolutions:
        raise UserError("The network of this run has no convolution to step through.")
    if asked is None:
        return convolutions[0]
    # People read the names in `glassnet networks NAME`, which knows no preparing layers before.
    fitting: list[str] = [name for name in there if name == asked or name.endswith(f".{asked}")]
    if asked not in fitting and len(fitting) != 1:
        raise UserError(
            f"--layer {asked}: the network has no such convolution or pooling layer."
            f"{nearest(asked, there)} It has {', '.join(there)}."
        )
    return asked if asked in fitting else fitting[0]


def _seen(
    network: nn.Module, module: nn.Module, inputs: Tensor, name: str
) -> tuple[Tensor, Tensor, int]:
    """What the layer reads and answers of one example, without the batch, and how often."""
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        kept.append((given[0].clone(), output.clone()))  # a later layer may work in place

    handle: RemovableHandle = module.register_forward_hook(keep)
    with torch.no_grad():
        network(inputs)
    handle.remove()
    if not kept:
        raise UserError(f"--layer {name}: this layer takes no part in the answer to an example.")
    return kept[0][0][0], kept[0][1][0], len(kept)


def _walk(module: nn.Module, reads: Tensor, answer: Tensor, number: int) -> tuple[Walk, list[str]]:
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return _convolution(module, reads, answer, number)
    return _pooling(module, reads, answer, number)


def _convolution(
    module: nn.Conv1d | nn.Conv2d, reads: Tensor, answer: Tensor, number: int
) -> tuple[Walk, list[str]]:
    """One filter, on the channels of its group."""
    kernel = module.weight.detach()[number]
    group = number // (module.out_channels // module.groups)
    channels = reads[group * len(kernel) : (group + 1) * len(kernel)]
    notes = []
    if module.groups > 1:
        notes.append(f"The layer has {module.groups} groups; this filter reads group {group + 1}.")
    if isinstance(module, nn.Conv1d):
        channels, kernel = channels[:, None], kernel[:, None]
    walk = windows.convolve(
        channels,
        kernel,
        bias=0.0 if module.bias is None else float(module.bias.detach()[number]),
        stride=module.stride,
        padding=_zeros_around(module),
        dilation=module.dilation,
        signal=isinstance(module, nn.Conv1d),
        expected=answer,
    )
    return walk, notes


def _zeros_around(module: nn.Conv1d | nn.Conv2d) -> list[int]:
    """Cells of zeros on each side of each axis, also where the layer says 'same' or 'valid'."""
    if module.padding_mode != "zeros":
        raise UserError(
            f"This layer pads by {module.padding_mode}; only zeros can be stepped through."
        )
    if module.padding == "valid":
        return [0] * len(module.kernel_size)
    if module.padding != "same":
        return [int(side) for side in module.padding]
    both = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(side % 2 for side in both):
        raise UserError(
            f"This layer pads by 'same' with a kernel of {'×'.join(map(str, module.kernel_size))}, "
            "one zero more on one side; only the same number on both can be stepped through."
        )
    return [side // 2 for side in both]


def _pooling(
    module: nn.Module, reads: Tensor, answer: Tensor, number: int
) -> tuple[Walk, list[str]]:
    """One channel; windows that reach beyond the end (``ceil_mode``) are left out."""
    settings: Any = module
    kind = next(kind for cls, kind in POOLINGS.items() if isinstance(module, cls))
    signal = isinstance(module, nn.MaxPool1d | nn.AvgPool1d | nn.LPPool1d)
    if kind == "l2" and settings.norm_type != 2:
        raise UserError(f"This layer takes the norm of degree {settings.norm_type}, not of 2.")
    # A module keeps one number, or one for each axis; some kinds know no padding or dilation.
    found = {
        name: _numbers(getattr(settings, name, default))
        for name, default in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1))
    }
    if kind == "average" and any(found["padding"]) and not settings.count_include_pad:
        raise UserError("This layer averages without its padding, which cannot be stepped through.")
    walk = windows.pool(
        reads[number : number + 1],
        kind,
        window=found["kernel_size"],
        stride=found["stride"] or found["kernel_size"],
        padding=found["padding"],
        dilation=found["dilation"],
        signal=signal,
    )
    shape = (len(walk.output[0]), len(walk.output[0][0]))
    whole = answer.reshape(-1, answer.shape[-1])
    check = windows.compare(
        torch.tensor(walk.output[0]), whole[: shape[0], : shape[1]], ("", whole)
    )
    beyond = "Windows that reach beyond the end of the map (ceil_mode) are left out."
    return replace(walk, check=check), [beyond] * (tuple(whole.shape) != shape)


def _numbers(given: Any) -> Any:
    return given if isinstance(given, int | None) else list(given)
