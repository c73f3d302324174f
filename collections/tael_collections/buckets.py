"""Buckets by days past due: M0 ≤ 0, M1 1–30, …, M6 151–180, M6+ over 180."""

from __future__ import annotations

from enum import IntEnum


class Bucket(IntEnum):
    """Numbered as in the contract, so that the worse one is the greater."""

    M0 = 1
    M1 = 2
    M2 = 3
    M3 = 4
    M4 = 5
    M5 = 6
    M6 = 7
    M6_PLUS = 8


DAYS_IN_BUCKET = 30


def bucket_of(days_past_due: int) -> Bucket:
    """The bucket of a number of days past due."""
    months = (max(days_past_due, 0) + DAYS_IN_BUCKET - 1) // DAYS_IN_BUCKET
    return Bucket(min(Bucket.M0 + months, Bucket.M6_PLUS))
