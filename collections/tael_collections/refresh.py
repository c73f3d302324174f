"""What servicing's loans do to cases: open, refresh, close. Writing a loan off closes nothing."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection, delete, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_client.values import yuan
from tael_collections import cases, promises
from tael_collections.arrears import CaseLoan, Standing, is_case, measure
from tael_collections.cases import DebtCase
from tael_collections.parameters import Parameters
from tael_collections.tables import (
    case_loan,
    contact,
    debt_case,
    placement,
    promise,
    reminder,
    write_off,
)
from tael_runtime.ids import new_id


def absorb(
    transaction: Connection, told: Standing, day: date, parameters: Parameters
) -> DebtCase | None:
    """Takes in a loan as it is now; the case it belongs to, where there is one.

    Opens a case at one day past due, refreshes an open one, closes it on the same day when its last
    loan is paid, and pulls every action still under way.
    """
    tolerance = parameters.on("case.tolerance", day).number
    loan = told.loan
    cases.lock_debtor(transaction, told.customer_id)
    case = cases.find_open(transaction, told.customer_id, told.book_id)
    delinquent = is_case(told, tolerance)
    known = {one.loan_id: one for one in cases.loans(transaction, case.case_id)} if case else {}
    before = known.get(loan.loan_id)
    if _is_old_news(transaction, before, told) or (before is None and not delinquent):
        return case
    if case is None:
        return _open(transaction, told, day, parameters)
    if delinquent:
        _keep(transaction, case.case_id, loan)
    else:
        transaction.execute(
            delete(case_loan).where(
                case_loan.c.case_id == case.case_id, case_loan.c.loan_id == loan.loan_id
            )
        )
    return _refresh(transaction, case, day)


def _is_old_news(transaction: Connection, before: CaseLoan | None, told: Standing) -> bool:
    """Whether a loan is told of as it was before what servicing has answered already.

    A write-off is final and its claim only shrinks, by recoveries, of which servicing tells nothing
    but its answer; the event of the write-off may arrive after that.
    """
    now = told.loan
    if before is None:
        return now.written_off and _is_posted(transaction, now.loan_id)
    if not before.written_off:
        return False
    if now.written_off:
        return now.amount_past_due > before.amount_past_due
    return not told.past_life


def _is_posted(transaction: Connection, loan_id: str) -> bool:
    posted = exists().where(write_off.c.loan_id == loan_id, write_off.c.state == "POSTED")
    return bool(transaction.execute(select(posted)).scalar())


def _open(transaction: Connection, told: Standing, day: date, parameters: Parameters) -> DebtCase:
    case_id = new_id("cs")
    loan = told.loan
    measured = measure([loan])
    due_since = day - timedelta(days=loan.dpd)
    transaction.execute(
        insert(debt_case).values(
            case_id=case_id,
            customer_id=told.customer_id,
            book_id=told.book_id,
            currency=told.currency,
            status="NEW",
            bucket=measured.bucket,
            amount_past_due=measured.amount_past_due,
            opened_on=day,
            limitation_date=cases.limitation_from(due_since, parameters),
        )
    )
    _keep(transaction, case_id, loan)
    note = f"loan {loan.loan_id} is {loan.dpd} days past due: {yuan(measured.amount_past_due)}"
    cases.record(transaction, case_id, "OPENED", day, note)
    return cases.change(transaction, case_id)


def _keep(transaction: Connection, case_id: str, loan: CaseLoan) -> None:
    values = {
        "dpd": loan.dpd,
        "amount_past_due": loan.amount_past_due,
        "principal": loan.principal,
        "written_off": loan.written_off,
    }
    transaction.execute(
        upsert(case_loan)
        .values(case_id=case_id, loan_id=loan.loan_id, **values)
        .on_conflict_do_update(
            index_elements=[case_loan.c.case_id, case_loan.c.loan_id], set_=values
        )
    )


def _refresh(transaction: Connection, case: DebtCase, day: date) -> DebtCase:
    left = cases.loans(transaction, case.case_id)
    measured = measure(left)
    if not left:
        return _close(transaction, case, day)
    if measured.bucket != case.bucket or measured.amount_past_due < case.amount_past_due:
        note = (
            f"{case.bucket.name} {yuan(case.amount_past_due)} → "
            f"{measured.bucket.name} {yuan(measured.amount_past_due)}"
        )
        cases.record(transaction, case.case_id, "REFRESHED", day, note)
    after = cases.change(
        transaction,
        case.case_id,
        bucket=measured.bucket,
        amount_past_due=measured.amount_past_due,
    )
    if after.status == "RECOVERY" and case.status != "RECOVERY":
        cases.record(transaction, case.case_id, "WRITTEN_OFF", day, "the claim goes on as recovery")
    return after


def _close(transaction: Connection, case: DebtCase, day: date) -> DebtCase:
    """Nothing is owed any more: the case ends, and with it every action still under way."""
    case_id = case.case_id
    transaction.execute(
        update(contact)
        .where(contact.c.case_id == case_id, contact.c.used_at.is_(None), contact.c.allowed)
        .values(expires_at=contact.c.at)
    )
    transaction.execute(
        update(reminder)
        .where(
            reminder.c.customer_id == case.customer_id,
            reminder.c.book_id == case.book_id,
            reminder.c.state == "QUEUED",
            reminder.c.days_before < 0,
        )
        .values(state="DROPPED")
    )
    transaction.execute(
        update(placement)
        .where(placement.c.case_id == case_id, placement.c.recalled_on.is_(None))
        .values(recalled_on=day)
    )
    transaction.execute(
        update(promise)
        .where(promise.c.case_id == case_id, promise.c.state == promises.OPEN)
        .values(state=promises.KEPT, judged_on=day)
    )
    transaction.execute(
        update(write_off)
        .where(write_off.c.case_id == case_id, write_off.c.state == "PROPOSED")
        .values(state="REFUSED", refusal="the loan was paid")
    )
    cases.record(transaction, case_id, "CLOSED", day, "nothing is past due any more")
    return cases.close(transaction, case_id, day)
