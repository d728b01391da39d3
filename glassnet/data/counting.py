"""A small text made by a program: counting in English words, the same on every machine.

What comes next is nearly certain but for the first letters of a word, so a network of a second's
training already shows that it learns.
"""

LAST = 400
UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def text() -> str:
    """From one to LAST; ten numbers in a line, and an empty line after every hundred."""
    lines = []
    for first in range(1, LAST, 10):
        lines.append(", ".join(in_words(n) for n in range(first, first + 10)) + ".")
        if first % 100 == 91:
            lines.append("")
    return "\n".join(lines)


def in_words(number: int) -> str:
    """A number below a thousand.

    >>> [in_words(number) for number in (7, 42, 300, 318)]
    ['seven', 'forty-two', 'three hundred', 'three hundred and eighteen']
    """
    hundreds, rest = divmod(number, 100)
    if hundreds:
        return f"{UNITS[hundreds]} hundred" + (f" and {in_words(rest)}" if rest else "")
    if rest < len(UNITS):
        return UNITS[rest]
    tens, unit = divmod(rest, 10)
    return TENS[tens - 2] + (f"-{UNITS[unit]}" if unit else "")
