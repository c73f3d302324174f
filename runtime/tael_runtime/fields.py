"""Values of a request that its contract's field rules cannot hold: real dates, the right money."""

from __future__ import annotations

from datetime import date

from google.protobuf.message import Message
from google.type import date_pb2

from tael.type.v1 import money_pb2
from tael_client.values import to_date
from tael_runtime.errors import InvalidArgument, Reason


def read_date(field: str, value: date_pb2.Date) -> date:
    """A calendar date. Raises InvalidArgument INVALID_DATE, naming the field."""
    try:
        return to_date(value)
    except ValueError as error:
        raise InvalidArgument(
            field,
            f"{value.year}-{value.month}-{value.day} is no calendar date: {error}",
            Reason.INVALID_DATE,
        ) from error


def optional_date(message: Message, field: str) -> date | None:
    """The date in a field, None where it is not given. Raises as `read_date`."""
    return read_date(field, getattr(message, field)) if message.HasField(field) else None


LARGEST_AMOUNT = 900_000_000_000_000
"""Minor units of an event that the ledger takes (tael.ledger.v1.EventAmount)."""


def read_amount(field: str, value: money_pb2.Money, currency: str) -> int:
    """A positive amount of the currency that the ledger can take, minor units.

    Raises InvalidArgument, naming the field.
    """
    if value.currency_code != currency:
        raise InvalidArgument(
            f"{field}.currency_code", f"is {value.currency_code}, must be {currency}"
        )
    if value.minor_units <= 0:
        raise InvalidArgument(f"{field}.minor_units", "must be positive")
    if value.minor_units > LARGEST_AMOUNT:
        raise InvalidArgument(f"{field}.minor_units", f"must be at most {LARGEST_AMOUNT}")
    return value.minor_units
