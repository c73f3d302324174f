"""What a loan's postings mean to who owes: principal, interest, charges and fees, paid or grown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tael.servicing.v1 import loan_pb2 as pb

ON_BALANCE = ("principal_normal", "principal_overdue", "principal_impaired")
PRINCIPAL = (*ON_BALANCE, "claimed_principal")
"""What is owed of a loan that was bought is more than what is on the books."""
INTEREST = ("interest_due", "interest_accrued", "offbalance_interest")
CHARGES = ("penalty", "compound", "offbalance_penalty", "offbalance_compound")
FEES = ("fee", "prepayment_fee", "legal_costs")
LENT = {"LOAN_DISBURSED": "principal", "JOINT_LOAN_DISBURSED": "own_share"}
"""Events by which a loan is lent, and the amount that is ours."""
PAYS = frozenset(
    (
        "REPAYMENT_RECEIVED",
        "OVERPAYMENT_APPLIED",
        "GOODS_REFUNDED",
        "GUARANTOR_PAID",
        "ASSET_TAKEN_FOR_DEBT",
    )
)
"""Events by which what is owed is paid, in kind too."""
TAKES_PRINCIPAL = PAYS | {"LOAN_SOLD", "PRINCIPAL_WAIVED"}
"""Events by which principal leaves the books, by the account it stood on."""
FORGIVES = frozenset(("INTEREST_WAIVED", "PRINCIPAL_WAIVED"))
TURNS_DUE = frozenset(("INTEREST_ACCRUED", "INTEREST_TRUED_UP"))


def principal_change(event: str, amounts: Mapping[str, int]) -> int:
    """By how much principal on the books becomes more, minor units."""
    if event in LENT:
        return amounts.get(LENT[event], 0)
    if event in ("LOAN_WRITTEN_OFF", "DISBURSEMENT_CANCELLED"):
        return -amounts.get("principal", 0)
    if event in TAKES_PRINCIPAL:
        return -_sum(amounts, ON_BALANCE)
    return amounts.get("price", 0) if event == "LOAN_PURCHASED" else 0


def totals(moved: Iterable[tuple[str, Mapping[str, int]]]) -> pb.StatementTotals:
    """What postings, as events with their amounts, come to."""
    sums: Counter[str] = Counter()
    for event, amounts in moved:
        sums.update(_parts(event, amounts))
    return pb.StatementTotals(**sums)


def _parts(event: str, amounts: Mapping[str, int]) -> dict[str, int]:
    """One posting by what it adds to the totals."""
    get = amounts.get
    if event in TURNS_DUE:
        grown = get("penalty", 0) + get("compound", 0)
        return {"interest_accrued": get("interest", 0), "charges_accrued": grown}
    if event in PAYS:
        return {
            "principal_paid": _sum(amounts, PRINCIPAL),
            "interest_paid": _sum(amounts, INTEREST),
            "charges_paid": _sum(amounts, CHARGES),
            "fees_paid": _sum(amounts, FEES),
            "fees_charged": get("prepayment_fee", 0),
        }
    if event == "RECOVERY_RECEIVED":
        return {
            "principal_paid": get("principal", 0),
            "interest_paid": get("interest", 0),
            "fees_paid": get("legal_costs", 0),
        }
    if event in FORGIVES:
        given = (*PRINCIPAL, *INTEREST, *CHARGES, "fee", "written_off_interest")
        return {"waived": _sum(amounts, (*given, "written_off_principal"))}
    if event in LENT:
        return {"disbursed": get(LENT[event], 0)}
    return {"fees_charged": get("fee", 0)} if event == "FEE_DUE" else {}


def _sum(amounts: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(amounts.get(name, 0) for name in names)
