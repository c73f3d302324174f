"""Many things a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


def pages(items: Sequence[ItemT], size: int) -> Iterator[list[ItemT]]:
    """The items in order, at most `size` at a time."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))
