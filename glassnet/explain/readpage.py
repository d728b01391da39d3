"""A ``Reading`` as a page and as text."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING

from glassnet.explain import gates, heads, vanishing, wordtrust
from glassnet.explain.attribution import METHODS, Attribution
from glassnet.explain.strip import strip
from glassnet.figures import Bar, Bars, Block, Document, Section, Token, Tokens
from glassnet.words import nexttoken

if TYPE_CHECKING:
    from glassnet.explain.read import Read, Reading

TOP = 5
ENOUGH_SHARE = 0.005
"""Answers less probable than this are not told in the terminal."""


def document(found: Reading) -> Document:
    """Every part that was found, on one page."""
    subtitle = ", ".join(part for part in (found.network, found.run) if part)
    return Document("What the network reads", subtitle, sections(found))


def sections(found: Reading, title: str = "Which words speak for the answer") -> list[Section]:
    """The parts that there are."""
    parts = [
        translation(found),
        evidence(found, title),
        trusted(found),
        expectation(found),
        memory(found),
        fading(found),
        attention(found),
    ]
    return [part for part in parts if part is not None]


def evidence(found: Reading, title: str) -> Section | None:
    """What each token says, text by text."""
    if not any(one.evidence for one in found.texts):
        return None
    names = [one.method for one in found.texts[0].evidence]
    text = [*found.notes]
    text += [f"{name.replace('_', ' ')}: {METHODS[name].about}." for name in names]
    text.append(
        "Blue speaks for the explained answer, orange against it, in log-odds: +0.69 doubles the "
        "odds, −0.69 halves them."
    )
    blocks: list[Block] = [tokens(found, o, each) for o in found.texts for each in o.evidence]
    return Section(title, "\n\n".join(text), blocks)


def tokens(found: Reading, one: Read, evidence: Attribution) -> Tokens:
    """One text, coloured by one method."""
    items = [Token(token, value) for token, value in zip(one.tokens, evidence.values, strict=True)]
    return Tokens(
        f"{shorten(one.name, 60, placeholder=' …')}: {_said(one)} "
        f"Evidence for “{nexttoken.shown(one.about)}” by {evidence.method.replace('_', ' ')}",
        items,
        value_label="log-odds",
        spaced=found.spaced,
        note=_sum(evidence),
    )


def _sum(found: Attribution) -> str:
    if found.change is None or found.gap is None:
        return ""
    verdict = "complete" if found.complete else "not complete, so beware"
    return (
        f"The values add up to {found.total:+.3f}; the log-odds changed by {found.change:+.3f} "
        f"from no text to this one ({verdict}; {found.steps} points on the way)."
    )


def trusted(found: Reading) -> Section | None:
    """What the checks say."""
    if not found.checks:
        return None
    one = found.checks[0]
    on = f"{one.num_texts} text{'s' * (one.num_texts > 1)} of {one.num_tokens} tokens together"
    lines = [f"Checked on {on}. What holds there need not hold elsewhere."]
    if one.num_tokens < wordtrust.FEW:
        lines.append(
            f"That is little: with fewer than {wordtrust.FEW} tokens chance alone can pass or fail "
            "a method. Give more or longer texts to know."
        )
    lines += [check.text for check in found.checks]
    blocks: list[Block] = [wordtrust.curve(found.checks), wordtrust.likeness(found.checks)]
    return Section("Is this to be trusted?", "\n\n".join(lines), blocks)


def expectation(found: Reading) -> Section | None:
    """What a language model expected along the text, and what it expects after it."""
    if not any(one.expected for one in found.texts):
        return None
    blocks: list[Block] = []
    for one in found.texts:
        blocks.append(nexttoken.text(one.expected, found.spaced))
        bars = [Bar(nexttoken.shown(token), share) for token, share in one.probabilities.items()]
        blocks.append(Bars("What it expects after the text", bars, x_label="probability"))
        if len(one.expected) > 1:
            blocks += [nexttoken.course(one.expected), nexttoken.table(one.expected)]
    return Section("What it expected", _surprise(found.texts), blocks)


def _surprise(texts: Sequence[Read]) -> str:
    said = []
    for one in texts:
        bits = nexttoken.mean_bits(one.expected)
        if bits is not None:
            said.append(
                f"{one.name}: {bits:.2f} bits of surprise a token in the mean, a perplexity of "
                f"{2**bits:.4g}."
            )
    return "\n\n".join(said)


def memory(found: Reading) -> Section | None:
    """Hidden states and gates."""
    if not found.memory:
        return None
    one = found.texts[0]
    text = (
        f"“{one.name}”, token by token, computed by the equations of the layer. Shown are the "
        f"{gates.UNITS} units of the first layer whose hidden state changes most; another layer by "
        f"--layer: {', '.join(layer.name for layer in found.memory)}."
    )
    names = list(one.tokens)[-len(found.memory[0].hidden_TH) :]
    blocks: list[Block] = [gates.change(layer, names, found.spaced) for layer in found.memory]
    drawn = [layer for layer in found.memory if layer.name == found.layer] or found.memory[:1]
    for layer in drawn:
        blocks += gates.grids(layer, names)
    return Section("What it remembers", text, blocks)


def fading(found: Reading) -> Section | None:
    """How far back a gradient reaches."""
    if not found.faded:
        return None
    lines = [
        "A recurrent network learns what happened many steps ago only by a gradient that came back "
        "through all of them. This is how much of it is left, measured on the first text. "
        "`glassnet gradients` compares kinds of networks over long texts."
    ]
    lines += [f"{one.text}." for one in found.faded]
    figure = vanishing.figure(found.faded, "What is left of the gradient on its way back")
    return Section("How far back it can learn", "\n\n".join(lines), [figure])


def attention(found: Reading) -> Section | None:
    """What each head looks at."""
    if not found.attention:
        return None
    one = found.texts[0]
    blocks: list[Block] = [heads.table(found.attention, within=not one.written)]
    if one.written:
        titles = ("word written", "word of the source")
        blocks += heads.grids(found.attention, one.written, one.tokens, found.layer, titles)
    else:
        names = list(one.tokens)[-found.attention[0].shares_HTS.shape[1] :]
        drawn = found.layer if any(a.layer == found.layer for a in found.attention) else None
        blocks += heads.grids(found.attention, names, names, drawn)
    text = (
        f"“{one.name}”. Each row says where the token on the left looks; its shares sum to 1. They "
        "say from where numbers are taken, not that these decide the answer."
    )
    if not heads.find(found.attention, None) and found.layer is None:
        text += " Drawn is the mean over the heads of each layer; --layer NAME draws each head."
    return Section("Where its attention looks", text, blocks)


def translation(found: Reading) -> Section | None:
    """Source and what was written."""
    if not any(one.written for one in found.texts):
        return None
    blocks: list[Block] = []
    for one in found.texts:
        blocks.append(Tokens(one.name, [Token(t) for t in one.tokens], spaced=found.spaced))
        blocks.append(Tokens("Written", [Token(t) for t in one.written], spaced=found.spaced))
    return Section("What it wrote", "\n\n".join(found.notes), blocks)


# --- For a terminal -------------------------------------------------------------------------------


def text(found: Reading) -> str:
    """For a terminal, in 100 columns."""
    lines = [fill(note, 98) for note in found.notes]
    for one in found.texts:
        lines.append(f"{one.name}: {_said(one)}")
        if one.probabilities:
            best = [p for p in list(one.probabilities.items())[:TOP] if p[1] >= ENOUGH_SHARE]
            shares = (f"{nexttoken.shown(c)} {p:.1%}" for c, p in best)
            lines.append(fill("  ".join(shares), 98, initial_indent="  ", subsequent_indent="  "))
        for each in one.evidence:
            figure = tokens(found, one, each)
            about = nexttoken.shown(one.about)
            lines.append(f"  {each.method.replace('_', ' ')}: evidence for “{about}”, log-odds")
            lines.append(strip(figure))
            if figure.note:
                lines.append(_filled(figure.note))
        if len(one.expected) > 1:
            lines.append("  surprise, bits")
            lines.append(strip(nexttoken.text(one.expected, found.spaced)))
            lines.append(f"  {_surprise([one])}")
    if found.checks:
        lines.append("is this to be trusted?")
        if found.checks[0].num_tokens < wordtrust.FEW:
            lines.append(_filled(f"{found.checks[0].num_tokens} tokens say little; give more."))
        lines += [_filled(one.text) for one in found.checks]
    if found.faded:
        lines.append("how far back it can learn")
        lines += [_filled(one.text) for one in found.faded]
    if found.attention:
        lines.append("where its attention looks (bits of spread of each head)")
        for one_layer in found.attention:
            spread = "  ".join(f"{bits:.1f}" for bits in one_layer.entropy)
            lines.append(f"  {one_layer.layer:28}  {spread}")
    return "\n".join(lines)


def _filled(text: str) -> str:
    return fill(text, 98, initial_indent="  ", subsequent_indent="    ")


def _said(one: Read) -> str:
    if one.written:
        return one.answer
    answer = nexttoken.shown(one.answer)
    share = one.probabilities[one.answer]
    wrong = f", not {one.truth}" if one.truth not in (None, one.answer) else ""
    return f"{answer}{wrong} ({share:.0%})."
