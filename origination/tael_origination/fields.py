"""Values of a request that its contract's field rules cannot hold: real dates, the right money."""

from __future__ import annotations

from datetime import date

from google.type import date_pb2

from tael.type.v1 import money_pb2
from tael_client.values import to_date
from tael_runtime.clock import SHANGHAI, Clock
from tael_runtime.errors import InvalidArgument, Reason


def read_date(field: str, value: date_pb2.Date) -> date:
    """A calendar date, or InvalidArgument naming the field."""
    try:
        return to_date(value)
    except ValueError as error:
        raise InvalidArgument(field, f"no calendar date: {error}", Reason.INVALID_DATE) from error


def read_amount(field: str, value: money_pb2.Money, currency: str) -> int:
    """A positive amount of the currency, minor units, or InvalidArgument naming the field."""
    if value.currency_code != currency:
        raise InvalidArgument(
            f"{field}.currency_code", f"is {value.currency_code}, must be {currency}"
        )
    if value.minor_units <= 0:
        raise InvalidArgument(f"{field}.minor_units", "must be positive")
    return value.minor_units


def shanghai_day(clock: Clock) -> date:
    """The calendar day by the service's clock: what daily caps and consents count by."""
    return clock.now().astimezone(SHANGHAI).date()
