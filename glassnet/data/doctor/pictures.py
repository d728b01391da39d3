"""Images as the doctor sees them: small pictures of all or of a sample."""

from __future__ import annotations
from collections.abc import Iterator


def check(source, parts, brought, most, count):
    return iter(())
