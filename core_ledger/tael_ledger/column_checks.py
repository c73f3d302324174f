"""What a request's columns must hold: as long as one another, and within the contract's bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tael_ledger.drafts import Integers
from tael_runtime.errors import InvalidArgument

AMOUNT_LIMIT = 900_000_000_000_000
"""Minor units: the contract's bound of one amount."""
OWNER_ID = r"[A-Za-z0-9_.-]{1,64}"
ACCOUNT_NUMBER = rf"[0-9.]{{4,16}}(?::[A-Z][A-Z_]{{0,15}}:{OWNER_ID})?"
"""A code, then the owner's type and id where it has one."""


def check_amounts(field: str, amounts: Integers, count: int, whose: str) -> None:
    """Raises InvalidArgument where there is not one amount each, or one lies beyond the bound."""
    if len(amounts) != count:
        raise InvalidArgument(field, f"has {len(amounts)} amounts for {count} {whose}")
    if np.any((amounts > AMOUNT_LIMIT) | (amounts < -AMOUNT_LIMIT)):
        raise InvalidArgument(field, f"has an amount beyond ±{AMOUNT_LIMIT}")


def check_texts(field: str, texts: Sequence[str], pattern: str) -> None:
    """Raises InvalidArgument where one does not match."""
    # One match for all, each on a line of its own; the one that fails is looked for only then.
    joined = "\n".join(texts)
    own_lines = joined.count("\n") == len(texts) - 1
    if own_lines and re.fullmatch(rf"{pattern}(?:\n{pattern})*", joined):
        return
    for place, one in enumerate(texts):
        if not re.fullmatch(pattern, one):
            raise InvalidArgument(f"{field}[{place}]", f"{one!r} does not match {pattern}")
