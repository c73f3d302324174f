"""Loans bought when they were credit-impaired already (债权受让): on the books at their price.

The contract's claim is owed whole; what the price leaves of its principal is memo, as its interest is.
Money pays for the price first, and what comes in beyond it is interest income. Such a loan stays
impaired for life (CAS 22 §57), and its allowance is what is lost beyond what the price allowed for.
"""

from __future__ import annotations

from tael_servicing.arithmetic.changing import vat_of
from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.events import Purchased
from tael_servicing.arithmetic.loan import Loan, Owed, RateStep, charge_rate
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.schedules import Instalment
from tael_servicing.arithmetic.terms import Part, Terms


def begin(terms: Terms, event: Purchased) -> Loan:
    """The loan on the day it is bought: all of it is due, as one instalment, since its oldest due
    date.
    """
    period = Period(1, event.due_date, event.due_date, whole=False)
    row = Owed.of(Instalment(period, event.principal, event.interest, 0))
    row.due[Part.PENALTY], row.due[Part.COMPOUND] = event.penalty, event.compound
    row.overdue = True
    loan = Loan(
        business_date=event.value_date,
        principal=event.principal,
        rows=[row],
        share=0,
        rates=[RateStep(event.value_date, terms.annual_rate)],
        charge=charge_rate(terms, terms.annual_rate),
        due_count=1,
        nonaccrual_since=event.value_date,
        cost=event.price,
        vat=vat_of(terms),
    )
    row.penalty_exact = event.penalty * loan.charge[1]
    row.compound_exact = event.compound * loan.charge[1]
    return loan


def bought(event: Purchased) -> Posting:
    """What the purchase posts: the price, and as memo what is claimed beyond it (LOAN_PURCHASED)."""
    amounts = {
        "price": event.price,
        "claimed_principal": event.principal - event.price,
        "offbalance_interest": event.interest,
        "offbalance_penalty": event.penalty,
        "offbalance_compound": event.compound,
    }
    moved = {name: amount for name, amount in amounts.items() if amount}
    return Posting(
        "LOAN_PURCHASED", event.value_date, accruing=False, amounts=moved, cause=event.event_id
    )
