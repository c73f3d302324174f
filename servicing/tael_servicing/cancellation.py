"""A loan that ends as if never lent: its payout came back (退汇), or what it paid for never came."""

from __future__ import annotations

from collections import Counter
from datetime import date

from sqlalchemy import Connection, select

from tael_servicing import bookings, funds, loans, payouts, products
from tael_servicing.arithmetic.events import Returned
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.enacting import Enacted, enact
from tael_servicing.loans import Contract, Held
from tael_servicing.tables import loan_posting

FEE_AMOUNTS = {
    "ORIGINATION_FEE_AMORTISED": ("amortisation",),
    "ORIGINATION_FEE_CHARGED": ("fee", "fee_vat"),
}
"""What of the fee charged at disbursement is taken back; it goes to the customer's account with a bank,
and out of another lender's settlement account."""


def cancel(transaction: Connection, held: Held, reason: str, day: date) -> Enacted:
    """All that was paid out came back.

    Raises FailedPrecondition LOAN_NOT_OPEN, PAYOUT_UNDER_WAY, LOAN_CLOSED, LOAN_WRITTEN_OFF,
    LOAN_NOT_UNTOUCHED.
    """
    contract = held.contract
    loans.check_paid_out(held)
    payouts.check_none_under_way(transaction, contract.loan_id)
    event = Returned(day, held.next_event_id, held.loan.principal)
    enacted = enact(transaction, held, event, day, reference=reason)
    beside = [
        *_fees_taken_back(transaction, contract, day),
        *_merchants_money(transaction, contract, day),
        *_partners_money(contract, day),
    ]
    batch = Batch(f"return:{contract.loan_id}", contract.book_id, contract.loan_id, day)
    bookings.post(transaction, batch, enacted.after, *beside)
    return enacted


def _fees_taken_back(transaction: Connection, contract: Contract, day: date) -> list[Posting]:
    """In red ink what was charged at disbursement, and what of it became income since."""
    rows = transaction.execute(
        select(loan_posting.c.event, loan_posting.c.amounts).where(
            loan_posting.c.loan_id == contract.loan_id, loan_posting.c.event.in_(FEE_AMOUNTS)
        )
    ).all()
    version = (contract.product_code, contract.product_version)
    keeps_accounts = products.lender_of(transaction, *version) == funds.BANK
    made = []
    for event, names in FEE_AMOUNTS.items():
        undone: Counter[str] = Counter()
        for row in rows:
            if row.event == event:
                undone.update({name: -row.amounts.get(name, 0) for name in names})
        if undone["fee"] and not keeps_accounts:
            undone["funds_transfer"] = undone["fee"]
        moved = {name: amount for name, amount in undone.items() if amount}
        if moved:
            made.append(Posting(event, day, True, moved))
    return made


def _merchants_money(transaction: Connection, contract: Contract, day: date) -> list[Posting]:
    """What comes back from a merchant's account with us comes from there, not from outside."""
    return [
        Posting(
            "ENTRUSTED_PAYMENT_PAID",
            day,
            True,
            {"funds_merchant": -payout.principal, "funds_transfer": payout.principal},
            owners=(("MERCHANT", payout.merchant_id),),
        )
        for payout in payouts.made(transaction, contract.loan_id)
        if payout.banks_with_us
    ]


def _partners_money(contract: Contract, day: date) -> list[Posting]:
    """Of a joint loan the partner's part stands with it again."""
    if not contract.partner_id:
        return []
    undone = Posting("JOINT_FUNDS_PAID", day, True, {"partner_share": -contract.partner_principal})
    return [undone._replace(owners=(("PARTNER", contract.partner_id),))]
