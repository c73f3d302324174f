"""Where money comes from and where it goes to: a bank keeps accounts of its borrowers (2011), no
other lender does.
"""

from __future__ import annotations

from typing import TypeVar

from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_runtime.errors import InvalidArgument

ChoiceT = TypeVar("ChoiceT", bound=int)

BANK = "BANK"
FEE_FUNDS = {
    loan_pb2.FEE_FUNDING_OWN_ACCOUNT: "",
    loan_pb2.FEE_FUNDING_CHANNEL: "funds_channel",
    loan_pb2.FEE_FUNDING_TRANSFER: "funds_transfer",
}
REFUND_TO = {
    repayment_pb2.REFUND_DESTINATION_OWN_ACCOUNT: "funds_deposit",
    repayment_pb2.REFUND_DESTINATION_TRANSFER: "funds_transfer",
}


def of_fee(funding: loan_pb2.FeeFunding.ValueType, lender_type: str) -> str:
    """The amount type that brings a fee charged at the start; "" from the borrower's account."""
    own, transfer = loan_pb2.FEE_FUNDING_OWN_ACCOUNT, loan_pb2.FEE_FUNDING_TRANSFER
    right = "CHANNEL or TRANSFER"
    return FEE_FUNDS[_chosen("fee_funding", funding, lender_type, own, transfer, right)]


def of_repayment(funding: repayment_pb2.Funding.ValueType, lender_type: str) -> str:
    """The funding of a repayment, without the prefix."""
    own, transfer = repayment_pb2.FUNDING_OWN_ACCOUNT, repayment_pb2.FUNDING_TRANSFER
    right = "CHANNEL or TRANSFER"
    chosen = _chosen("funding", funding, lender_type, own, transfer, right)
    return repayment_pb2.Funding.Name(chosen).removeprefix("FUNDING_")


def of_refund(destination: repayment_pb2.RefundDestination.ValueType, lender_type: str) -> str:
    """The amount type that takes what goes back to a customer."""
    own = repayment_pb2.REFUND_DESTINATION_OWN_ACCOUNT
    transfer = repayment_pb2.REFUND_DESTINATION_TRANSFER
    return REFUND_TO[_chosen("destination", destination, lender_type, own, transfer, "TRANSFER")]


def _chosen(
    field: str, given: ChoiceT, lender_type: str, own: ChoiceT, transfer: ChoiceT, right: str
) -> ChoiceT:
    """What is given; else the account of a bank's borrower, of another lender's a transfer.

    Raises InvalidArgument for an account with a lender that keeps none.
    """
    if lender_type == BANK:
        return given or own
    if given == own:
        raise InvalidArgument(
            field, f"is OWN_ACCOUNT; nobody has an account with a {lender_type}: {right} is right"
        )
    return given or transfer
