"""Fields of requests that protovalidate cannot judge."""

from __future__ import annotations

from datetime import date

from google.type import date_pb2

from tael_client.values import to_date
from tael_runtime.errors import InvalidArgument, Reason


def read_date(field: str, value: date_pb2.Date) -> date:
    """A business date. Raises InvalidArgument where it is no calendar date."""
    try:
        return to_date(value)
    except ValueError as error:
        raise InvalidArgument(
            field,
            f"{value.year}-{value.month}-{value.day} is no calendar date: {error}",
            Reason.INVALID_DATE,
        ) from error
