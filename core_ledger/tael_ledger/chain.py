"""The journal's digest chain (docs/ledger-chain.md). Pure.

A batch's content digest is the SHA-256 of everything it wrote, as `rows` gives the bytes; a link is
the SHA-256 of the digest before and that. Two steps, so that the links can be followed without the
rows, and one batch proven without the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

GENESIS = bytes(32)
"""The digest before the first batch."""


def content_digest(parts: Iterable[bytes]) -> bytes:
    """SHA-256 of a batch's head, accounts, records, requests, entries and lines, in that order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def link(previous: bytes, content: bytes) -> bytes:
    """SHA-256(previous digest ‖ content digest), 32 bytes."""
    return hashlib.sha256(previous + content).digest()
