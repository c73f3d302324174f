"""What the outside world knows of a person when nothing is scripted: a rule of the ID number.

Digits 15 and 16 (the head of GB 11643's sequence code) say how somebody differs from a person in
good order. The figures in good order are those of a customer whom the shipped policy gives grade C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CLEAN_REPORT: Mapping[str, int] = {
    "accounts": 4,
    "balance": 3_600_000,
    "monthly_due": 300_000,
    "overdue_amount": 0,
    "worst_status_24m": 0,
    "queries_3m": 2,
    "card_utilisation_percent": 40,
    "oldest_account_months": 36,
}
CLEAN_MULTI_LENDER: Mapping[str, int] = {
    "queries_7d": 0,
    "queries_30d": 2,
    "queries_90d": 4,
    "lenders_with_balance": 2,
}
CLEAN_FACE: Mapping[str, int] = {"score": 95, "live": 1}


@dataclass(frozen=True)
class Person:
    """How the registries answer about one person."""

    real_name: str = "MATCH"
    four_elements: str = "MATCH"
    face: Mapping[str, int] = field(default_factory=dict)
    """Figures that differ from CLEAN_FACE."""
    report: Mapping[str, int] = field(default_factory=dict)
    """Figures that differ from CLEAN_REPORT."""
    multi_lender: Mapping[str, int] = field(default_factory=dict)
    """Figures that differ from CLEAN_MULTI_LENDER."""
    listed: bool = False
    """On the court list."""


IN_GOOD_ORDER = Person()

VARIATIONS: Mapping[str, Person] = {
    "90": Person(real_name="MISMATCH"),
    "91": Person(real_name="UNKNOWN"),
    "92": Person(face={"score": 40}),
    "93": Person(face={"live": 0}),
    "94": Person(four_elements="MISMATCH"),
    "95": Person(listed=True),
    "96": Person(
        multi_lender={
            "queries_7d": 6,
            "queries_30d": 12,
            "queries_90d": 20,
            "lenders_with_balance": 9,
        }
    ),
    "97": Person(report={"queries_3m": 9}),
    "98": Person(report={"overdue_amount": 120_000, "worst_status_24m": 4}),
    "99": Person(
        report={
            "accounts": 0,
            "balance": 0,
            "monthly_due": 0,
            "queries_3m": 0,
            "card_utilisation_percent": 0,
            "oldest_account_months": 0,
        }
    ),
}
"""By digits 15 and 16 of the ID number; docs/simulators.md names each."""


def person(id_number: str) -> Person:
    """The person behind an 18-character ID number."""
    return VARIATIONS.get(id_number[14:16], IN_GOOD_ORDER)
