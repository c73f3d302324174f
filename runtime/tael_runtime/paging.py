"""Page tokens: where the last page ended, opaque to callers (AIP-158)."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import date

from tael_runtime.errors import InvalidArgument


def token(*last: str | int) -> str:
    """The token of the page after the one that ended with this key."""
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode()


def text_key(page_token: str) -> str:
    """The key in a token; "" for the first page. Raises InvalidArgument."""
    key = _key(page_token, [str]) if page_token else [""]
    return str(key[0])


def number_key(page_token: str) -> int:
    """The key in a token; 0 for the first page. Raises InvalidArgument."""
    key = _key(page_token, [int]) if page_token else [0]
    return int(key[0])


def text_and_date_key(page_token: str) -> tuple[str, date]:
    """The text and date in a token; the first of each for the first page. Raises InvalidArgument."""
    if not page_token:
        return "", date.min
    text, day = _key(page_token, [str, str])
    try:
        return str(text), date.fromisoformat(str(day))
    except ValueError as error:
        raise _invalid() from error


def dated_key(page_token: str) -> tuple[date, int]:
    """The date and number in a token; the first of each for the first page. Raises
    InvalidArgument.
    """
    if not page_token:
        return date.min, 0
    day, number = _key(page_token, [str, int])
    try:
        return date.fromisoformat(str(day)), int(number)
    except ValueError as error:
        raise _invalid() from error


def _key(page_token: str, types: list[type]) -> list[str | int]:
    try:
        key = json.loads(base64.urlsafe_b64decode(page_token))
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if not isinstance(key, list) or [type(part) for part in key] != types:
        raise _invalid()
    if any(isinstance(part, str) and "\0" in part for part in key):
        raise _invalid()  # which PostgreSQL cannot compare with
    return key


def _invalid() -> InvalidArgument:
    return InvalidArgument("page_token", "is not one this list gave; give it back unchanged")
