"""Money recovered after write-off: kept first, booked by servicing once, shared with the agency."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection, RowMapping, insert, select, update

from tael.servicing.v1 import loan_pb2, loan_pb2_grpc
from tael_client.values import money, yuan
from tael_collections import cases, days, placements, promise_book
from tael_collections.arrears import standing_of
from tael_collections.cases import DebtCase
from tael_collections.parameters import house_parameters
from tael_collections.reasons import Reason
from tael_collections.refresh import absorb
from tael_collections.tables import recovery
from tael_collections.upstream import SECONDS, refusal, unless_silent
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition
from tael_runtime.ids import new_id


def get(transaction: Connection, recovery_id: str) -> RowMapping:
    """A recovery that exists."""
    query = select(recovery).where(recovery.c.recovery_id == recovery_id)
    return transaction.execute(query).mappings().one()


def take(transaction: Connection, case: DebtCase, loan_id: str, amount: int) -> str:
    """Keeps money that came on a written-off loan of a locked open case; its recovery_id.

    The commission is the rate agreed with the agency that has the case, on the net cash.
    """
    held = {loan.loan_id: loan for loan in cases.loans(transaction, case.case_id)}
    if loan_id not in held:
        raise FailedPrecondition(
            Reason.LOAN_NOT_IN_CASE, f"case {case.case_id} has {sorted(held)}", loan_id
        )
    if not held[loan_id].written_off:
        raise FailedPrecondition(
            Reason.NOT_WRITTEN_OFF, "the loan is not written off; repay it in servicing", loan_id
        )
    placed = placements.current(transaction, case.case_id)
    rate = placed.commission_basis_points if placed else 0
    made = new_id("rv")
    transaction.execute(
        insert(recovery).values(
            recovery_id=made,
            case_id=case.case_id,
            loan_id=loan_id,
            amount=amount,
            currency=case.currency,
            agency_id=placed.agency_id if placed else "",
            commission=placements.commission_of(amount, rate),
        )
    )
    return made


class Booking:
    """Has servicing book what came in."""

    def __init__(self, database: Database, servicing: loan_pb2_grpc.LoanServiceStub) -> None:
        self._db = database
        self._servicing = servicing

    def carry_out(self, recovery_id: str) -> None:
        """Books a pending recovery; nothing where it is settled. RpcError: ask again later."""
        with self._db.read() as snapshot:
            pending = get(snapshot, recovery_id)
        if pending["state"] != "PENDING":
            return
        request = loan_pb2.RecordRecoveryRequest(
            request_id=f"recovery:{recovery_id}",
            loan_id=pending["loan_id"],
            amount=money(pending["amount"], pending["currency"]),
            source=pending["agency_id"] or "debtor",
        )
        try:
            answer = self._servicing.RecordRecovery(request, timeout=SECONDS)
        except grpc.RpcError as error:
            words = refusal(error)
            if words is None:
                raise
            with self._db.begin() as transaction:
                _set(transaction, recovery_id, state="REFUSED", refusal=words)
        else:
            self._settle(recovery_id, answer)

    def resume(self) -> None:
        """Takes up whatever came in and is not booked yet; one that waits holds up no other."""
        with self._db.read() as snapshot:
            waiting = snapshot.execute(
                select(recovery.c.recovery_id)
                .where(recovery.c.state == "PENDING")
                .order_by(recovery.c.recovery_id)
            ).scalars()
            ids = list(waiting)
        for recovery_id in ids:
            unless_silent(self.carry_out, recovery_id)

    def _settle(self, recovery_id: str, answer: loan_pb2.RecordRecoveryResponse) -> None:
        parameters = house_parameters()
        with self._db.begin() as transaction:
            pending = get(transaction, recovery_id)
            case = cases.lock(transaction, pending["case_id"])
            if get(transaction, recovery_id)["state"] != "PENDING":
                return
            _set(
                transaction,
                recovery_id,
                state="POSTED",
                principal=answer.principal,
                interest=answer.interest,
            )
            today = days.business_date(transaction, case.book_id)
            note = f"{yuan(pending['amount'])} on loan {pending['loan_id']}"
            if pending["agency_id"]:
                note += f", commission {yuan(pending['commission'])} to {pending['agency_id']}"
            cases.record(transaction, case.case_id, "RECOVERED", today, note)
            promise_book.credit(transaction, case.case_id, pending["amount"], today, parameters)
            absorb(transaction, standing_of(answer.loan), today, parameters)


def _set(transaction: Connection, recovery_id: str, **values: object) -> None:
    transaction.execute(
        update(recovery).where(recovery.c.recovery_id == recovery_id).values(**values)
    )
