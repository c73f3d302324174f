"""Many things a few at a time; page tokens: where the last page ended (AIP-158)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tael_runtime.errors import InvalidArgument

ItemT = TypeVar("ItemT")


def pages(items: Sequence[ItemT], size: int) -> Iterator[list[ItemT]]:
    """The items in order, at most `size` at a time."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def token(last: str | int) -> str:
    """The token of the page after the one that ended with this key."""
    return base64.urlsafe_b64encode(str(last).encode()).decode()


def text_key(page_token: str) -> str:
    """The key in a token; "" for the first page. Raises InvalidArgument."""
    try:
        return base64.urlsafe_b64decode(page_token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("page_token", "is not one this list gave") from error


def number_key(page_token: str) -> int:
    """The key in a token; 0 for the first page. Raises InvalidArgument."""
    key = text_key(page_token) or "0"
    if not key.isascii() or not key.isdigit():
        raise InvalidArgument("page_token", "is not one this list gave")
    return int(key)
