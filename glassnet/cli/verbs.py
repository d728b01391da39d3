"""All commands, in the order in which the help lists them.

An answer is a JSON object; its text is made from the same object.
"""

from __future__ import annotations

from glassnet.cli import after, catalogue, seeing, training, writing

VERBS = (*training.VERBS, *after.VERBS, *writing.VERBS, *seeing.VERBS, *catalogue.VERBS)
