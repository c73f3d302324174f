"""Credit lines as the second-generation credit register (二代征信) takes them: record 220.

A line is told of on the days it opens, changes its limit or last day, and ends; the codes are the
register's. What a closed day is told of follows from the line's movements up to it, so that its
records never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date
from tael_servicing.snapshots import Ledger

RECORDS_A_MESSAGE = 500
REVOLVING, ONE_OFF = "10", "20"
"""Kinds of limit: of loans that revolve, of loans that do not."""
IN_FORCE, ENDED = "1", "2"
CLOSED = "20"
"""The report point of a line that ended; 10 opens it, 30 changes it."""

# A line that waits for its first day is not agreed yet; one that ends before it never was.
REPORTED = text(
    """
    WITH moved AS (
        SELECT line_id,
               bool_or(kind = 'CLOSED') AS closed,
               bool_or(kind IN ('GRANTED', 'OPENED')) AS opened,
               coalesce(sum(amount) FILTER (WHERE kind = 'ADJUSTED'), 0) AS grown,
               min(number) AS first
        FROM line_movement
        WHERE date = :day AND kind IN ('GRANTED', 'OPENED', 'ADJUSTED', 'CLOSED')
          AND line_id > :after
        GROUP BY line_id
    ), told AS (
        SELECT line.line_id, line.customer_id, line.currency_code, line.revolving, line.valid_from,
               last.used_after AS used, last.valid_to, granted.credit_limit,
               CASE WHEN moved.closed THEN '20' WHEN moved.opened THEN '10'
                    WHEN moved.grown <> 0 OR last.valid_to <> before.valid_to THEN '30' END AS point
        FROM moved
        JOIN credit_line AS line USING (line_id)
        CROSS JOIN LATERAL (
            SELECT used_after, valid_to FROM line_movement
            WHERE line_id = moved.line_id AND date <= :day ORDER BY number DESC LIMIT 1
        ) AS last
        CROSS JOIN LATERAL (
            SELECT CAST(sum(amount) AS bigint) AS credit_limit FROM line_movement
            WHERE line_id = moved.line_id AND date <= :day AND kind IN ('GRANTED', 'ADJUSTED')
        ) AS granted
        LEFT JOIN line_movement AS before
            ON before.line_id = moved.line_id AND before.number = moved.first - 1
        WHERE line.book_id = :book AND NOT line.overall AND line.valid_from <= :day
    )
    SELECT * FROM told WHERE point IS NOT NULL ORDER BY line_id LIMIT :size
    """
)


def records(connection: Connection, ledger: Ledger) -> Iterator[list[pb.CreditAgreementRecord]]:
    """The records of a closed day in pages, by line."""
    of_the_day = {"book": ledger.book.book_id, "day": ledger.day, "size": RECORDS_A_MESSAGE}
    after = ""
    while True:
        page = connection.execute(REPORTED, {**of_the_day, "after": after}).all()
        if page:
            yield [_record(row, ledger) for row in page]
        if len(page) < RECORDS_A_MESSAGE:
            return
        after = page[-1].line_id


def _record(row: Any, ledger: Ledger) -> pb.CreditAgreementRecord:
    return pb.CreditAgreementRecord(
        base=pb.CreditAgreementRecord.Base(
            record_type="220",
            agreement_id=row.line_id,
            customer_id=row.customer_id,
            report_date=from_date(ledger.day),
            report_point=row.point,
        ),
        limit=pb.CreditAgreementRecord.Limit(
            limit_type=REVOLVING if row.revolving else ONE_OFF,
            revolving=row.revolving,
            credit_limit=row.credit_limit,
            used=row.used,
            currency_code=row.currency_code,
            valid_from=from_date(row.valid_from),
            valid_to=from_date(row.valid_to),
            status=ENDED if row.point == CLOSED else IN_FORCE,
        ),
    )
