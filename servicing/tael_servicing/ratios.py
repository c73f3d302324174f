"""Ratios of amounts as the contracts tell them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from google.type import decimal_pb2

from tael_client.values import from_decimal

PLACES = Decimal("0.000001")


def ratio(part: int, whole: int) -> decimal_pb2.Decimal:
    """part / whole to six places, half up; empty where there is no whole."""
    if not whole:
        return decimal_pb2.Decimal()
    return from_decimal((Decimal(part) / Decimal(whole)).quantize(PLACES, ROUND_HALF_UP))


def reaches(part: int, whole: int, least: Decimal) -> bool:
    """Whether part / whole is at least so much; nothing is asked of no whole."""
    return not whole or Fraction(part, whole) >= Fraction(least)
