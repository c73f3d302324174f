"""Cases that other systems and textbooks published: terms, what happens, what they found.

`cases.json` names the source of each. Its terms are `ProductTerms` as JSON, so that whatever a case
needs is something a product can say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.json_format import ParseDict

from tael.servicing.v1 import loan_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_decimal, to_date

PAID = ("principal_paid", "interest_paid", "penalty_paid", "compound_paid", "fee_paid")
BUCKETS = ((1, 3), (4, 30), (31, 60), (61, 90), (91, 120))


class Walked(Protocol):
    """A loan that a case happens to; amounts in minor units."""

    def move(self, day: date) -> None: ...
    def repay(self, amount: int) -> None: ...
    def settle(self, amount: int) -> None: ...
    def reverse_repayment(self, number: int) -> None: ...
    def reverse_change(self, kind: str) -> None: ...
    def refund_goods(self, amount: int) -> None: ...
    def refund_overpayment(self, amount: int) -> None: ...
    def reprice(self, annual_rate: Decimal, value_date: date) -> None: ...
    def extend(self, more_periods: int, from_due_date: date) -> None: ...
    def tranche(self, amount: int) -> None: ...
    def write_off(self) -> None: ...
    def rows(self) -> Sequence[loan_pb2.Instalment]: ...
    def payoff(self) -> tuple[int, int]:
        """All of it, interest in it."""

    def repayments(self) -> list[tuple[int, int]]:
        """Principal and interest of each that stands, oldest first."""

    def claim(self) -> tuple[int, int]:
        """Principal and interest."""

    def accrued(self, since: date, until: date) -> int:
        """Interest of the nights from a day to another."""


@dataclass(frozen=True)
class Case:
    """One published case."""

    told: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.told["id"])

    @property
    def start(self) -> date:
        return date.fromisoformat(self.told["start"])

    @property
    def principal(self) -> int:
        return cents(self.told["principal"])

    @property
    def periods(self) -> int:
        return int(self.told["periods"])

    @property
    def annual_rate(self) -> Decimal:
        return Decimal(self.told["annual_rate"])

    @property
    def begins(self) -> date:
        """The first day on which something happens or is told."""
        days = [step["day"] for step in self.told.get("steps", []) if "day" in step]
        return date.fromisoformat(min(days)) if days else self.start

    @property
    def quoted(self) -> dict[str, Any]:
        """What a quote is to say; empty where the case is about a life."""
        return dict(self.told.get("quote", {}))

    @property
    def choices(self) -> pb.LoanChoices:
        """What the loan brings of its own."""
        return ParseDict(self.told.get("choices", {}), pb.LoanChoices())

    @property
    def terms(self) -> pb.ProductTerms:
        """The product that lends it: of this loan, twice its principal for tranches."""
        terms = pb.ProductTerms(
            min_periods=self.periods,
            max_periods=self.periods,
            min_principal=self.principal,
            max_principal=2 * self.principal,
            annual_rate=from_decimal(self.annual_rate),
            cost_cap=from_decimal(Decimal(1)),
            repayment=pb.RepaymentTerms(no_direct_debit=True),
        )
        terms.MergeFrom(ParseDict(self.told["terms"], pb.ProductTerms()))
        return terms

    def walk(self, loan: Walked) -> Iterator[date]:
        """Does what happens day by day and holds the loan against what was published; yields each day
        before anything of it happens.
        """
        day = self.start
        for number, step in enumerate(self.told.get("steps", [])):
            if "day" in step and (at := date.fromisoformat(step["day"])) > day:
                yield at
                day = at
                loan.move(day)
            for word, value in step.items():
                if word in HAPPENS:
                    HAPPENS[word](loan, value)
                elif word != "day":
                    assert SEEN[word](loan, value) == [], f"{self.id}, step {number}, {day}"


def cents(amount: str) -> int:
    """Minor units."""
    return int(Decimal(amount) * 100)


def rows_differ(rows: Sequence[loan_pb2.Instalment], published: dict[str, Any]) -> list[str]:
    """What rows say otherwise than they were published; a fee apart from a penalty."""
    wanted, columns = published["rows"], published["columns"]
    if len(rows) != len(wanted):
        return [f"{len(rows)} rows, not {len(wanted)}"]
    return [
        f"row {row.number}: {column} {_cell(row, column)}, not {_value(value)}"
        for row, values in zip(rows, wanted, strict=True)
        for column, value in zip(columns, values, strict=True)
        if _cell(row, column) != _value(value)
    ]


def _cell(row: loan_pb2.Instalment, column: str) -> Any:
    if column == "paid":
        return sum(getattr(row, name) for name in PAID)
    if column in ("due_date", "paid_on"):
        told = {field.name: value for field, value in row.ListFields()}
        return to_date(told[column]) if column in told else None
    return getattr(row, column)


def _value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return cents(value) if "-" not in value else date.fromisoformat(value)


def _differ(found: Any, wanted: Any) -> list[str]:
    return [] if found == wanted else [f"{found}, not {wanted}"]


def _past_due(loan: Walked, wanted: dict[str, str]) -> list[str]:
    """What is unpaid of due instalments, by days past due of each."""
    found: dict[str, int] = {}
    for row in loan.rows():
        for least, most in BUCKETS:
            if least <= row.days_past_due <= most:
                name = f"{least}-{most}"
                found[name] = found.get(name, 0) + row.principal - row.principal_paid
    return _differ(found, {name: cents(amount) for name, amount in wanted.items()})


HAPPENS: dict[str, Any] = {
    "repay": lambda loan, amount: loan.repay(cents(amount)),
    "settle": lambda loan, amount: loan.settle(cents(amount)),
    "reverse_repayment": lambda loan, number: loan.reverse_repayment(number),
    "reverse_change": lambda loan, kind: loan.reverse_change(kind),
    "refund_goods": lambda loan, amount: loan.refund_goods(cents(amount)),
    "refund_overpayment": lambda loan, amount: loan.refund_overpayment(cents(amount)),
    "reprice": lambda loan, given: loan.reprice(
        Decimal(given["annual_rate"]), date.fromisoformat(given["value_date"])
    ),
    "extend": lambda loan, given: loan.extend(
        given["more_periods"], date.fromisoformat(given["from_due_date"])
    ),
    "tranche": lambda loan, amount: loan.tranche(cents(amount)),
    "write_off": lambda loan, _: loan.write_off(),
}
SEEN: dict[str, Any] = {
    "rows": lambda loan, wanted: rows_differ(loan.rows(), wanted),
    "payoff": lambda loan, wanted: _differ(
        loan.payoff(), (cents(wanted["total"]), cents(wanted["interest"]))
    ),
    "repayments": lambda loan, wanted: _differ(
        loan.repayments(), [tuple(map(cents, each)) for each in wanted]
    ),
    "claim": lambda loan, wanted: _differ(loan.claim(), tuple(map(cents, wanted))),
    "accrued": lambda loan, wanted: _differ(
        loan.accrued(*map(date.fromisoformat, wanted[:2])), cents(wanted[2])
    ),
    "past_due": _past_due,
}

CASES = [
    Case(told)
    for told in json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
]
