"""Buckets of days past due, by the lender's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import ColumnElement, case

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_runtime.errors import InvalidArgument
from tael_servicing.arithmetic.impairment import ImpairmentPolicy

USUAL = ImpairmentPolicy().bucket_limits
"""M0 to M6, and M6+ beyond."""


@dataclass(frozen=True)
class Bucket:
    """A range of days past due; the last has no end."""

    name: str
    first: int
    last: int | None

    def message(self) -> pb.Bucket:
        """In the contract's words."""
        return pb.Bucket(name=self.name, from_dpd=self.first, to_dpd=self.last)


def buckets(limits: Sequence[int]) -> tuple[Bucket, ...]:
    """From not past due to the oldest, by the last day of each but the last."""
    edges = [-1, *limits]
    ranges = [(low + 1, high) for low, high in pairwise(edges)]
    named = [Bucket(_name(limits, place, *each), *each) for place, each in enumerate(ranges)]
    beyond = "M6+" if tuple(limits) == USUAL else f">{limits[-1]}"
    return (*named, Bucket(beyond, limits[-1] + 1, None))


def _name(limits: Sequence[int], place: int, first: int, last: int) -> str:
    if tuple(limits) == USUAL:
        return f"M{place}"
    return str(first) if first == last else f"{first}-{last}"


def place_of(limits: Sequence[int], days: int) -> int:
    """Which bucket days past due are in, from 0."""
    return sum(days > limit for limit in limits)


def place(limits: Sequence[int], days: ColumnElement[int]) -> ColumnElement[int]:
    """As `place_of`, in the store."""
    above = [(days <= limit, number) for number, limit in enumerate(limits)]
    return case(*above, else_=len(limits))


def asked(given: Sequence[int], default: Sequence[int]) -> tuple[int, ...]:
    """The limits of a request, the book's own where it names none.

    Raises InvalidArgument where they do not rise.
    """
    limits = tuple(given) or tuple(default)
    if any(low >= high for low, high in pairwise(limits)):
        raise InvalidArgument("bucket_limits", "must rise: 0, 3, 30, 60")
    return limits
