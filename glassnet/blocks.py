"""Blocks: any network cut into pieces, from its input to its head, by walking it.

What stands in a row (``nn.Sequential``, ``nn.ModuleList``, ``nn.ModuleDict``) is a block each, such
as a convolution or a residual block; a row within a row is walked too. Outside of rows, a part that
holds a row is walked, and so is one that is all of the network; another one is a block. Then

- a normalization that stands alone belongs to the block before it (the first one to the next),
- parameters that stand directly in a part that is walked belong to the first block within,
- the last block is the head. "From the input" is the order in which the parts were declared.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

ROWS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Block:
    """A piece of a network: what begins to learn at once, and at one rate."""

    name: str
    modules: list[nn.Module]
    """All that it is made of, down to the leaves."""
    weights: list[nn.Parameter]


def blocks(network: nn.Module) -> list[Block]:
    """The blocks of a network, from its input to its head; see the top of this file."""
    found: list[Block] = []
    waiting: list[Block] = []  # what belongs to the next block
    for part in _parts(network, "", is_all=True):
        vectors = all(weight.ndim <= 1 for weight in part.weights)
        if part.name and not vectors:
            for early in waiting:
                _join(part, early)
            waiting.clear()
            found.append(part)
        elif part.name and found:
            _join(found[-1], part)
        else:
            waiting.append(part)
    seen: set[int] = set()
    for block in found:  # a tied weight belongs to the first block that has it
        block.weights[:] = [w for w in block.weights if id(w) not in seen]
        seen |= {id(w) for w in block.weights}
    return found


def _parts(
    module: nn.Module, name: str, *, is_all: bool = False, in_row: bool = False
) -> list[Block]:
    """Parts with weights, in the order of their declaration; nameless if of a part that goes on."""
    is_row = isinstance(module, ROWS)
    holds_row = any(isinstance(part, ROWS) for part in module.modules())
    children = {
        f"{name}.{child}".removeprefix("."): part
        for child, part in module.named_children()
        if any(True for _ in part.parameters())
    }
    if not children or not (is_all or is_row or (holds_row and not in_row)):
        return [Block(name or "network", list(module.modules()), list(module.parameters()))]
    own = list(module.parameters(recurse=False))
    found = [Block("", [], own)] if own else []
    is_all = is_all and not own and len(children) == 1
    for child, part in children.items():
        found += _parts(part, child, is_all=is_all, in_row=is_row)
    return found


def _join(block: Block, part: Block) -> None:
    block.modules.extend(part.modules)
    block.weights.extend(part.weights)


def head(network: nn.Module) -> list[str]:
    """Names, in the network, of the parameters of its last block, which gives the outputs."""
    last = {id(weight) for weight in blocks(network)[-1].weights}
    return [name for name, weight in network.named_parameters() if id(weight) in last]
