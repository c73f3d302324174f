"""Risk classes that are remembered: judged at the end of a day, and by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, union
from sqlalchemy.dialects.postgresql import insert as upsert

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_runtime.errors import FailedPrecondition
from tael_servicing import impairment_policies, loan_store
from tael_servicing.arithmetic import classes
from tael_servicing.arithmetic.classes import Cause, Facts, Standing
from tael_servicing.arithmetic.events import Impaired, Restored
from tael_servicing.arithmetic.impairment import BAD, ImpairmentPolicy, RiskClass
from tael_servicing.enacting import enact
from tael_servicing.loan_days import days_past_due
from tael_servicing.loans import Held
from tael_servicing.reasons import Reason
from tael_servicing.tables import RUNNING, class_judgement, instalment, loan_class, loan_state

CLASSES = ("risk_class", "worsened", "improved", "improved_from")
"""Columns that hold a class."""


def to_judge(
    transaction: Connection, policy: ImpairmentPolicy, book_id: str, day: date
) -> list[str]:
    """Loans whose class days past due alone do not decide at the end of the day, by id."""
    state = loan_state.c
    bad = state.oldest_due < day - timedelta(days=policy.class_limits[1])
    observed = state.restructured > day - timedelta(days=policy.observation_days)
    remembered = select(loan_class.c.loan_id).where(loan_class.c.book_id == book_id)
    to_be = select(state.loan_id).where(
        state.book_id == book_id,
        state.state.in_(RUNNING),
        or_(bad, observed, state.state == "NON_ACCRUAL"),
    )
    return sorted(transaction.execute(union(remembered, to_be)).scalars())


def judge(
    transaction: Connection,
    policy: ImpairmentPolicy,
    book_id: str,
    day: date,
    loan_ids: Sequence[str],
) -> int:
    """Judges loans at the end of a day; returns how many changed their class."""
    changed, found, gone = 0, {}, []
    for row in _facts(transaction, day, loan_ids):
        if row.state not in RUNNING:
            gone.append(row.loan_id)
            continue
        before, facts = _standing(row, day), _facts_of(row, day)
        after = classes.judge(policy, before, facts)
        changed += after.risk_class is not before.risk_class
        if after != before:
            found[row.loan_id] = after
    _remember(transaction, book_id, day, found, gone)
    return changed


def override(
    transaction: Connection, held: Held, day: date, request: pb.OverrideClassRequest
) -> None:
    """Judges a locked loan by hand; one that becomes bad accrues off balance from now on, one that
    is judged no longer bad until what is paid ends that.

    Raises FailedPrecondition LOAN_NOT_RUNNING, NOT_TECHNICAL.
    """
    contract = held.contract
    if held.state not in RUNNING:
        raise FailedPrecondition(
            Reason.LOAN_NOT_RUNNING, f"the loan is {held.state}", contract.loan_id
        )
    policy = impairment_policies.in_force(transaction, contract.book_id, day).policy
    (row,) = _facts(transaction, day, [contract.loan_id])
    facts = _facts_of(row, day)
    now = classes.judge(policy, _standing(row, day), facts)
    after = _judged(policy, now, facts, request)
    if (after.worsened or RiskClass.NORMAL) >= BAD and not held.loan.judged:
        impaired = Impaired(day, held.next_event_id)
        enact(transaction, held, impaired, day, reference=request.reason)
        after = classes.judge(policy, after, replace(facts, non_accrual=True))
    elif after.risk_class < BAD and held.loan.judged:
        restored = Restored(day, held.next_event_id)
        enact(transaction, held, restored, day, reference=request.reason)
    _remember(transaction, contract.book_id, day, {contract.loan_id: after}, [])
    _keep(transaction, request, day, now, after)


def _judged(
    policy: ImpairmentPolicy, now: Standing, facts: Facts, request: pb.OverrideClassRequest
) -> Standing:
    match request.WhichOneof("judgement"):
        case "risk_class":
            return classes.with_class(policy, now, RiskClass(request.risk_class), facts)
        case "restructured":
            return classes.restructured(policy, now, facts)
        case "stage":
            return classes.with_stage(policy, now, request.stage, facts)
    if not classes.is_technical(facts):
        raise FailedPrecondition(
            Reason.NOT_TECHNICAL,
            f"{facts.dpd} days past due; technical are 1 to {classes.TECHNICAL_DAYS}",
            request.loan_id,
        )
    return classes.technical(policy, now, facts)


def _facts(transaction: Connection, day: date, loan_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """What the books say of loans, with what is remembered of each."""
    paid = (
        select(func.count())
        .where(
            instalment.c.loan_id == loan_state.c.loan_id,
            instalment.c.due_date > loan_class.c.clear_since,
            instalment.c.due_date <= day,
            instalment.c.principal_paid == instalment.c.principal,
            instalment.c.interest_paid == instalment.c.interest,
        )
        .scalar_subquery()
    )
    remembered = [column for column in loan_class.c if column.name not in ("loan_id", "book_id")]
    query = (
        select(
            loan_state.c.loan_id,
            loan_state.c.state,
            loan_state.c.oldest_due,
            days_past_due(loan_state.c, day).label("dpd"),
            paid.label("periods_paid"),
            loan_state.c.restructured.label("rescheduled"),
            *remembered,
        )
        .outerjoin(loan_class, loan_class.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.loan_id == func.any(list(loan_ids)))
        .order_by(loan_state.c.loan_id)
    )
    return transaction.execute(query).all()


def _facts_of(row: Any, day: date) -> Facts:
    return Facts(
        day,
        row.dpd,
        row.oldest_due,
        row.state == "NON_ACCRUAL",
        row.periods_paid,
        row.rescheduled,
    )


def _standing(row: Any, day: date) -> Standing:
    """What is remembered, or that nothing is."""
    if row.risk_class is None:
        return Standing(RiskClass.NORMAL, 1, day)
    values = {name: getattr(row, name) for name in Standing.__dataclass_fields__}
    named = {name: RiskClass(values[name]) for name in CLASSES if values[name] is not None}
    return Standing(**{**values, **named, "cause": Cause[row.cause or "NONE"]})


def _values(standing: Standing) -> dict[str, Any]:
    cause = "" if standing.cause is Cause.NONE else standing.cause.name
    return {**asdict(standing), "cause": cause}


def _remember(
    transaction: Connection,
    book_id: str,
    day: date,
    found: dict[str, Standing],
    gone: Iterable[str],
) -> None:
    """Keeps what there is to remember of loans, and forgets the rest."""
    loan_store.touch(transaction, [*found, *gone], day)
    plain = [loan_id for loan_id, standing in found.items() if standing.plain]
    forgotten = [*gone, *plain]
    if forgotten:
        transaction.execute(delete(loan_class).where(loan_class.c.loan_id == func.any(forgotten)))
    rows = [
        {"loan_id": loan_id, "book_id": book_id, **_values(standing)}
        for loan_id, standing in found.items()
        if not standing.plain
    ]
    if not rows:
        return
    statement = upsert(loan_class)
    changed = {name: statement.excluded[name] for name in rows[0] if name != "loan_id"}
    transaction.execute(
        statement.on_conflict_do_update(index_elements=["loan_id"], set_=changed), rows
    )


def _keep(
    transaction: Connection,
    request: pb.OverrideClassRequest,
    day: date,
    now: Standing,
    after: Standing,
) -> None:
    transaction.execute(
        insert(class_judgement).values(
            loan_id=request.loan_id,
            date=day,
            kind=(request.WhichOneof("judgement") or "").upper(),
            risk_class=after.risk_class,
            class_before=now.risk_class,
            stage=after.stage,
            reason=request.reason,
            approval=request.approval,
        )
    )
