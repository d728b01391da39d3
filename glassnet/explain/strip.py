"""A figure of tokens as lines for a terminal: the text, and below each token its value."""

from __future__ import annotations

import unicodedata

from glassnet.figures import Token, Tokens
from glassnet.words.nexttoken import shown

WIDTH = 98
INDENT = 4
GAP = 2


def strip(figure: Tokens, *, most: int = 200, digits: int = 1) -> str:
    r"""The tokens with their values below, in lines of at most 98 columns.

    Args:
        figure: What is to be told.
        most: Tokens that are told; the rest is counted.
        digits: Decimals of the values.

    >>> print(strip(Tokens("", [Token("not", -0.5), Token("bad", 2.25), Token("!")])))
        not   bad   !
        −0.5  +2.2
    """
    signed = any((item.value or 0) < 0 for item in figure.items)
    lines, upper, lower = [], " " * INDENT, " " * INDENT
    for item in figure.items[:most]:
        word, value = shown(item.text), _value(item, digits, signed)
        room = max(_columns(word), len(value))
        if _columns(upper) + room > WIDTH and upper.strip():
            lines += [upper.rstrip(), lower.rstrip()]
            upper = lower = " " * INDENT
        upper += word + " " * (room - _columns(word) + GAP)
        lower += value + " " * (room - len(value) + GAP)
    lines += [upper.rstrip(), lower.rstrip()]
    if len(figure.items) > most:
        lines.append(f"{' ' * INDENT}… and {len(figure.items) - most:,} tokens more")
    return "\n".join(line for line in lines if line)


def _value(item: Token, digits: int, signed: bool) -> str:
    if item.value is None:
        return ""
    sign = "+" if signed else ""
    return f"{item.value:{sign}z.{digits}f}".replace("-", "−")


def _columns(text: str) -> int:
    """Columns of a terminal that a text takes: two for wide signs, none for marks on others."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )
