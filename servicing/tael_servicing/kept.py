"""A loan and its events as the store keeps them: JSON of the arithmetic's own dataclasses.

A field that the arithmetic gains needs no column: what was kept before it came is read with its
default. Numbers keep their exactness: integers of any size, decimals as texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from tael_servicing.arithmetic.events import KINDS, LoanEvent
from tael_servicing.arithmetic.loan import Loan

COMMON = ("value_date", "event_id")
"""What every event has; kept in columns of its own."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Loan)


def loan_text(loan: Loan) -> str:
    """The whole loan on its business date."""
    return _encoder.encode(loan).decode()


def loan_from(kept: str) -> Loan:
    """The loan again, on the business date it was kept on."""
    return _decoder.decode(kept)


def event_content(event: LoanEvent) -> dict[str, Any]:
    """The event's own fields, for a JSON column."""
    content: dict[str, Any] = msgspec.to_builtins(event)
    return {name: value for name, value in content.items() if name not in COMMON}


def event_from(kind: str, value_date: date, event_id: str, content: Mapping[str, Any]) -> LoanEvent:
    """The event again. KeyError for a kind that this version does not know."""
    fields = {"value_date": value_date, "event_id": event_id, **content}
    return msgspec.convert(fields, KINDS[kind])
