"""Numbers in English and German words, to learn translation with: small, and right by rule.

The order is turned within a number (twenty-one, einundzwanzig), words grow together in German
(one hundred and three, einhundertdrei), and some change their form (ein, eins; sechs, sechzig).
"""

from __future__ import annotations

NUMBERS = 1000
"""As many, from 0."""

ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
ENGLISH_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety"
GERMAN = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn"
)
GERMAN_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"


def as_table() -> str:
    """The numbers below ``NUMBERS`` as a table with the columns en and de."""
    lines = [f"{english(number)}\t{german(number)}" for number in range(NUMBERS)]
    return "\n".join(["en\tde", *lines]) + "\n"


def english(number: int) -> str:
    """A number below 1000 in words.

    >>> english(721)
    'seven hundred and twenty-one'
    """
    ones, tens = ENGLISH.split(), ENGLISH_TENS.split()
    if number < 20:
        return ones[number]
    if number < 100:
        return tens[number // 10] + (f"-{ones[number % 10]}" if number % 10 else "")
    rest = f" and {english(number % 100)}" if number % 100 else ""
    return f"{ones[number // 100]} hundred{rest}"


def german(number: int) -> str:
    """A number below 1000 in words.

    >>> german(721), german(101), german(16)
    ('siebenhunderteinundzwanzig', 'einhunderteins', 'sechzehn')
    """
    ones, tens = GERMAN.split(), GERMAN_TENS.split()
    within = ["", "ein", *ones[2:]]
    if number < 20:
        return ones[number]
    if number < 100:
        return (f"{within[number % 10]}und" if number % 10 else "") + tens[number // 10]
    return f"{within[number // 100]}hundert" + (german(number % 100) if number % 100 else "")
