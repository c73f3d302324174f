"""What stands beside loans by ledger account: receipts, money in transit, partners, assets taken,
deferred fees, commitments.

Servicing keeps these balances beside the ledger's as it posts, and the end of the day compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_runtime import later
from tael_runtime.ids import new_id
from tael_servicing.tables import party_balance, party_movement


class Move(NamedTuple):
    """What an amount does to an owner's account."""

    code: str
    owner_type: str
    sign: int
    """1 where the account's balance, on its normal side, grows."""


DEFERRED_FEES = "1303.04"
RECEIPTS = "2241.04"
JOINT_FUNDS = "2241.05"
COMMISSIONS = "2241.06"
IN_TRANSIT = "1221.01"
SUBSIDIES = "1221.02"
ENTRUSTED = "2314"
AGENCY_ASSETS = "1321"
ENTRUSTED_MEMO = "7501"
ASSETS_TAKEN = "1441"
COMMITMENT_LOSS_1 = "2801.01"
COMMITMENT_LOSS_2 = "2801.02"
CODES = (
    DEFERRED_FEES,
    RECEIPTS,
    JOINT_FUNDS,
    COMMISSIONS,
    IN_TRANSIT,
    SUBSIDIES,
    ENTRUSTED,
    AGENCY_ASSETS,
    ENTRUSTED_MEMO,
    ASSETS_TAKEN,
    COMMITMENT_LOSS_1,
    COMMITMENT_LOSS_2,
)
UNTOLD = frozenset((DEFERRED_FEES,))
"""Accounts whose movements the loan's own postings tell."""

CHANNEL_PAYMENT = "CHANNEL_PAYMENT"
OURS_ALONE = frozenset((CHANNEL_PAYMENT,))
"""Owners whose balances the ledger has on one account: it is not told of them."""
COLLECTED = "funds_channel"
"""What a channel collected, whatever for, is in transit until it is handed over."""

MOVES: Mapping[tuple[str, str], Move] = {
    ("ORIGINATION_FEE_CHARGED", "fee"): Move(DEFERRED_FEES, "LOAN", -1),
    ("ORIGINATION_FEE_CHARGED", "fee_vat"): Move(DEFERRED_FEES, "LOAN", 1),
    ("ORIGINATION_FEE_AMORTISED", "amortisation"): Move(DEFERRED_FEES, "LOAN", 1),
    ("RECEIPT_PARKED", "funds_channel"): Move(RECEIPTS, "RECEIPT", 1),
    ("RECEIPT_PARKED", "funds_transfer"): Move(RECEIPTS, "RECEIPT", 1),
    ("RECEIPT_REFUNDED", "parked"): Move(RECEIPTS, "RECEIPT", -1),
    ("REPAYMENT_RECEIVED", "funds_parked"): Move(RECEIPTS, "RECEIPT", -1),
    ("REPAYMENT_RECEIVED", "funds_subsidy"): Move(SUBSIDIES, "SUBSIDISER", 1),
    ("SUBSIDY_RECEIVED", "subsidy"): Move(SUBSIDIES, "SUBSIDISER", -1),
    ("JOINT_FUNDS_RECEIVED", "partner_share"): Move(JOINT_FUNDS, "PARTNER", 1),
    ("JOINT_FUNDS_PAID", "partner_share"): Move(JOINT_FUNDS, "PARTNER", -1),
    ("REPAYMENT_RECEIVED", "partner_share"): Move(JOINT_FUNDS, "PARTNER", 1),
    ("JOINT_REPAYMENT_PASSED_ON", "partner_share"): Move(JOINT_FUNDS, "PARTNER", -1),
    ("COMMISSION_DUE", "commission"): Move(COMMISSIONS, "PARTNER", 1),
    ("COMMISSION_PAID", "commission"): Move(COMMISSIONS, "PARTNER", -1),
    ("ENTRUSTED_FUNDS_RECEIVED", "funds_transfer"): Move(ENTRUSTED, "ENTRUSTER", 1),
    ("ENTRUSTED_FUNDS_RECEIVED", "funds_deposit"): Move(ENTRUSTED, "ENTRUSTER", 1),
    ("ENTRUSTED_FUNDS_RETURNED", "funds_transfer"): Move(ENTRUSTED, "ENTRUSTER", -1),
    ("ENTRUSTED_FUNDS_RETURNED", "funds_deposit"): Move(ENTRUSTED, "ENTRUSTER", -1),
    ("ENTRUSTED_LOAN_DISBURSED", "principal"): Move(AGENCY_ASSETS, "LOAN", 1),
    ("ENTRUSTED_LOAN_DISBURSED", "principal_passed_on"): Move(ENTRUSTED, "ENTRUSTER", -1),
    ("ENTRUSTED_LOAN_DISBURSED", "memo"): Move(ENTRUSTED_MEMO, "LOAN", 1),
    ("ENTRUSTED_LOAN_REPAID", "principal"): Move(AGENCY_ASSETS, "LOAN", -1),
    ("ENTRUSTED_LOAN_REPAID", "principal_passed_on"): Move(ENTRUSTED, "ENTRUSTER", 1),
    ("ENTRUSTED_LOAN_REPAID", "interest"): Move(ENTRUSTED, "ENTRUSTER", 1),
    ("ENTRUSTED_LOAN_REPAID", "memo"): Move(ENTRUSTED_MEMO, "LOAN", -1),
    ("ENTRUSTED_LOAN_FEE_CHARGED", "fee"): Move(ENTRUSTED, "ENTRUSTER", -1),
    ("ASSET_TAKEN_FOR_DEBT", "fair_value"): Move(ASSETS_TAKEN, "ASSET", 1),
    ("CHANNEL_SETTLED", "handed_over"): Move(IN_TRANSIT, CHANNEL_PAYMENT, -1),
    ("COMMITMENT_LOSS_ADJUSTED", "stage1"): Move(COMMITMENT_LOSS_1, "LINE", 1),
    ("COMMITMENT_LOSS_ADJUSTED", "stage2"): Move(COMMITMENT_LOSS_2, "LINE", 1),
}
"""As the posting rules have it (docs/posting-rules.md): the end of the day finds where not."""
EVENTS = frozenset(event for event, _ in MOVES)


class Told(NamedTuple):
    """What a movement says beside its amount."""

    book_id: str
    day: date
    event: str
    loan_id: str
    reference: str


_grown = upsert(party_balance)
GROW = _grown.on_conflict_do_update(
    index_elements=["book_id", "code", "owner_id"],
    set_={
        "balance": party_balance.c.balance + _grown.excluded.balance,
        "grown": party_balance.c.grown + _grown.excluded.grown,
    },
)
TELL = insert(party_movement)


def move(
    transaction: Connection, told: Told, amounts: Mapping[str, int], owners: Mapping[str, str]
) -> None:
    """Moves the balances that an event's amounts move; owners by type."""
    changes: Counter[tuple[str, str]] = Counter()
    for name, amount in amounts.items():
        if found := MOVES.get((told.event, name)):
            changes[found.code, owners[found.owner_type]] += found.sign * amount
        if name == COLLECTED:
            changes[IN_TRANSIT, owners[CHANNEL_PAYMENT]] += amount
    for (code, owner_id), change in changes.items():
        key = {"book_id": told.book_id, "code": code, "owner_id": owner_id}
        later.write(transaction, GROW, {**key, "balance": change, "grown": max(change, 0)})
        if code not in UNTOLD:
            row = {
                **key,
                "movement_id": new_id("pm"),
                "event": told.event,
                "amount": change,
                "date": told.day,
                "loan_id": told.loan_id,
                "reference": told.reference,
            }
            later.write(transaction, TELL, row)


def balances(
    connection: Connection, book_id: str, owner_ids: Iterable[str]
) -> dict[tuple[str, str], int]:
    """Balances by code and owner, zero where nothing ever moved is left out."""
    rows = connection.execute(
        select(party_balance).where(
            party_balance.c.book_id == book_id,
            party_balance.c.owner_id == func.any(list(owner_ids)),
        )
    )
    return {(row.code, row.owner_id): row.balance for row in rows}


def totals(connection: Connection, book_id: str) -> dict[str, int]:
    """The book's balances by code, every code named."""
    rows = connection.execute(
        select(party_balance.c.code, func.sum(party_balance.c.balance))
        .where(party_balance.c.book_id == book_id, party_balance.c.balance != 0)
        .group_by(party_balance.c.code)
    )
    return {**dict.fromkeys(CODES, 0), **{code: int(total) for code, total in rows}}


MOVEMENTS = (
    select(party_movement)
    .where(
        party_movement.c.book_id == bindparam("book"),
        party_movement.c.owner_id == bindparam("owner"),
        party_movement.c.movement_id > bindparam("after"),
    )
    .order_by(party_movement.c.movement_id)
    .limit(bindparam("size"))
)


def movements(
    connection: Connection, book_id: str, owner_id: str, after: str = "", size: int = 1000
) -> Sequence[Any]:
    """A page of what moved an owner's balances, oldest first."""
    values = {"book": book_id, "owner": owner_id, "after": after, "size": size}
    return connection.execute(MOVEMENTS, values).all()
