"""What a payout is ordered as, and what it asks of the ledger on its way.

A bank lends into the borrower's account with it, another lender owes the payout until it is made; of an
entrusted payment (受托支付) that money is locked for the merchant before it leaves.
"""

from __future__ import annotations

from datetime import date

from tael.servicing.v1 import loan_pb2 as pb
from tael_runtime.errors import InvalidArgument
from tael_servicing import funds
from tael_servicing.arithmetic.disclosure import upfront
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.arithmetic.vat import Vat
from tael_servicing.loans import Contract
from tael_servicing.parties import CHANNEL_PAYMENT, COLLECTED
from tael_servicing.payouts import Payout


def order(
    request: pb.DisburseLoanRequest | pb.DisburseTrancheRequest,
    contract: Contract,
    lender_type: str,
    number: int,
    principal: int,
    day: date,
) -> Payout:
    """The payout that a request orders of a contract; `principal`: our part of it.

    Raises InvalidArgument for what this lender cannot do.
    """
    joint = contract.partner_principal if number == 1 else 0
    payee = request.payee
    if payee.merchant_id and joint:
        raise InvalidArgument(
            "payment_mode",
            "is ENTRUSTED; a joint loan is paid to the borrower's card: CASH is right",
        )
    if payee.banks_with_us and lender_type != funds.BANK:
        raise InvalidArgument(
            "payee.banks_with_us",
            f"is set; nobody has an account with a {lender_type}: leave it out",
        )
    return Payout(
        loan_id=contract.loan_id,
        number=number,
        principal=principal,
        amount=principal + joint,
        ordered_on=day,
        account_token=payee.account_token or contract.card_token,
        source=request.source,
        merchant_id=payee.merchant_id,
        banks_with_us=payee.banks_with_us,
        purpose_proof=payee.purpose_proof,
        fee_funds=funds.of_fee(request.fee_funding, lender_type),
    )


def lent(contract: Contract, payout: Payout) -> tuple[Posting, ...]:
    """The loan is booked. Of a joint loan our part is our loan, and the partner's passes through."""
    day, own = payout.ordered_on, payout.principal
    amounts = {"principal": own, "commitment": own}
    if payout.amount != own:
        ours = Posting("JOINT_LOAN_DISBURSED", day, True, {"own_share": own, "commitment": own})
        passed = Posting("JOINT_FUNDS_PAID", day, True, {"partner_share": payout.amount - own})
        return ours, passed._replace(owners=(("PARTNER", contract.partner_id),))
    booked = Posting("LOAN_DISBURSED", day, True, amounts)
    if not payout.merchant_id:
        return (booked,)
    return booked, Posting("ENTRUSTED_PAYMENT_LOCKED", day, True, {"principal": own})


def redated(postings: tuple[Posting, ...], day: date) -> tuple[Posting, ...]:
    """Moves what was booked before the payout was known to the value date from which it counts.

    What the line was promised less stays where it is.
    """
    moved = []
    for posting in postings:
        amounts = {name: each for name, each in posting.amounts.items() if name != "commitment"}
        undone = {name: -each for name, each in amounts.items()}
        moved += [
            posting._replace(amounts=undone),
            posting._replace(amounts=amounts, value_date=day),
        ]
    return tuple(moved)


def paid(payout: Payout, day: date) -> tuple[Posting, ...]:
    """The money is out. A joint loan's left when it was booked."""
    if payout.amount != payout.principal:
        return ()
    if not payout.merchant_id:
        return (Posting("DISBURSEMENT_PAID", day, True, {"principal": payout.principal}),)
    funds = "funds_merchant" if payout.banks_with_us else "funds_transfer"
    out = Posting("ENTRUSTED_PAYMENT_PAID", day, True, {funds: payout.principal})
    return (out._replace(owners=(("MERCHANT", payout.merchant_id),)),)


def fee_charged(
    terms: Terms, vat: Vat | None, payout: Payout, day: date, cause: str
) -> tuple[Posting, ...]:
    """The fees due at disbursement that are the lender's own: deferred, as a part of the effective
    interest (CAS 22), with their VAT due at once.

    What is paid to somebody else is no income of ours and passes us by.
    """
    fees = upfront(terms, payout.principal)
    fee = sum(amount for each, amount in fees.items() if not each.charged_by)
    if not fee:
        return ()
    amounts = {"fee": fee, "fee_vat": vat.of(fee) if vat else 0}
    if payout.fee_funds:
        amounts[payout.fee_funds] = fee
    moved = {name: amount for name, amount in amounts.items() if amount}
    charged = Posting("ORIGINATION_FEE_CHARGED", day, True, moved, cause)
    if payout.fee_funds == COLLECTED:
        charged = charged._replace(owners=((CHANNEL_PAYMENT, payout.fee_payment_id),))
    return (charged,)
