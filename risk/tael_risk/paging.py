"""Page tokens: the id the last page ended with, opaque to callers (AIP-158)."""

from __future__ import annotations

import base64
import binascii

from tael_runtime.errors import InvalidArgument


def to_token(last_id: str) -> str:
    """The token of the page after the one that ended with this id."""
    return base64.urlsafe_b64encode(last_id.encode()).decode()


def from_token(page_token: str) -> str:
    """The id in a token; "" for the first page. Raises InvalidArgument."""
    try:
        return base64.b64decode(page_token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            "page_token", "is not one this list gave; give it back unchanged"
        ) from error
