"""Partners: who they are, what stands with them, and the money that comes from and goes to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import partner_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_runtime.errors import AlreadyExists, FailedPrecondition, NotFound
from tael_servicing import bookings, parties
from tael_servicing.bookings import Batch
from tael_servicing.reasons import Reason
from tael_servicing.tables import entrusted_loan, party_balance
from tael_servicing.tables import partner as partners

LEAST_SHARE = Decimal("0.3")
"""Of a joint loan a partner funds no less (银保监办发〔2021〕24号)."""
MOST_SHARE = Decimal("0.99")
"""More would leave us no loan to speak of."""


@dataclass(frozen=True)
class Partner:
    """What a partner was registered with."""

    partner_id: str
    book_id: str
    currency_code: str
    name: str
    roles: tuple[str, ...]
    """PartnerRole without their prefix."""
    least_share: Decimal

    def check_role(self, role: str) -> None:
        """Raises FailedPrecondition PARTNER_ROLE in any other role."""
        if role not in self.roles:
            raise FailedPrecondition(
                Reason.PARTNER_ROLE,
                f"the partner is {', '.join(self.roles)}, not {role}",
                self.partner_id,
            )


@dataclass(frozen=True)
class Kind:
    """How money with a partner is booked."""

    role: str
    owner_type: str
    amount_type: str
    code: str
    """The account it moves."""
    limited: bool
    """At most what stands there."""


KINDS = {
    "JOINT_FUNDS_RECEIVED": Kind(
        "JOINT_LENDER", "PARTNER", "partner_share", parties.JOINT_FUNDS, limited=False
    ),
    "JOINT_REPAYMENT_PASSED_ON": Kind(
        "JOINT_LENDER", "PARTNER", "partner_share", parties.JOINT_FUNDS, limited=True
    ),
    "SUBSIDY_RECEIVED": Kind(
        "SUBSIDISER", "SUBSIDISER", "subsidy", parties.SUBSIDIES, limited=True
    ),
    "COMMISSION_DUE": Kind(
        "COLLECTION_AGENCY", "PARTNER", "commission", parties.COMMISSIONS, limited=False
    ),
    "COMMISSION_PAID": Kind(
        "COLLECTION_AGENCY", "PARTNER", "commission", parties.COMMISSIONS, limited=True
    ),
    "ENTRUSTED_FUNDS_RECEIVED": Kind(
        "ENTRUSTER", "ENTRUSTER", "funds_transfer", parties.ENTRUSTED, limited=False
    ),
    "ENTRUSTED_FUNDS_RETURNED": Kind(
        "ENTRUSTER", "ENTRUSTER", "funds_transfer", parties.ENTRUSTED, limited=True
    ),
}
"""By business event: PartnerMoney without its prefix."""


def register(transaction: Connection, partner: Partner) -> Partner:
    """Makes it known. Raises AlreadyExists PARTNER_EXISTS."""
    row = {**vars(partner), "roles": list(partner.roles)}
    made = transaction.execute(insert(partners).values(row).on_conflict_do_nothing())
    if not made.rowcount:
        raise AlreadyExists(
            Reason.PARTNER_EXISTS, f"partner {partner.partner_id!r} is registered already"
        )
    return partner


def get(connection: Connection, partner_id: str) -> Partner:
    """One partner. Raises NotFound."""
    return _one(connection, partner_id, locked=False)


def lock(transaction: Connection, partner_id: str, role: str) -> Partner:
    """A partner whose money nobody else moves by hand before this transaction ends.

    Raises NotFound; FailedPrecondition PARTNER_ROLE.
    """
    found = _one(transaction, partner_id, locked=True)
    found.check_role(role)
    return found


def _one(connection: Connection, partner_id: str, *, locked: bool) -> Partner:
    query = select(partners).where(partners.c.partner_id == partner_id)
    row = connection.execute(query.with_for_update() if locked else query).one_or_none()
    if row is None:
        raise NotFound("partner", partner_id)
    return Partner(**{**row._asdict(), "roles": tuple(row.roles)})


def page(connection: Connection, book_id: str, after: str, size: int) -> list[Partner]:
    """A page of a book's partners, by id."""
    rows = connection.execute(
        select(partners)
        .where(partners.c.book_id == book_id, partners.c.partner_id > after)
        .order_by(partners.c.partner_id)
        .limit(size)
    )
    return [Partner(**{**row._asdict(), "roles": tuple(row.roles)}) for row in rows]


def balance(connection: Connection, partner: Partner, code: str) -> int:
    """What stands on one of its accounts, minor units."""
    found = parties.balances(connection, partner.book_id, [partner.partner_id])
    return found.get((code, partner.partner_id), 0)


def check_covered(connection: Connection, partner: Partner, code: str, amount: int) -> None:
    """Raises FailedPrecondition PARTNER_BALANCE where less than the amount stands free there."""
    free = balance(connection, partner, code)
    if code == parties.ENTRUSTED:
        free -= lent(connection, [partner.partner_id]).get(partner.partner_id, 0)
    if amount > free:
        raise FailedPrecondition(
            Reason.PARTNER_BALANCE, f"{free} stands with it, not {amount}", partner.partner_id
        )


def record(
    transaction: Connection,
    partner: Partner,
    event: str,
    amounts: dict[str, int],
    batch: Batch,
    reference: str,
) -> None:
    """Books one of KINDS; the partner is locked. Raises FailedPrecondition PARTNER_BALANCE."""
    kind = KINDS[event]
    if kind.limited:
        main = sum(amount for name, amount in amounts.items() if not name.endswith("_vat"))
        check_covered(transaction, partner, kind.code, main)
    owners = {kind.owner_type: partner.partner_id}
    bookings.post_apart(transaction, batch, event, amounts, owners, reference)


def lent(connection: Connection, partner_ids: Sequence[str]) -> dict[str, int]:
    """Of each party's entrusted funds, what is lent on as agency assets."""
    rows = connection.execute(
        select(entrusted_loan.c.partner_id, func.sum(party_balance.c.balance))
        .join(
            party_balance,
            (party_balance.c.book_id == entrusted_loan.c.book_id)
            & (party_balance.c.owner_id == entrusted_loan.c.loan_id),
        )
        .where(
            party_balance.c.code == parties.AGENCY_ASSETS,
            entrusted_loan.c.partner_id.in_(partner_ids),
        )
        .group_by(entrusted_loan.c.partner_id)
    )
    return {partner_id: int(total) for partner_id, total in rows}


def messages(connection: Connection, found: Sequence[Partner]) -> list[pb.Partner]:
    """In the contract's words; all of one book."""
    if not found:
        return []
    ids = [each.partner_id for each in found]
    held, away = parties.balances(connection, found[0].book_id, ids), lent(connection, ids)
    return [_message(each, held, away.get(each.partner_id, 0)) for each in found]


def _message(partner: Partner, held: dict[tuple[str, str], int], away: int) -> pb.Partner:
    def stands(code: str) -> int:
        return held.get((code, partner.partner_id), 0)

    currency = partner.currency_code
    return pb.Partner(
        partner_id=partner.partner_id,
        book_id=partner.book_id,
        name=partner.name,
        roles=[pb.PartnerRole.Value(f"PARTNER_ROLE_{role}") for role in partner.roles],
        least_share=from_decimal(partner.least_share),
        joint_funds=money(stands(parties.JOINT_FUNDS), currency),
        commission=money(stands(parties.COMMISSIONS), currency),
        subsidy=money(stands(parties.SUBSIDIES), currency),
        entrusted=money(stands(parties.ENTRUSTED), currency),
        entrusted_lent=money(away, currency),
    )


def movements(
    connection: Connection, partner: Partner, after: str, size: int
) -> list[tuple[str, pb.PartnerMovement]]:
    """A page of what moved its balances, oldest first, with the key of each."""
    rows = parties.movements(connection, partner.book_id, partner.partner_id, after, size)
    return [
        (
            row.movement_id,
            pb.PartnerMovement(
                account_code=row.code,
                minor_units=row.amount,
                event=row.event,
                loan_id=row.loan_id,
                date=from_date(row.date),
                reference=row.reference,
            ),
        )
        for row in rows
    ]
