"""Changes of running loans: what of them a product and the law allow, and how they are taken back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from tael_client.values import to_decimal
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_servicing import loans
from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.events import Reversed
from tael_servicing.arithmetic.terms import Unit
from tael_servicing.enacting import Enacted, enact
from tael_servicing.loans import Held
from tael_servicing.product_checks import rate_problem
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_event, repayment

SHORT_MONTHS, MIDDLE_MONTHS, LONG_EXTENSION_MONTHS = 12, 60, 36
"""Up to a year a loan is short, up to five years of middle length (贷款通则 §8, §12)."""
IRREVERSIBLE = frozenset(("Disbursed", "Reversed"))
HIGHEST_RATE = Decimal(1)


def reference_of(request: Any) -> str:
    """On whose word a request rests."""
    for name in ("approval", "reference", "reason"):
        if name in request.DESCRIPTOR.fields_by_name:
            return str(getattr(request, name))
    return ""


def read_rate(held: Held, request: Any) -> Decimal:
    """The annual rate a request asks for. Raises InvalidArgument where it is none."""
    del held
    if problem := rate_problem(request.annual_rate, Decimal(0), HIGHEST_RATE):
        raise InvalidArgument("annual_rate", problem)
    return to_decimal(request.annual_rate)


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


def check_fee(held: Held, name: str, amount: int) -> None:
    """Raises FailedPrecondition FEE_NOT_DISCLOSED for a fee that is not the product's."""
    if name not in {fee.name for fee in held.terms.fees}:
        disclosed = ", ".join(sorted(fee.name for fee in held.terms.fees)) or "none"
        raise FailedPrecondition(
            Reason.FEE_NOT_DISCLOSED, f"the loan's cost table has these fees: {disclosed}"
        )
    del amount


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
    event = Reversed(day, loans.next_event_id(transaction, loan_id), event_id)
    return enact(transaction, held, event, day, reference=reference)


def _is_repayment(transaction: Connection, loan_id: str, event_id: str) -> bool:
    query = select(repayment.c.repayment_id).where(
        repayment.c.loan_id == loan_id, repayment.c.event_id == event_id
    )
    return transaction.execute(query).first() is not None
