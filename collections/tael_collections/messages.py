"""Rows as the contract's messages, and the contract's values as ours."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping

from tael.collections.v1 import collections_pb2 as pb
from tael_client.values import from_date, from_instant, money
from tael_collections import cases
from tael_collections.arrears import CaseLoan
from tael_collections.cases import DebtCase
from tael_collections.contacts import Contact
from tael_collections.promises import Promise


def case_answer(transaction: Connection, case: DebtCase) -> pb.Case:
    """A case with its loans."""
    return case_message(case, cases.loans(transaction, case.case_id))


def case_message(case: DebtCase, loans: Sequence[CaseLoan]) -> pb.Case:
    """A case."""
    return pb.Case(
        case_id=case.case_id,
        customer_id=case.customer_id,
        loans=[
            pb.CaseLoan(
                loan_id=loan.loan_id,
                dpd=loan.dpd,
                amount_past_due=loan.amount_past_due,
                principal=loan.principal,
            )
            for loan in loans
        ],
        bucket=pb.Bucket.Value(f"BUCKET_{case.bucket.name}"),
        amount_past_due=money(case.amount_past_due, case.currency),
        status=pb.CaseStatus.Value(f"CASE_STATUS_{case.status}"),
        collector=case.collector,
        agency_id=case.agency_id,
        hold_until=from_date(case.hold_until) if case.hold_until else None,
        hold_reason=case.hold_reason,
        opened_on=from_date(case.opened_on),
        closed_on=from_date(case.closed_on) if case.closed_on else None,
        limitation_date=from_date(case.limitation_date),
    )


def contact_message(contact: Contact) -> pb.Contact:
    """A contact; its token stays with whom the gate gave it."""
    return pb.Contact(
        contact_id=contact.contact_id,
        case_id=contact.case_id or "",
        channel=pb.Channel.Value(f"CHANNEL_{contact.channel.name}"),
        at=from_instant(contact.at),
        actor=contact.actor,
        allowed=contact.allowed,
        denied_reason=contact.denied_reason,
        result=pb.ResultCode.Value(f"RESULT_CODE_{contact.result.name}"),
        content=contact.content,
        recording=contact.recording,
    )


def promise_message(promise: Promise) -> pb.Promise:
    """A promise."""
    return pb.Promise(
        promise_id=promise.promise_id,
        case_id=promise.case_id,
        amount=money(promise.amount, promise.currency),
        due_date=from_date(promise.due_date),
        state=pb.PromiseState.Value(f"PROMISE_STATE_{promise.state}"),
        received=promise.received,
    )


def write_off_message(row: RowMapping) -> pb.WriteOff:
    """A write-off; its principal once it is posted."""
    posted = row["principal"] is not None
    return pb.WriteOff(
        write_off_id=row["write_off_id"],
        case_id=row["case_id"],
        loan_id=row["loan_id"],
        state=pb.WriteOffState.Value(f"WRITE_OFF_STATE_{row['state']}"),
        maker=row["maker"],
        checker=row["checker"],
        evidence=row["evidence"],
        principal=money(row["principal"], row["currency"]) if posted else None,
    )
