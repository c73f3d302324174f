"""What impaired loans earn in a book of policy STAGE3_NET: the effective rate on amortised cost.

A loan earns it from the month on at whose beginning it was provided for as stage 3 (IFRS 9 §5.4.1:
in the reporting periods after it became credit-impaired).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, and_, select

from tael_servicing import origination_fees
from tael_servicing.arithmetic.effective_interest import month_rate
from tael_servicing.arithmetic.events import ImpairedInterest
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.enacting import enact_at_close
from tael_servicing.loans import Held
from tael_servicing.origination_fees import Fee
from tael_servicing.tables import loan, loan_balance, loan_state, product

STAGE3_NET = "NON_ACCRUAL_POLICY_STAGE3_NET"


def earning(transaction: Connection, book_id: str) -> list[str]:
    """Impaired loans with an allowance in stage 3 whose terms let them earn, by id."""
    version = and_(
        product.c.code == loan.c.product_code, product.c.version == loan.c.product_version
    )
    query = (
        select(loan_state.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loan_state.c.loan_id)
        .join(loan, loan.c.loan_id == loan_state.c.loan_id)
        .join(product, version)
        .where(
            loan_state.c.book_id == book_id,
            loan_state.c.state == "NON_ACCRUAL",
            loan_balance.c.allowance_stage3 > 0,
            product.c.terms["nonAccrual"]["policy"].astext == STAGE3_NET,
        )
        .order_by(loan_state.c.loan_id)
    )
    return list(transaction.execute(query).scalars())


def accrue(
    transaction: Connection, day: date, loan_ids: Sequence[str], batch: Batch
) -> list[Posting]:
    """Books the month's interest of loans, dated the day that ends it."""
    fees = origination_fees.fees_of(transaction, batch.book_id, loan_ids)

    def earn(held: Held, event_id: str) -> ImpairedInterest:
        fee = fees.get(held.contract.loan_id, Fee())
        rate = month_rate(held.terms, held.loan, fee.charged)
        return ImpairedInterest(day, event_id, rate, fee.left)

    return enact_at_close(transaction, loan_ids, batch, earn, "effective interest")
