"""Loans as they are kept: the contract, and the loan the arithmetic works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, exists, func, insert, select, update

from tael.servicing.v1 import product_pb2 as pb
from tael_runtime import later
from tael_runtime.errors import FailedPrecondition
from tael_servicing import kept
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.loan import Closure, Loan, Status
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan as loans
from tael_servicing.tables import loan_event, loan_posting, loan_state
from tael_servicing.terms import NO_CHOICES, loan_terms

UNPAID_OUT = ("PAYING", "CANCELLED")
CLOSURES = {
    Closure.PAID_NORMAL: "CLOSED_NORMAL",
    Closure.PAID_EARLY: "CLOSED_EARLY",
    Closure.PAID_OVERDUE: "CLOSED_OVERDUE",
    Closure.GUARANTOR: "CLOSED_GUARANTOR",
    Closure.TRANSFERRED: "CLOSED_TRANSFERRED",
    Closure.ASSET: "CLOSED_ASSET",
    Closure.RETURNED: "CLOSED_RETURNED",
}


@dataclass(frozen=True)
class Contract:
    """What never changes about a loan once it is paid out."""

    loan_id: str
    customer_id: str
    line_id: str
    book_id: str
    product_code: str
    product_version: int
    currency_code: str
    principal: int
    annual_rate: Decimal
    periods: int
    repay_day: int
    start_date: date
    card_token: str
    source: str
    choices: bytes = b""
    """What it brought of its own: a LoanChoices."""
    holidays: tuple[date, ...] = ()
    """Days of its life that were no business days when it was signed, where due dates shift."""
    partner_id: str = ""
    """Who lends the other part of a joint loan (联合贷); empty for a loan of ours alone."""
    partner_principal: int = 0
    """That part, beside `principal`, which is ours."""
    spread: Decimal | None = None
    """Over the loan prime rate, where the rate floats."""

    @property
    def paid_out(self) -> int:
        """What the borrower gets: of a joint loan both parts."""
        return self.principal + self.partner_principal

    @property
    def payment_id(self) -> str:
        """Its first payout's id with the payment provider, for ever."""
        return f"pay:{self.loan_id}"


@dataclass(frozen=True)
class Money:
    """What an event's money brings beside what it pays of the loan."""

    amounts: Mapping[str, int]
    """Where it comes from, and a partner's share of it: minor units by amount type. What no
    `funds_*` names is the customer's own account's."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """Whose accounts those move, by owner type: a receipt's, a partner's."""


OWN_ACCOUNT = Money({})

BRINGS = frozenset(("REPAYMENT_RECEIVED", "GOODS_REFUNDED", "ASSET_TAKEN_FOR_DEBT"))
"""Postings that may say where money comes from, and whose accounts else it moves."""


@dataclass(frozen=True)
class Stored:
    """A loan as the store has it; what is written is the difference."""

    state: str
    loan: Loan
    changes: int
    """How often it was written: nobody writes over what they have not read."""
    written_on: date
    """The business date it was written on, from which its lines run."""
    newest_event: str
    """The id of the event that came last; "" before the first."""
    last_posting: int
    """The number of the posting that came last; 0 before the first."""


def contract_terms(contract: Contract, product: pb.ProductTerms) -> Terms:
    """The terms of the loan, of the product version it was born with."""
    return _terms(
        product.SerializeToString(deterministic=True),
        contract.periods,
        str(contract.annual_rate),
        contract.repay_day,
        contract.choices,
        contract.holidays,
    )


@lru_cache(maxsize=4096)
def _terms(
    product: bytes,
    periods: int,
    annual_rate: str,
    repay_day: int,
    choices: bytes,
    holidays: tuple[date, ...],
) -> Terms:
    """Many loans have the same. The rate as a text: 0.12 and 0.120000 are written differently."""
    return loan_terms(
        pb.ProductTerms.FromString(product),
        periods,
        Decimal(annual_rate),
        repay_day,
        choices=pb.LoanChoices.FromString(choices) if choices else NO_CHOICES,
        holidays=frozenset(holidays),
    )


@dataclass(frozen=True)
class Held:
    """A loan out of the store, or about to be stored for the first time."""

    contract: Contract
    terms: Terms
    state: str
    loan: Loan
    stored: Stored | None = None
    """None for a loan that is not yet stored."""

    @property
    def next_event_id(self) -> str:
        """The id of the event about to happen to the loan, which is locked and was not changed since:
        ids of a loan sort in the order of arrival.
        """
        assert self.stored is not None, "events happen to loans that are stored"
        return _id_after(self.stored.newest_event)

    def posted(self, count: int) -> Held:
        """The same loan after it posted so often."""
        assert self.stored is not None, "what posts is stored"
        last = self.stored.last_posting + count
        return replace(self, stored=replace(self.stored, last_posting=last))

    @property
    def dpd(self) -> int:
        """Days past due; 0 for a loan that is not paid out."""
        return 0 if self.state in UNPAID_OUT else self.loan.days_past_due

    def now(self, loan: Loan) -> Held:
        """The same loan after something happened to it."""
        return replace(self, loan=loan, state=state_of(loan))

    def after(self, event_id: str, loan: Loan) -> Held:
        """The same loan after the event it gave `next_event_id` to: the next one comes behind it."""
        assert self.stored is not None, "events happen to loans that are stored"
        return replace(self.now(loan), stored=replace(self.stored, newest_event=event_id))


def state_of(loan: Loan) -> str:
    """The state of a loan that is paid out."""
    if loan.status is Status.CLOSED:
        assert loan.closure is not None
        return CLOSURES[loan.closure]
    return loan.status.name


def check_paid_out(held: Held) -> None:
    """Raises FailedPrecondition LOAN_NOT_OPEN before and without the payout."""
    if held.state in UNPAID_OUT:
        raise FailedPrecondition(
            Reason.LOAN_NOT_OPEN, f"the loan is {held.state}", held.contract.loan_id
        )


def sign(transaction: Connection, contract: Contract) -> None:
    """Writes the contract."""
    transaction.execute(insert(loans).values(vars(contract)))


def sign_anew(transaction: Connection, contract: Contract) -> None:
    """Writes over the contract of a loan that begins later than it was signed for."""
    transaction.execute(
        update(loans).where(loans.c.loan_id == contract.loan_id).values(vars(contract))
    )


def has_arrears(transaction: Connection, customer_id: str) -> bool:
    """Whether something of the customer is past due or written off."""
    late = exists().where(
        loans.c.customer_id == customer_id,
        loan_state.c.loan_id == loans.c.loan_id,
        loan_state.c.state.in_(("OVERDUE", "NON_ACCRUAL", "WRITTEN_OFF")),
    )
    return bool(transaction.execute(select(late)).scalar())


FIRST_EVENT = "00000001"
"""The id of the event a loan begins with."""

RECORD = insert(loan_event)


def record(
    transaction: Connection, loan_id: str, event: LoanEvent, day: date, reference: str = ""
) -> None:
    """Adds to the events the loan is the fold of, on the business date; reference: on whose word."""
    later.write(transaction, RECORD, _event_row(loan_id, event, day, reference))


def record_many(
    transaction: Connection, day: date, made: Mapping[str, LoanEvent], reference: str
) -> None:
    """Adds one event to each of many loans of a book whose business date is `day`."""
    rows = [_event_row(loan_id, event, day, reference) for loan_id, event in made.items()]
    later.write(transaction, RECORD, *rows)


def _event_row(loan_id: str, event: LoanEvent, day: date, reference: str) -> dict[str, Any]:
    return {
        "loan_id": loan_id,
        "event_id": event.event_id,
        "value_date": event.value_date,
        "booked_on": day,
        "kind": type(event).__name__,
        "content": kept.event_content(event),
        "reference": reference,
    }


def next_event_ids(transaction: Connection, loan_ids: Sequence[str]) -> dict[str, str]:
    """As `next_event_id`, of many loans that have events."""
    rows = transaction.execute(
        select(loan_event.c.loan_id, func.max(loan_event.c.event_id).label("last"))
        .where(loan_event.c.loan_id == func.any(list(loan_ids)))
        .group_by(loan_event.c.loan_id)
    )
    return {row.loan_id: _id_after(row.last) for row in rows}


def _id_after(last: str) -> str:
    """Ids of a loan's events are their numbers, written so that they sort as texts."""
    return f"{int(last or 0) + 1:08}"


def reversed_events(transaction: Connection, loan_id: str) -> set[str]:
    """Ids of a loan's events that were reversed."""
    rows = transaction.execute(
        select(loan_event.c.content["target"].astext).where(
            loan_event.c.loan_id == loan_id, loan_event.c.kind == "Reversed"
        )
    )
    return set(rows.scalars())


def money_of(transaction: Connection, loan_id: str, event_id: str) -> Money:
    """What an event's money brought beside what it paid of the loan."""
    rows = transaction.execute(
        select(loan_posting.c.amounts, loan_posting.c.owners).where(
            loan_posting.c.loan_id == loan_id,
            loan_posting.c.cause == event_id,
            loan_posting.c.event.in_(BRINGS),
        )
    )
    amounts: dict[str, int] = {}
    owners: dict[str, str] = {}
    for row in rows:
        owners.update(row.owners)
        for name, amount in row.amounts.items():
            if name.startswith("funds_") or name == "partner_share":
                amounts[name] = amounts.get(name, 0) + amount
    return Money(amounts, owners)


def events_of(transaction: Connection, loan_id: str) -> list[LoanEvent]:
    """The events the loan is the fold of, in the order of arrival."""
    rows = transaction.execute(
        select(loan_event).where(loan_event.c.loan_id == loan_id).order_by(loan_event.c.event_id)
    )
    return [kept.event_from(row.kind, row.value_date, row.event_id, row.content) for row in rows]
