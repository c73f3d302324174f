"""Between the contracts' values and Python's: dates, money, decimals, instants. Exact, no floats."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from google.protobuf import timestamp_pb2
from google.type import date_pb2, decimal_pb2

from tael.type.v1 import money_pb2


def to_date(value: date_pb2.Date) -> date:
    """A calendar date; ValueError where it is none (month 13, or a part missing)."""
    return date(value.year, value.month, value.day)


def from_date(value: date) -> date_pb2.Date:
    """The contract's form of a date."""
    return date_pb2.Date(year=value.year, month=value.month, day=value.day)


def to_decimal(value: decimal_pb2.Decimal) -> Decimal:
    """An exact decimal; ValueError where the text is no finite number."""
    try:
        number = Decimal(value.value)
    except ArithmeticError as error:
        raise ValueError(f"not a decimal: {value.value!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite decimal: {value.value!r}")
    return number


def from_decimal(value: Decimal) -> decimal_pb2.Decimal:
    """The contract's form of a decimal, without exponent or trailing zeros."""
    text = format(value, "f")
    return decimal_pb2.Decimal(value=(text.rstrip("0").rstrip(".") if "." in text else text) or "0")


def money(minor_units: int, currency_code: str = "CNY") -> money_pb2.Money:
    """An amount in minor units."""
    return money_pb2.Money(currency_code=currency_code, minor_units=minor_units)


def yuan(minor_units: int) -> str:
    """12345678 -> "123,456.78"; for people, currencies of two decimals."""
    sign = "-" if minor_units < 0 else ""
    whole, cents = divmod(abs(minor_units), 100)
    return f"{sign}{whole:,}.{cents:02d}"


def from_instant(value: datetime) -> timestamp_pb2.Timestamp:
    """An aware instant as a Timestamp."""
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(value.astimezone(UTC))
    return stamp
