"""An ``Explanation`` as a page and as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any

from glassnet.explain import colours, trust
from glassnet.explain.evidence import METHODS
from glassnet.figures import Block, Document, Images, Picture, Section, png

if TYPE_CHECKING:
    from glassnet.explain.seen import Excited, Explanation, Seen

TOP = 5


def document(found: Explanation) -> Document:
    """Every part that was found, on one page."""
    sections = [
        answers(found, "Where it looks"),
        trusted(found),
        kernels(found),
        excited(found),
        inside(found),
    ]
    subtitle = f"{found.network}, {found.run}"
    return Document("What the network sees", subtitle, [s for s in sections if s is not None])


def sections(found: Explanation) -> list[Section]:
    """For the report of a run."""
    parts = [answers(found, "Where it looks"), kernels(found), excited(found), inside(found)]
    return [part for part in parts if part is not None]


def answers(found: Explanation, title: str) -> Section | None:
    """The evidence, image by image."""
    if not found.images:
        return None
    names = [one.method for one in found.images[0].evidence]
    text = [*found.notes]
    text += [f"{name.replace('_', ' ')}: {METHODS[name].about}." for name in names]
    text.append(
        "Orange speaks for the class, blue against it, grey is neither; each map has a scale of "
        "its own, which ends at the strongest 1% of its places."
    )
    blocks: list[Block]
    if len(names) == 1:
        wrong = [one for one in found.images if one.truth not in (None, one.answer)]
        right = [one for one in found.images if one not in wrong]
        parts = [(wrong, "Worst mistakes"), (right, "Right answers" if wrong else "Answers")]
        blocks = [_pairs(some, name) for some, name in parts if some]
    else:
        blocks = [_one(one) for one in found.images]
    return Section(title, "\n\n".join(text), blocks)


def _one(seen: Seen) -> Images:
    """One image and all maps of it."""
    picture = Picture(png(colours.plain(colours.fitted(seen.image))), seen.answer, _top(seen))
    heats = [one.picture(seen.image) for one in seen.evidence]
    return Images(
        f"{seen.name}: evidence for “{seen.about}”",
        [picture, *heats, _scale([seen])],
        pixelated=_is_small(seen),
        note=_true(seen),
    )


def _pairs(some: Sequence[Seen], title: str) -> Images:
    """Each image beside its one map."""
    items = []
    for one in some:
        items.append(Picture(png(colours.plain(colours.fitted(one.image))), _said(one), one.name))
        heat = one.evidence[0].picture(one.image)
        items.append(Picture(heat.source, f"for “{one.about}”", heat.note))
    items.append(_scale(some))
    return Images(title, items, pixelated=_is_small(some[0]))


def trusted(found: Explanation) -> Section | None:
    """What the checks say."""
    if not found.checks:
        return None
    count = found.checks[0].num_inputs
    on = "the first image" if count == 1 else f"the first {count} images"
    lines = [f"Checked on {on}. What holds there need not hold elsewhere."]
    lines += [one.text for one in found.checks]
    blocks: list[Block] = [*map(trust.curve, found.checks), trust.likeness(found.checks)]
    return Section("Is this to be trusted?", "\n\n".join(lines), blocks)


def kernels(found: Explanation) -> Section | None:
    """The learned filters."""
    if not found.filters:
        return None
    return Section("What its filters are", "", [one.figure for one in found.filters])


def excited(found: Explanation) -> Section | None:
    """What excites filters most."""
    if not found.excited:
        return None
    text = (
        "For each layer, the filters that the answers depend on most. Each picture holds the "
        f"{len(found.excited[0].patches)} parts of {found.searched:,} validation images that "
        "excite one filter most, each from another image, the strongest at the upper left; as much "
        "of an image is shown as the filter can see."
    )
    if any(one.made for one in found.excited):
        text += (
            " Below are images made for the same filters by raising what they give, starting from "
            "noise. For the first convolution that would be its kernels, which are shown above."
        )
    blocks: list[Block] = []
    for layer, group in groupby(found.excited, lambda one: one.layer):
        some = list(group)
        blocks.append(_in_data(layer, some))
        if any(one.made for one in some):
            blocks.append(_made(layer, some))
    return Section("What excites its filters", text, blocks)


def _in_data(layer: str, some: Sequence[Excited]) -> Images:
    height, width = some[0].pictures[0].shape[1:]
    crisp, items = max(height, width) < 12, []
    for one in some:
        parts = [colours.plain(colours.fitted(picture, 96)) for picture in one.pictures]
        whole = colours.mosaic(parts, 3)
        if not crisp:  # else it would stay as small as it is
            whole = colours.enlarged(whole, 280)
        note = f"gives up to {one.patches[0].value:.3g}"
        items.append(Picture(png(whole), f"filter {one.channel + 1}", note))
    title = f"{layer}: in the data, seeing {height} × {width} pixels"
    return Images(title, items, pixelated=crisp)


def _made(layer: str, some: Sequence[Excited]) -> Images:
    items = [
        Picture(
            png(colours.plain(colours.fitted(one.made.image))),
            f"filter {one.channel + 1}",
            f"gives {one.made.mean:.3g} in the mean; some images of the data at most "
            f"{one.made.natural:.3g}",
        )
        for one in some
        if one.made
    ]
    side = max(some[0].made.image.shape[1:]) if some[0].made else 0
    return Images(f"{layer}: made", items, pixelated=side <= colours.SMALL)


def inside(found: Explanation) -> Section | None:
    """Feature maps."""
    if not found.maps:
        return None
    one = found.images[-1] if found.filters else found.images[0]
    image = Images(
        one.name,
        [Picture(png(colours.plain(colours.fitted(one.image))), _said(one))],
        pixelated=_is_small(one),
    )
    return Section("What its layers give", "", [image, *(each.figure for each in found.maps)])


def text(found: Explanation) -> str:
    """For a terminal, in 100 columns."""
    lines = [fill(note, 98) for note in found.notes]
    for one in found.images:
        lines.append(f"{one.name}: {_said(one)}")
        lines.append("  " + "  ".join(f"{c} {p:.1%}" for c, p in _best(one)))
        lines += [f"  {each.method.replace('_', ' '):20}  {each.text}" for each in one.evidence]
    if found.excited:
        lines.append("filters that the answers depend on most")
        for layer, group in groupby(found.excited, lambda one: one.layer):
            lines.append(f"  {layer:20}  {', '.join(str(one.channel) for one in group)}")
    if found.checks:
        lines.append("is this to be trusted?")
        indent = {"initial_indent": "  ", "subsequent_indent": "    "}
        lines += [fill(one.text, 98, **indent) for one in found.checks]  # type: ignore[arg-type]
    return "\n".join(lines)


def _best(seen: Seen) -> list[tuple[str, float]]:
    return list(seen.probabilities.items())[:TOP]


def _top(seen: Seen) -> str:
    return "\n".join(f"{share:.1%} {name}" for name, share in _best(seen))


def _said(seen: Seen) -> str:
    share = seen.probabilities[seen.answer]
    wrong = f", not {seen.truth}" if seen.truth not in (None, seen.answer) else ""
    said = f"{seen.answer}{wrong} ({share:.0%})"
    return said if seen.about == seen.answer else f"{said}; explained is {seen.about}"


def _true(seen: Seen) -> str:
    return "" if seen.truth is None else f"True class: {seen.truth}."


def _scale(some: Sequence[Seen]) -> Picture:
    return colours.heat_scale(any(bool((e.values < 0).any()) for s in some for e in s.evidence))


def _is_small(seen: Seen) -> bool:
    sides: Any = seen.image.shape[1:]
    return bool(max(sides) <= colours.SMALL)
