"""Changes of running loans: what of them a product and the law allow, and how they are taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from tael_client.values import to_decimal
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_runtime.fields import optional_date, read_date
from tael_servicing import caps, loans, products
from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.events import (
    Disbursed,
    LoanEvent,
    Prepaid,
    Reversed,
    standing,
)
from tael_servicing.arithmetic.terms import EarlyInterest, Keep, Terms, Unit
from tael_servicing.enacting import Enacted, enact
from tael_servicing.loans import Held
from tael_servicing.product_checks import rate_problem
from tael_servicing.products import Product
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_event, loan_posting, repayment

SHORT_MONTHS, MIDDLE_MONTHS, LONG_EXTENSION_MONTHS = 12, 60, 36
"""Up to a year a loan is short, up to five years of middle length (贷款通则 §8, §12)."""
IRREVERSIBLE = frozenset(("Disbursed", "Purchased", "Returned", "Reversed"))


def reference_of(request: Any) -> str:
    """On whose word a request rests."""
    for name in ("approval", "reference", "reason"):
        if name in request.DESCRIPTOR.fields_by_name:
            return str(getattr(request, name))
    return ""


def read_rate(transaction: Connection, held: Held, request: Any) -> Decimal:
    """The annual rate a request asks for. Raises InvalidArgument where it is none, or over a cap."""
    product = _product(transaction, held)
    day = held.loan.business_date
    limit = caps.tightest(caps.limits(transaction, product.lender_type, product.terms, day))
    if problem := rate_problem(request.annual_rate, Decimal(0), limit.rate):
        raise InvalidArgument("annual_rate", problem)
    return to_decimal(request.annual_rate)


def read_due_dates(held: Held, request: Any) -> tuple[date, ...]:
    """The due dates a request gives to the instalments that change.

    Raises InvalidArgument where they are not ascending, begin before tomorrow or the day the first
    of the instalments begins, or are more than those.
    """
    given = tuple(
        read_date(f"due_dates[{index}]", each) for index, each in enumerate(request.due_dates)
    )
    if not given:
        return ()
    ahead = [row.instalment.period for row in held.loan.rows[held.loan.due_count :]]
    first_due = optional_date(request, "from_due_date")
    changed = [period for period in ahead if first_due is None or period.end >= first_due]
    begins = max([held.loan.business_date, *(period.start for period in changed[:1])])
    for index, (before, day) in enumerate(pairwise([begins, *given])):
        if day <= before:
            raise InvalidArgument(f"due_dates[{index}]", f"is {day}; after {before} is right")
    most = len(changed) + request.more_periods
    if changed and len(given) > most:
        raise InvalidArgument("due_dates", f"are {len(given)}; {most} instalments change")
    return given


def _product(transaction: Connection, held: Held) -> Product:
    """The version the loan was born with."""
    contract = held.contract
    return products.get(transaction, contract.product_code, contract.product_version)


def check_extension(held: Held, more_periods: int) -> None:
    """Raises FailedPrecondition EXTENSION_TOO_LONG (贷款通则 §12)."""
    frequency = held.terms.frequency
    if frequency.unit is not Unit.MONTH:
        days = frequency.every * (7 if frequency.unit is Unit.WEEK else 1)
        term, more = held.terms.periods * days / 30, more_periods * days / 30
    else:
        term, more = held.terms.periods * frequency.every, more_periods * frequency.every
    start = held.contract.start_date
    extended = held.loan.rows[-1].due_date > months_after(start, int(term) + 1, start.day)
    longest = term if term <= SHORT_MONTHS else term / 2
    if term > MIDDLE_MONTHS:
        longest = LONG_EXTENSION_MONTHS
    if more > longest or extended:
        raise FailedPrecondition(
            Reason.EXTENSION_TOO_LONG,
            f"a loan of {term:g} months is extended once, by at most {longest:g} months",
        )


def check_fee(transaction: Connection, held: Held, name: str, amount: int) -> None:
    """Raises FailedPrecondition FEE_NOT_DISCLOSED for a fee that is not the product's, COST_OVER_CAP
    for one that makes the loan too dear.
    """
    if name not in {fee.name for fee in held.terms.fees}:
        disclosed = ", ".join(sorted(fee.name for fee in held.terms.fees)) or "none"
        raise FailedPrecondition(
            Reason.FEE_NOT_DISCLOSED, f"the loan's cost table has these fees: {disclosed}"
        )
    product = _product(transaction, held)
    happened = standing(loans.events_of(transaction, held.contract.loan_id))
    lent = [(each.value_date, each.principal) for each in happened if isinstance(each, Disbursed)]
    caps.check_fee(
        transaction,
        product.lender_type,
        product.terms,
        held.terms,
        held.loan,
        lent,
        _paid_ahead(transaction, held, happened),
        amount,
    )


def _paid_ahead(
    transaction: Connection, held: Held, happened: Sequence[LoanEvent]
) -> list[tuple[date, int]]:
    """What prepayments paid that no row of the schedule shows, by value date."""
    made = {each.event_id: each for each in happened if isinstance(each, Prepaid)}
    rows = transaction.execute(
        select(loan_posting.c.cause, loan_posting.c.amounts).where(
            loan_posting.c.loan_id == held.contract.loan_id,
            loan_posting.c.cause.in_(made),
            loan_posting.c.event == "REPAYMENT_RECEIVED",
        )
    )
    return [
        (made[row.cause].value_date, _outside_rows(held.terms, made[row.cause], row.amounts))
        for row in rows
    ]


def _outside_rows(terms: Terms, event: Prepaid, amounts: Mapping[str, int]) -> int:
    principal_stays = terms.on_what_is_paid or event.keep is Keep.SCHEDULE
    left = ["prepayment_fee"]
    if not principal_stays:
        left.append("principal_normal")
    if terms.early_interest is EarlyInterest.ON_REPAID:
        left.append("interest_accrued")
    return sum(amounts.get(name, 0) for name in left)


def reverse(
    transaction: Connection, held: Held, event_id: str, day: date, reference: str
) -> Enacted:
    """An event of the loan did not happen.

    Raises NotFound; FailedPrecondition ALREADY_REVERSED, NOT_REVERSIBLE.
    """
    loan_id = held.contract.loan_id
    kind = transaction.execute(
        select(loan_event.c.kind).where(
            loan_event.c.loan_id == loan_id, loan_event.c.event_id == event_id
        )
    ).scalar()
    if kind is None:
        raise NotFound("loan event", event_id)
    if kind in IRREVERSIBLE:
        raise FailedPrecondition(Reason.NOT_REVERSIBLE, f"{kind} is not taken back", event_id)
    if _is_repayment(transaction, loan_id, event_id):
        raise FailedPrecondition(
            Reason.NOT_REVERSIBLE, "a repayment is taken back by ReverseRepayment", event_id
        )
    if event_id in loans.reversed_events(transaction, loan_id):
        raise FailedPrecondition(Reason.ALREADY_REVERSED, "it was taken back before", event_id)
    event = Reversed(day, held.next_event_id, event_id)
    return enact(transaction, held, event, day, reference=reference)


def _is_repayment(transaction: Connection, loan_id: str, event_id: str) -> bool:
    query = select(repayment.c.repayment_id).where(
        repayment.c.loan_id == loan_id, repayment.c.event_id == event_id
    )
    return transaction.execute(query).first() is not None
