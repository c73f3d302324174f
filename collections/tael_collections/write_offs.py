"""Write-offs (核销): proposed with evidence, decided by a second person, posted by servicing once.

The decision commits first (APPROVED); the posting goes to servicing under an id made from the
write-off's, as often as it takes. Whatever dies in between, it is posted once.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from sqlalchemy import Connection, RowMapping, insert, select, update

from tael.servicing.v1 import loan_pb2, loan_pb2_grpc
from tael_client.values import yuan
from tael_collections import cases, days
from tael_collections.arrears import standing_of
from tael_collections.cases import DebtCase
from tael_collections.parameters import house_parameters
from tael_collections.reasons import Reason
from tael_collections.refresh import absorb
from tael_collections.tables import write_off
from tael_collections.upstream import SECONDS, refusal, unless_silent
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.four_eyes import check_second_person, named_caller
from tael_runtime.idempotency import current_caller
from tael_runtime.ids import new_id


def get(transaction: Connection, write_off_id: str) -> RowMapping:
    """A write-off; NotFound where there is none."""
    row = (
        transaction.execute(select(write_off).where(write_off.c.write_off_id == write_off_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFound("write-off", write_off_id)
    return row


def propose(
    transaction: Connection, case: DebtCase, loan: loan_pb2.Loan, evidence: Sequence[str]
) -> RowMapping:
    """Proposes to write off a non-accrual loan of a locked open case.

    Raises PermissionDenied CALLER_UNNAMED; FailedPrecondition LOAN_NOT_IN_CASE, WRITE_OFF_EXISTS,
    NOT_NON_ACCRUAL.
    """
    maker = named_caller()
    held = {one.loan_id for one in cases.loans(transaction, case.case_id)}
    if loan.loan_id not in held:
        raise FailedPrecondition(
            Reason.LOAN_NOT_IN_CASE, f"case {case.case_id} has {sorted(held)}", loan.loan_id
        )
    live = select(write_off.c.write_off_id, write_off.c.state).where(
        write_off.c.loan_id == loan.loan_id, write_off.c.state != "REFUSED"
    )
    if (there := transaction.execute(live).one_or_none()) is not None:
        raise FailedPrecondition(
            Reason.WRITE_OFF_EXISTS, f"{there.write_off_id} is {there.state}", loan.loan_id
        )
    if loan.state != loan_pb2.LOAN_STATE_NON_ACCRUAL:
        state = loan_pb2.LoanState.Name(loan.state).removeprefix("LOAN_STATE_")
        raise FailedPrecondition(Reason.NOT_NON_ACCRUAL, f"the loan is {state}", loan.loan_id)
    made = new_id("wo")
    transaction.execute(
        insert(write_off).values(
            write_off_id=made,
            case_id=case.case_id,
            loan_id=loan.loan_id,
            maker=maker,
            evidence=list(evidence),
            currency=case.currency,
        )
    )
    today = days.business_date(transaction, case.book_id)
    note = f"{made} of loan {loan.loan_id}, {len(evidence)} pieces of evidence"
    cases.record(transaction, case.case_id, "WRITE_OFF_PROPOSED", today, note)
    cases.change(transaction, case.case_id)
    return get(transaction, made)


def decide(transaction: Connection, write_off_id: str, *, approve: bool) -> None:
    """The second person's word; PermissionDenied MAKER_IS_CHECKER from the first."""
    case = cases.lock(transaction, get(transaction, write_off_id)["case_id"])
    proposed = get(transaction, write_off_id)
    if proposed["state"] != "PROPOSED":
        raise FailedPrecondition(
            Reason.WRITE_OFF_DECIDED, f"it is {proposed['state']}", write_off_id
        )
    checker = current_caller()
    check_second_person(proposed["maker"], checker)
    state = "APPROVED" if approve else "REFUSED"
    _set(transaction, write_off_id, state=state, checker=checker)
    today = days.business_date(transaction, case.book_id)
    cases.record(transaction, case.case_id, f"WRITE_OFF_{state}", today, write_off_id)
    cases.change(transaction, case.case_id)


class Posting:
    """Has servicing post what is approved."""

    def __init__(self, database: Database, servicing: loan_pb2_grpc.LoanServiceStub) -> None:
        self._db = database
        self._servicing = servicing

    def carry_out(self, write_off_id: str) -> None:
        """Posts an approved write-off; nothing where it is settled. RpcError: ask again later."""
        with self._db.read() as snapshot:
            approved = get(snapshot, write_off_id)
        if approved["state"] != "APPROVED":
            return
        request = loan_pb2.WriteOffLoanRequest(
            request_id=f"writeoff:{write_off_id}",
            loan_id=approved["loan_id"],
            approval=write_off_id,
        )
        try:
            loan = self._servicing.WriteOffLoan(request, timeout=SECONDS).loan
        except grpc.RpcError as error:
            words = refusal(error)
            if words is None:
                raise
            self._settle(write_off_id, None, words)
        else:
            self._settle(write_off_id, loan, "")

    def resume(self) -> None:
        """Takes up whatever was approved and is not posted yet; one that waits holds up no other."""
        with self._db.read() as snapshot:
            waiting = snapshot.execute(
                select(write_off.c.write_off_id)
                .where(write_off.c.state == "APPROVED")
                .order_by(write_off.c.write_off_id)
            ).scalars()
            ids = list(waiting)
        for write_off_id in ids:
            unless_silent(self.carry_out, write_off_id)

    def _settle(self, write_off_id: str, loan: loan_pb2.Loan | None, words: str) -> None:
        with self._db.begin() as transaction:
            case = cases.lock(transaction, get(transaction, write_off_id)["case_id"])
            if get(transaction, write_off_id)["state"] != "APPROVED":
                return
            today = days.business_date(transaction, case.book_id)
            if loan is None:
                _set(transaction, write_off_id, state="REFUSED", refusal=words)
                note = f"{write_off_id}, by servicing: {words}"
                cases.record(transaction, case.case_id, "WRITE_OFF_REFUSED", today, note)
                cases.change(transaction, case.case_id)
                return
            principal = loan.balances.written_off_principal
            _set(transaction, write_off_id, state="POSTED", principal=principal)
            note = f"{write_off_id}, principal {yuan(principal)}"
            cases.record(transaction, case.case_id, "WRITE_OFF_POSTED", today, note)
            absorb(transaction, standing_of(loan), today, house_parameters())


def _set(transaction: Connection, write_off_id: str, **values: object) -> None:
    transaction.execute(
        update(write_off).where(write_off.c.write_off_id == write_off_id).values(**values)
    )
