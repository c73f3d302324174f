"""Entrusted loans (委托贷款): others' funds, lent on at their risk; what comes back is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tael.servicing.v1 import entrusted_loan_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.ids import new_id
from tael_servicing import bookings, parties, partners
from tael_servicing.bookings import Batch
from tael_servicing.partners import Partner
from tael_servicing.reasons import Reason
from tael_servicing.tables import entrusted_loan as loans


@dataclass(frozen=True)
class EntrustedLoan:
    """An entrusted loan, minor units."""

    loan_id: str
    book_id: str
    partner_id: str
    """The entrusting party."""
    customer_id: str
    currency_code: str
    principal: int
    repaid: int
    interest_received: int
    fees: int
    annual_rate: Decimal
    start_date: date
    maturity_date: date
    view: str
    """AGENCY_ASSET or MEMO."""

    @property
    def outstanding(self) -> int:
        """Principal not yet repaid."""
        return self.principal - self.repaid

    @property
    def principal_type(self) -> str:
        """The amount type of its principal, by accounting policy."""
        return "principal" if self.view == "AGENCY_ASSET" else "principal_passed_on"

    def message(self) -> pb.EntrustedLoan:
        """In the contract's words."""
        currency = self.currency_code
        return pb.EntrustedLoan(
            loan_id=self.loan_id,
            book_id=self.book_id,
            partner_id=self.partner_id,
            customer_id=self.customer_id,
            principal=money(self.principal, currency),
            outstanding=money(self.outstanding, currency),
            interest_received=money(self.interest_received, currency),
            fees=money(self.fees, currency),
            annual_rate=from_decimal(self.annual_rate),
            start_date=from_date(self.start_date),
            maturity_date=from_date(self.maturity_date),
            view=pb.EntrustedView.Value(f"ENTRUSTED_VIEW_{self.view}"),
        )


def disburse(
    transaction: Connection, partner: Partner, loan: EntrustedLoan, reference: str
) -> EntrustedLoan:
    """Lends a locked party's funds on. Raises FailedPrecondition PARTNER_BALANCE."""
    partners.check_covered(transaction, partner, parties.ENTRUSTED, loan.principal)
    transaction.execute(insert(loans).values(vars(loan)))
    amounts = {loan.principal_type: loan.principal, "memo": loan.principal}
    _post(transaction, loan, loan.start_date, "ENTRUSTED_LOAN_DISBURSED", amounts, reference)
    return loan


def repay(
    transaction: Connection,
    loan: EntrustedLoan,
    principal: int,
    interest: int,
    day: date,
    reference: str,
) -> EntrustedLoan:
    """What came back of a locked loan. Raises FailedPrecondition ENTRUSTED_EXCEEDED."""
    if principal > loan.outstanding:
        raise FailedPrecondition(
            Reason.ENTRUSTED_EXCEEDED, f"{loan.outstanding} is outstanding", loan.loan_id
        )
    amounts = {loan.principal_type: principal, "interest": interest, "memo": principal}
    _post(transaction, loan, day, "ENTRUSTED_LOAN_REPAID", amounts, reference)
    received = loan.interest_received + interest
    return _write(
        transaction, replace(loan, repaid=loan.repaid + principal, interest_received=received)
    )


def charge_fee(
    transaction: Connection,
    partner: Partner,
    loan: EntrustedLoan,
    amounts: dict[str, int],
    day: date,
    reference: str,
) -> EntrustedLoan:
    """Our fee, out of the locked party's funds. Raises FailedPrecondition PARTNER_BALANCE."""
    fee = amounts["fee"]
    partners.check_covered(transaction, partner, parties.ENTRUSTED, fee)
    _post(transaction, loan, day, "ENTRUSTED_LOAN_FEE_CHARGED", amounts, reference)
    return _write(transaction, replace(loan, fees=loan.fees + fee))


def _post(
    transaction: Connection,
    loan: EntrustedLoan,
    day: date,
    event: str,
    amounts: dict[str, int],
    reference: str,
) -> None:
    moved = {name: amount for name, amount in amounts.items() if amount}
    batch = Batch(new_id("entrusted"), loan.book_id, loan.partner_id, day)
    owners = {"ENTRUSTER": loan.partner_id, "LOAN": loan.loan_id}
    bookings.post_apart(transaction, batch, event, moved, owners, reference)


def _write(transaction: Connection, loan: EntrustedLoan) -> EntrustedLoan:
    values = {
        "repaid": loan.repaid,
        "interest_received": loan.interest_received,
        "fees": loan.fees,
    }
    transaction.execute(update(loans).where(loans.c.loan_id == loan.loan_id).values(values))
    return loan


def get(connection: Connection, loan_id: str) -> EntrustedLoan:
    """One loan. Raises NotFound."""
    query = select(loans).where(loans.c.loan_id == loan_id)
    return _one(connection.execute(query).all(), loan_id)


def lock(transaction: Connection, loan_id: str) -> EntrustedLoan:
    """One loan, which nobody else changes before this transaction ends. Raises NotFound."""
    query = select(loans).where(loans.c.loan_id == loan_id).with_for_update()
    return _one(transaction.execute(query).all(), loan_id)


def _one(rows: Sequence[Any], loan_id: str) -> EntrustedLoan:
    if not rows:
        raise NotFound("entrusted loan", loan_id)
    return EntrustedLoan(**rows[0]._asdict())


def page(connection: Connection, partner_id: str, after: str, size: int) -> list[EntrustedLoan]:
    """A page of a party's loans, oldest first."""
    rows = connection.execute(
        select(loans)
        .where(loans.c.partner_id == partner_id, loans.c.loan_id > after)
        .order_by(loans.c.loan_id)
        .limit(size)
    )
    return [EntrustedLoan(**row._asdict()) for row in rows]
