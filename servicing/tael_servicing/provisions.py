"""Loss allowances: set to the expected loss at a month's end, set by set; no loan is loaded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select, text

from tael_servicing import bookings, loan_store, snapshots
from tael_servicing.arithmetic.impairment import (
    ImpairmentPolicy,
    LossRates,
    RiskClass,
    loss_rates,
    year_begins,
)
from tael_servicing.arithmetic.loan import Allowance
from tael_servicing.bookings import Batch, Columns, part_of
from tael_servicing.loan_days import days_past_due
from tael_servicing.tables import (
    RUNNING,
    instalment,
    loan,
    loan_balance,
    loan_class,
    loan_event,
    loan_state,
)

EVENT = "ALLOWANCE_ADJUSTED"
STAGES = ("allowance_stage1", "allowance_stage2", "allowance_stage3")
AMOUNTS = ("stage1", "stage2", "stage3")
"""Amount types by stage."""


def to_provide(transaction: Connection, book_id: str) -> list[str]:
    """Loans that run, or have an allowance that is no longer needed, by id."""
    held = or_(*(loan_balance.c[stage] != 0 for stage in STAGES))
    query = (
        select(loan_state.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.book_id == book_id, or_(loan_state.c.state.in_(RUNNING), held))
        .order_by(loan_state.c.loan_id)
    )
    return list(transaction.execute(query).scalars())


class _Change(NamedTuple):
    """A loan's allowance, before and as it is to be."""

    loan_id: str
    held: Allowance
    target: Allowance
    event_id: str


def provide(
    transaction: Connection,
    policy: ImpairmentPolicy,
    day: date,
    loan_ids: Sequence[str],
    batch: Batch,
) -> tuple[int, Counter[str]]:
    """Sets the allowances of loans to their expected losses at the end of the day.

    Returns how many changed, and by how much in all by event and amount type.
    """
    groups: defaultdict[tuple[str, bool], list[_Change]] = defaultdict(list)
    rows = _standings(transaction, policy, day, loan_ids)
    exposures = _exposures(transaction, policy, day, rows)
    rates: dict[tuple[Decimal, int, int], LossRates] = {}
    for row in rows:
        target = Allowance()
        if row.runs:
            key = (row.annual_rate, row.worst, row.at)
            if key not in rates:
                rates[key] = loss_rates(policy, row.annual_rate, RiskClass(row.worst), row.at)
            owed = exposures.get(row.loan_id) or (row.principal + row.priced,)
            needed = rates[key].needed(owed, row.priced)
            target = target._replace(**{AMOUNTS[row.at - 1]: needed})
        held = Allowance(row.allowance_stage1, row.allowance_stage2, row.allowance_stage3)
        if target != held:
            change = _Change(row.loan_id, held, target, f"{int(row.newest) + 1:08}")
            groups[row.product_code, row.accruing].append(change)
    # Those that run have a row of the loan ledger at every month's end.
    loan_store.touch(transaction, [row.loan_id for row in rows if not row.runs], day)
    moved: Counter[str] = Counter()
    for number, ((product_code, accruing), changes) in enumerate(groups.items(), 1):
        part = part_of(batch, f"c{number}")
        _write(transaction, part, day, changes)
        columns = _columns(product_code, day, changes, accruing=accruing)
        bookings.post_columns(transaction, part, columns)
        moved.update({f"{EVENT}.{name}": sum(each) for name, each in columns.amounts.items()})
    return sum(map(len, groups.values())), moved


def _standings(
    transaction: Connection, policy: ImpairmentPolicy, day: date, loan_ids: Sequence[str]
) -> Sequence[Any]:
    """Class and stage at the end of the day, what is owed and held; the loans are locked."""
    worst, at = snapshots.standing(
        policy, days_past_due(loan_state.c, day), loan_state.c.state, loan_class.c
    )
    newest = (
        select(func.max(loan_event.c.event_id))
        .where(loan_event.c.loan_id == loan_state.c.loan_id)
        .scalar_subquery()
    )
    return transaction.execute(
        select(
            loan_state.c.loan_id,
            loan.c.product_code,
            loan_state.c.annual_rate,
            loan_state.c.state.in_(RUNNING).label("runs"),
            loan_state.c.state.in_(("NORMAL", "OVERDUE")).label("accruing"),
            snapshots.principal_of(loan_balance).label("principal"),
            loan_balance.c.claimed_principal.label("priced"),
            *(loan_balance.c[stage] for stage in STAGES),
            worst.label("worst"),
            at.label("at"),
            newest.label("newest"),
        )
        .join_from(loan_state, loan, loan.c.loan_id == loan_state.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loan_state.c.loan_id)
        .outerjoin(loan_class, loan_class.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.loan_id == func.any(list(loan_ids)))
        .order_by(loan_state.c.loan_id)
        .with_for_update(of=loan_state, key_share=True)
    ).all()


def _exposures(
    transaction: Connection, policy: ImpairmentPolicy, day: date, rows: Sequence[Any]
) -> dict[str, tuple[int, ...]]:
    """Principal owed when each year to come begins, of loans whose loss is that of several years."""
    years = len(policy.default_probability_by_year)
    ids = [row.loan_id for row in rows if row.at == 2] if years > 1 else []
    if not ids:
        return {}
    unpaid = instalment.c.principal - instalment.c.principal_paid
    owed = [
        snapshots.total(unpaid, or_(instalment.c.due_date <= day, instalment.c.due_date >= begins))
        for begins in year_begins(day + timedelta(days=1), years)
    ]
    found = transaction.execute(
        select(instalment.c.loan_id, *owed)
        .where(instalment.c.loan_id == func.any(ids))
        .group_by(instalment.c.loan_id)
    )
    return {loan_id: tuple(amounts) for loan_id, *amounts in found}


# The loan's event, its balances and its posting in one statement: each row is named once.
WRITE = text(
    """
    WITH fresh AS (
        SELECT * FROM unnest(
            CAST(:loan_ids AS text[]), CAST(:event_ids AS text[]),
            CAST(:stage1 AS bigint[]), CAST(:stage2 AS bigint[]), CAST(:stage3 AS bigint[])
        ) AS fresh (loan_id, event_id, stage1, stage2, stage3)
    ), happened AS (
        INSERT INTO loan_event (loan_id, event_id, value_date, booked_on, kind, content, reference)
        SELECT loan_id, event_id, :day, :booked_on, 'AllowanceAdjusted',
               jsonb_build_object('allowance', jsonb_build_array(stage1, stage2, stage3)),
               'expected loss'
        FROM fresh
    ), balanced AS (
        UPDATE loan_balance SET
            allowance_stage1 = fresh.stage1, allowance_stage2 = fresh.stage2,
            allowance_stage3 = fresh.stage3
        FROM fresh WHERE loan_balance.loan_id = fresh.loan_id
    )
    INSERT INTO loan_posting
        (loan_id, number, event, value_date, booked_on, amounts, owners, cause, request_id, source)
    SELECT loan_id,
           1 + coalesce(
               (SELECT max(number) FROM loan_posting WHERE loan_posting.loan_id = fresh.loan_id), 0
           ),
           :event, :day, :booked_on,
           jsonb_strip_nulls(jsonb_build_object(
               'stage1', nullif(stage1 - allowance_stage1, 0),
               'stage2', nullif(stage2 - allowance_stage2, 0),
               'stage3', nullif(stage3 - allowance_stage3, 0)
           )),
           CAST('{}' AS jsonb), event_id, :request_id, 'servicing/' || :request_id
    FROM fresh JOIN loan_balance USING (loan_id)
    """
)


def _write(transaction: Connection, batch: Batch, day: date, changes: Sequence[_Change]) -> None:
    """The allowances as events of their loans, as balances, and as what each loan posts."""
    targets = zip(*(change.target for change in changes), strict=True)
    transaction.execute(
        WRITE,
        {
            "loan_ids": [change.loan_id for change in changes],
            "event_ids": [change.event_id for change in changes],
            **dict(zip(AMOUNTS, map(list, targets), strict=True)),
            "day": day,
            "booked_on": batch.business_date,
            "event": EVENT,
            "request_id": batch.request_id,
        },
    )


def _columns(
    product_code: str, day: date, changes: Sequence[_Change], *, accruing: bool
) -> Columns:
    """Without the stages of which no loan has any."""
    moved = {
        name: [change.target[stage] - change.held[stage] for change in changes]
        for stage, name in enumerate(AMOUNTS)
    }
    return Columns(
        EVENT,
        day,
        product_code,
        accruing,
        [change.loan_id for change in changes],
        {name: amounts for name, amounts in moved.items() if any(amounts)},
    )
