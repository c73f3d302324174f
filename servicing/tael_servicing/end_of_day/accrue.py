"""5. The night of d: interest, penalty and compound, off balance for non-accrual loans.

Set by set over `accrual_position`, all integers: what is posted is R((carry + nights x per_night) /
denominator) less what was posted before (DESIGN.md §4), half up as every product rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from tael_servicing import bookings
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.vat import Vat
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loan_store import CONTRACT, contract_of
from tael_servicing.loans import Contract
from tael_servicing.tables import RUNNING, loan_state
from tael_servicing.tables import loan as loans

EVENT = "INTEREST_ACCRUED"

GROW = text(
    """
    WITH exact AS (
        SELECT loan_id, kind, instalment, posted, denominator, rounding,
               carry + per_night * greatest(CAST(:until AS date) - since, 0) AS numerator
        FROM accrual_position WHERE loan_id = ANY(:ids) FOR UPDATE
    ), rounded AS (
        SELECT loan_id, kind, instalment, posted,
               numerator / denominator
               + CASE rounding
                     WHEN 'HALF_UP' THEN CAST(2 * (numerator % denominator) >= denominator AS int)
                     WHEN 'HALF_EVEN' THEN CAST(
                         2 * (numerator % denominator) > denominator
                         OR 2 * (numerator % denominator) = denominator
                            AND numerator / denominator % 2 = 1 AS int)
                     WHEN 'UP' THEN CAST(numerator % denominator > 0 AS int)
                     ELSE 0
                 END AS grown
        FROM exact
    ), moved AS (
        UPDATE accrual_position AS position SET posted = grown FROM rounded
        WHERE position.loan_id = rounded.loan_id AND position.kind = rounded.kind
          AND position.instalment = rounded.instalment AND grown <> rounded.posted
        RETURNING position.loan_id, position.kind, grown - rounded.posted AS amount
    ), night AS (
        SELECT loan_id,
               coalesce(sum(amount) FILTER (WHERE kind = 'INTEREST'), 0) AS interest,
               coalesce(sum(amount) FILTER (WHERE kind = 'PENALTY'), 0) AS penalty,
               coalesce(sum(amount) FILTER (WHERE kind = 'COMPOUND'), 0) AS compound
        FROM moved GROUP BY loan_id
    ), accruing AS (
        SELECT loan_id, nonaccrual_since IS NULL AS on_balance
        FROM loan_state WHERE loan_id = ANY(:ids)
    ), booked AS (
        UPDATE loan_balance AS balance SET
            accrued_to = :until,
            interest_accrued = interest_accrued + CASE WHEN on_balance THEN interest ELSE 0 END,
            penalty = balance.penalty + CASE WHEN on_balance THEN night.penalty ELSE 0 END,
            compound = balance.compound + CASE WHEN on_balance THEN night.compound ELSE 0 END,
            earned_interest = earned_interest
                + CASE WHEN on_balance AND vat_numerator > 0 THEN interest ELSE 0 END,
            earned_penalty = earned_penalty
                + CASE WHEN on_balance AND vat_numerator > 0 THEN night.penalty ELSE 0 END,
            earned_compound = earned_compound
                + CASE WHEN on_balance AND vat_numerator > 0 THEN night.compound ELSE 0 END,
            offbalance_interest =
                offbalance_interest + CASE WHEN on_balance THEN 0 ELSE interest END,
            offbalance_penalty =
                offbalance_penalty + CASE WHEN on_balance THEN 0 ELSE night.penalty END,
            offbalance_compound =
                offbalance_compound + CASE WHEN on_balance THEN 0 ELSE night.compound END
        FROM accruing JOIN night USING (loan_id)
        WHERE balance.loan_id = accruing.loan_id
    )
    SELECT loan_id, on_balance, vat_numerator, vat_denominator,
           earned_interest, earned_penalty, earned_compound,
           CAST(interest AS bigint) AS interest,
           CAST(night.penalty AS bigint) AS penalty, CAST(night.compound AS bigint) AS compound
    FROM night JOIN accruing USING (loan_id) JOIN loan_balance USING (loan_id)
    ORDER BY loan_id
    """
)

STAND = text(
    "UPDATE loan_balance SET accrued_to = :until WHERE loan_id = ANY(:ids) AND accrued_to < :until"
)


class Accrue(LoanStep):
    """On the balances after everything dated on or before d."""

    name = "accrue"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Every loan that earns interest."""
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .where(loan_state.c.book_id == closing.book_id, loan_state.c.state.in_(RUNNING))
            .order_by(loan_state.c.loan_id)
        )
        return list(rows.scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Grows the chunk's lines by a night."""
        ids = members(payload)
        night = {"ids": ids, "until": closing.next_day}
        grown = transaction.execute(GROW, night).all()
        transaction.execute(STAND, night)
        contracts = _contracts(transaction, ids)
        summary, made = Summary(loans=len(grown)), []
        for row in grown:
            posting = Posting(EVENT, closing.day, row.on_balance, _amounts(row))
            made.append((contracts[row.loan_id], posting))
            summary.count([posting])
        bookings.post_many(transaction, batch, made)
        return summary


def _amounts(row: Any) -> dict[str, int]:
    """What a loan's night comes to, and the VAT in it where that is split off."""
    moved = {"interest": row.interest, "penalty": row.penalty, "compound": row.compound}
    if row.on_balance and row.vat_numerator:
        earned = [0, row.earned_interest, row.earned_penalty, row.earned_compound, 0]
        moved |= Vat((row.vat_numerator, row.vat_denominator), earned).split(EVENT, moved)[0]
    return {name: amount for name, amount in moved.items() if amount}


def _contracts(transaction: Connection, ids: list[str]) -> dict[str, Contract]:
    rows = transaction.execute(select(*CONTRACT).where(loans.c.loan_id == func.any(ids)))
    return {row.loan_id: contract_of(row) for row in rows}
