"""What a running loan has cost until now, and whether it may cost more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, select

from tael_servicing import caps
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Prepaid
from tael_servicing.arithmetic.terms import EarlyInterest, Keep, Terms
from tael_servicing.loans import Held
from tael_servicing.products import Product
from tael_servicing.tables import loan_posting


def check(
    transaction: Connection,
    held: Held,
    product: Product,
    past: Sequence[LoanEvent],
    fee: int,
    agreed: date,
) -> None:
    """Whether the loan, which `past` led to, keeps its caps with a fee of so many minor units more:
    those of the day on which that was `agreed`. Raises FailedPrecondition COST_OVER_CAP.
    """
    lent = [(each.value_date, each.principal) for each in past if isinstance(each, Disbursed)]
    caps.check_fee(
        transaction,
        product.lender_type,
        product.terms,
        held.terms,
        held.loan,
        lent,
        _paid_ahead(transaction, held, past),
        fee,
        agreed,
    )


def _paid_ahead(
    transaction: Connection, held: Held, past: Sequence[LoanEvent]
) -> list[tuple[date, int]]:
    """What prepayments paid that no row of the schedule shows, by value date."""
    made = {each.event_id: each for each in past if isinstance(each, Prepaid)}
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
