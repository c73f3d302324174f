"""Joint loans (联合贷): the partner funds its part, and our books carry ours alone.

What a customer pays is split by the two principals: our part rounded to the minor unit, the rest the
partner's. The law asks that the partner fund at least three tenths of each loan
(银保监办发〔2021〕24号).
"""

from __future__ import annotations

from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_amount
from tael_servicing import parties, partners
from tael_servicing.arithmetic.rounding import Rounding, ratio_of, rounded, share
from tael_servicing.books import BookDay
from tael_servicing.loans import Contract
from tael_servicing.reasons import Reason


def own_part(contract: Contract, amount: int) -> int:
    """Our part of what a customer pays, minor units: of something, something, so that all that comes
    pays the loan.
    """
    if not contract.partner_id:
        return amount
    part = rounded(amount * contract.principal, contract.paid_out, Rounding.HALF_UP)
    return part or min(amount, 1)


def whole(contract: Contract, own: int) -> int:
    """What a customer pays so that our part of it is `own`, minor units."""
    if not contract.partner_id:
        return own
    return rounded(own * contract.paid_out, contract.principal, Rounding.HALF_UP)


def partner_part(
    transaction: Connection, request: pb.DisburseLoanRequest, principal: int, book: BookDay
) -> int:
    """The partner's part of a loan to be paid out; 0 where it is ours alone.

    Raises InvalidArgument for a part that is too small or leaves us none; FailedPrecondition
    PARTNER_ROLE, PARTNER_BALANCE where its funds are not here.
    """
    if not request.HasField("joint"):
        return 0
    partner = partners.lock(transaction, request.joint.partner_id, "JOINT_LENDER")
    if partner.book_id != book.book_id:
        raise InvalidArgument("joint.partner_id", f"is a partner of book {partner.book_id}")
    part = read_amount(
        "joint.partner_principal", request.joint.partner_principal, book.currency_code
    )
    least = share(principal, ratio_of(partner.least_share), Rounding.UP)
    if not least <= part < principal:
        raise InvalidArgument(
            "joint.partner_principal.minor_units",
            f"is {part}; from {least}, its least share, to {principal - 1}, which leaves us one, is"
            " right",
        )
    here = partners.balance(transaction, partner, parties.JOINT_FUNDS)
    if part > here:
        raise FailedPrecondition(
            Reason.PARTNER_BALANCE, f"{here} of its funds is here, not {part}", partner.partner_id
        )
    return part
