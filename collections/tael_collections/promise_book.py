"""Promises in the store: recorded, credited with what is repaid, judged at day end."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, Connection, insert, select, update

from tael_client.values import yuan
from tael_collections import cases, promises
from tael_collections.cases import DebtCase
from tael_collections.parameters import Parameters
from tael_collections.promises import Arrears, Promise
from tael_collections.tables import debt_case, promise
from tael_runtime.ids import new_id


def listed(transaction: Connection, *conditions: ColumnElement[bool]) -> list[Promise]:
    """Promises that meet the conditions, oldest first."""
    columns = [promise.c[name] for name in Promise.__dataclass_fields__]
    rows = transaction.execute(
        select(*columns).where(*conditions).order_by(promise.c.promise_id)
    ).mappings()
    return [Promise(**row) for row in rows]


def open_of(transaction: Connection, case_id: str) -> list[Promise]:
    """A case's open promises."""
    return listed(transaction, promise.c.case_id == case_id, promise.c.state == promises.OPEN)


def record(
    transaction: Connection,
    case: DebtCase,
    amount: int,
    due_date: date,
    today: date,
    parameters: Parameters,
) -> Promise:
    """Records a promise on a locked case, where the rules allow it; renews the limitation."""
    open_now = len(open_of(transaction, case.case_id))
    arrears = Arrears(case.amount_past_due, case.bucket, open_now)
    promises.check(amount, due_date, arrears, today, parameters)
    made = new_id("pr")
    transaction.execute(
        insert(promise).values(
            promise_id=made,
            case_id=case.case_id,
            amount=amount,
            currency=case.currency,
            due_date=due_date,
            recorded_on=today,
        )
    )
    cases.record(transaction, case.case_id, "PROMISED", today, f"{yuan(amount)} by {due_date}")
    cases.demand_proven(transaction, case, today, parameters)
    cases.change(transaction, case.case_id)
    return listed(transaction, promise.c.promise_id == made)[0]


def credit(
    transaction: Connection, case_id: str, amount: int, value_date: date, parameters: Parameters
) -> None:
    """Counts money received towards the open promises of a locked case."""
    added = promises.credit(open_of(transaction, case_id), amount, value_date, parameters)
    for promise_id, part in added.items():
        transaction.execute(
            update(promise)
            .where(promise.c.promise_id == promise_id)
            .values(received=promise.c.received + part)
        )


def judge(transaction: Connection, book_id: str, day: date, parameters: Parameters) -> None:
    """Judges a book's open promises at the end of a day."""
    in_book = select(debt_case.c.case_id).where(debt_case.c.book_id == book_id)
    open_now = (promise.c.state == promises.OPEN, promise.c.case_id.in_(in_book))
    for case_id in dict.fromkeys(one.case_id for one in listed(transaction, *open_now)):
        cases.lock(transaction, case_id)
        for one in open_of(transaction, case_id):
            _judge(transaction, one, day, parameters)
        cases.change(transaction, case_id)


def _judge(transaction: Connection, one: Promise, day: date, parameters: Parameters) -> None:
    state = promises.verdict(one, day, parameters)
    if state == promises.OPEN:
        return
    transaction.execute(
        update(promise)
        .where(promise.c.promise_id == one.promise_id)
        .values(state=state, judged_on=day)
    )
    note = f"{yuan(one.received)} of {yuan(one.amount)} received, promised by {one.due_date}"
    cases.record(transaction, one.case_id, f"PROMISE_{state}", day, note)
