"""The records' part of a proof: what the chain recorded beside the entries, and the rows that show it.

Each query gives what differs: on what, what should be by the chain, and what the row says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Table, TextClause, func, select, text

from tael_ledger import recording, rules_store
from tael_ledger.books import Book
from tael_ledger.findings import DIGEST_CHAIN, PENDING, RECORDS, Finding
from tael_ledger.proof_chain import TABLES
from tael_ledger.requests import Record
from tael_ledger.tables import account, entry, line, posting_request, record

# Rows are told as the chain has their records: JSON without spaces, keys in order. So both sides are
# texts, null where there is no record or no row, and a record forced to be no JSON breaks nothing.
DAYS = """
SELECT coalesce(said.subject, day.business_date::text) AS subject,
       said.content || ' in batch ' || said.batch_number AS should,
       day.content || ' in batch ' || day.last_batch AS is_
FROM (SELECT subject, content, batch_number
      FROM record WHERE book_id = :book_id AND kind = 'DAY_CLOSED') AS said
FULL JOIN (SELECT business_date, last_batch,
                  '{"closed_by":' || to_json(closed_by) || ',"last_sequence":' || last_sequence
                  || ',"next_business_date":"' || next_business_date || '"}' AS content
           FROM closed_day WHERE book_id = :book_id) AS day ON day.business_date::text = said.subject
"""
PERIODS = """
SELECT coalesce(said.subject, period.first_day::text) AS subject,
       said.content || ' in batch ' || said.batch_number AS should,
       period.content || ' in batch ' || period.batch_number AS is_
FROM (SELECT subject, content, batch_number
      FROM record WHERE book_id = :book_id AND kind = 'PERIOD_CLOSED') AS said
FULL JOIN (SELECT first_day, batch_number,
                  '{"closed_by":' || to_json(closed_by) || ',"last_day":"' || last_day
                  || '","profit":' || profit || ',"sequence":' || sequence
                  || ',"year_end_sequence":' || year_end_sequence || '}' AS content
           FROM closed_period WHERE book_id = :book_id) AS period
    ON period.first_day::text = said.subject
"""
STATES = """
SELECT coalesce(said.subject, held.number) AS subject,
       coalesce(said.state, 'OPEN') AS should, coalesce(held.state, 'OPEN') AS is_
FROM (SELECT DISTINCT ON (subject) subject, CASE kind WHEN 'ACCOUNT_FROZEN' THEN 'FROZEN'
             WHEN 'ACCOUNT_CLOSED' THEN 'CLOSED' ELSE 'OPEN' END AS state
      FROM record WHERE book_id = :book_id
          AND kind IN ('ACCOUNT_FROZEN', 'ACCOUNT_UNFROZEN', 'ACCOUNT_CLOSED')
      ORDER BY subject, batch_number DESC, place DESC) AS said
FULL JOIN (SELECT number, state FROM account WHERE book_id = :book_id AND state <> 'OPEN') AS held
    ON held.number = said.subject
"""
LIMITS = r"""
SELECT coalesce(said.subject, held.number) AS subject,
       coalesce(said.bounds, CASE WHEN said.subject IS NULL THEN 'null to null' END) AS should,
       coalesce(held.bounds, 'null to null') AS is_
FROM (SELECT DISTINCT ON (subject) subject, bound[1] || ' to ' || bound[2] AS bounds
      FROM record LEFT JOIN LATERAL (SELECT ARRAY[bound[2], bound[1]] AS bound FROM regexp_match(
          content, '^{"by":"(?:[^"\\]|\\.)*","highest":(-?\d+|null),"lowest":(-?\d+|null),"reason":'
      ) AS bound) AS read ON true
      WHERE book_id = :book_id AND kind = 'ACCOUNT_LIMITS_SET'
      ORDER BY subject, batch_number DESC, place DESC) AS said
FULL JOIN (SELECT number, coalesce(lowest::text, 'null') || ' to ' || coalesce(highest::text, 'null')
                  AS bounds
           FROM account WHERE book_id = :book_id AND (lowest IS NOT NULL OR highest IS NOT NULL)
          ) AS held ON held.number = said.subject
"""
RESERVATIONS = """
SELECT coalesce(said.subject, made.reservation_id::text) AS subject, said.content AS should,
       made.content AS is_
FROM (SELECT subject, content
      FROM record WHERE book_id = :book_id AND kind = 'RESERVED') AS said
FULL JOIN (SELECT reservation_id,
                  '{"event":' || to_json(event) || ',"expires_on":"' || expires_on || '","lines":['
                  || lines || '],"narrative":' || to_json(narrative)
                  || ',"source":' || to_json(source) || '}' AS content
           FROM reservation LEFT JOIN (
               SELECT reservation_id, string_agg(
                   '[' || to_json(account_number) || ',' || debit || ',' || credit || ']', ','
                   ORDER BY line_number) AS lines
               FROM reservation_line WHERE book_id = :book_id GROUP BY reservation_id
           ) AS listed USING (reservation_id)
           WHERE book_id = :book_id) AS made ON made.reservation_id::text = said.subject
"""
ENDS = """
SELECT coalesce(said.subject, made.reservation_id::text) AS subject,
       said.kind || ' ' || said.content AS should, made.kind || ' ' || made.content AS is_
FROM (SELECT subject, kind, content FROM record WHERE book_id = :book_id AND kind IN
           ('RESERVATION_COMMITTED', 'RESERVATION_RELEASED', 'RESERVATION_EXPIRED')) AS said
FULL JOIN (SELECT reservation_id, 'RESERVATION_' || state AS kind,
                  CASE sequence WHEN 0 THEN '{}' ELSE '{"sequence":' || sequence || '}' END AS content
           FROM reservation WHERE book_id = :book_id AND state <> 'PENDING') AS made
    ON made.reservation_id::text = said.subject
"""
PROPOSALS = """
SELECT coalesce(said.subject, made.proposal_id::text) AS subject,
       said.content || ' in batch ' || said.batch_number AS should,
       made.content || ' in batch ' || made.proposal_id AS is_
FROM (SELECT subject, content, batch_number
      FROM record WHERE book_id = :book_id AND kind = 'PROPOSED') AS said
FULL JOIN (SELECT proposal_id,
                  '{"maker":' || to_json(maker) || ',"operation":"'
                  || encode(sha256(operation), 'hex') || '","reason":' || to_json(reason) || '}'
                  AS content
           FROM proposal WHERE book_id = :book_id) AS made ON made.proposal_id::text = said.subject
"""
DECISIONS = """
SELECT coalesce(said.subject, made.proposal_id::text) AS subject,
       said.kind || ' ' || said.content || ' in batch ' || said.batch_number AS should,
       made.kind || ' ' || made.content || ' in batch ' || made.decided_in AS is_
FROM (SELECT subject, kind, content, batch_number FROM record WHERE book_id = :book_id AND kind IN
           ('PROPOSAL_APPROVED', 'PROPOSAL_DECLINED', 'PROPOSAL_WITHDRAWN')) AS said
FULL JOIN (SELECT proposal_id, decided_in, 'PROPOSAL_' || state AS kind,
                  '{"decided_by":' || to_json(decided_by) || ',"decision_reason":'
                  || to_json(decision_reason) || ',"maker":' || to_json(maker) || ',"reason":'
                  || to_json(reason) || ',"sequence":' || sequence || '}' AS content
           FROM proposal WHERE book_id = :book_id AND state <> 'PROPOSED') AS made
    ON made.proposal_id::text = said.subject
"""
REVERSALS = """
SELECT 'entry ' || coalesce(said.sequence, shown.sequence) AS subject,
       said.reversal_of AS should, shown.origin AS is_
FROM (SELECT sequence, reversal_of FROM entry
      WHERE book_id = :book_id AND reversal_of <> 0) AS said
FULL JOIN (SELECT sequence, origin FROM reversal WHERE book_id = :book_id) AS shown USING (sequence)
"""
DATES = """
SELECT 'business date' AS subject, coalesce(
           (SELECT max(next_business_date) FROM closed_day WHERE book_id = :book_id), first_date
       )::text AS should, business_date::text AS is_
FROM book WHERE book_id = :book_id
UNION ALL
SELECT 'rules in force', (
    SELECT version::text FROM posting_rules_version AS known
    WHERE known.book_id = book.book_id AND state = 'APPROVED' AND effective_from <= business_date
    ORDER BY effective_from DESC, version DESC LIMIT 1), rules_version::text
FROM book WHERE book_id = :book_id
UNION ALL
SELECT 'number of accounts', (
    SELECT coalesce(max(account_id), 0)::text FROM account
    WHERE account.book_id = book.book_id), accounts_opened::text
FROM book WHERE book_id = :book_id
UNION ALL
SELECT 'number of reservations', (
    SELECT coalesce(max(reservation_id), 0)::text FROM reservation
    WHERE reservation.book_id = book.book_id), reservations_made::text
FROM book WHERE book_id = :book_id
"""
SHOWN: Mapping[str, str] = {
    "day": DAYS,
    "period": PERIODS,
    "state of": STATES,
    "limits of": LIMITS,
    "reservation": RESERVATIONS,
    "end of reservation": ENDS,
    "proposal": PROPOSALS,
    "decision of proposal": DECISIONS,
    "reversal by": REVERSALS,
    "book's": DATES,
}
"""What the rows are about, and the query."""

PENDING_AMOUNTS = """
SELECT coalesce(held.number, account.number) AS subject,
       coalesce(held.debits, 0) || ' and ' || coalesce(held.credits, 0) AS should,
       coalesce(account.debits_pending, 0) || ' and ' || coalesce(account.credits_pending, 0) AS is_
FROM (SELECT account_number AS number, sum(debit) AS debits, sum(credit) AS credits
      FROM reservation JOIN reservation_line USING (book_id, reservation_id)
      WHERE book_id = :book_id AND state = 'PENDING' GROUP BY account_number) AS held
FULL JOIN (SELECT number, debits_pending, credits_pending FROM account
           WHERE book_id = :book_id AND (debits_pending <> 0 OR credits_pending <> 0)) AS account
    USING (number)
"""


def differing(query: str) -> TextClause:
    """Only what differs, in order."""
    return text(
        f"SELECT subject, should, is_ FROM ({query}) AS compared "  # noqa: S608  queries of this module
        "WHERE should IS DISTINCT FROM is_ ORDER BY subject"
    )


def check_records(
    connection: Connection, book: Book, claims: Mapping[str, int]
) -> Iterator[Finding]:
    """`claims`: rows of each table that the batches say they wrote."""
    own = {"book_id": book.book_id}
    for what, query in SHOWN.items():
        for subject, should, is_ in connection.execute(differing(query), own):
            yield Finding(RECORDS, f"{what} {subject}", f"should be {should}, is {is_}")
    for subject, should, is_ in connection.execute(differing(PENDING_AMOUNTS), own):
        yield Finding(PENDING, subject, f"should have pending {should} and has {is_}")
    yield from _rules(connection, book)
    yield from _unclaimed(connection, book, claims)


def _rules(connection: Connection, book: Book) -> Iterator[Finding]:
    """The book and its approved versions of rules, digests recomputed from their rows."""
    rows = connection.execute(
        select(record.c.kind, record.c.subject, record.c.content).where(
            record.c.book_id == book.book_id,
            record.c.kind.in_((recording.BOOK_OPENED, recording.RULES_APPROVED)),
        )
    )
    said = {(kind, subject): content for kind, subject, content in rows}
    facts = {
        (recording.BOOK_OPENED, book.book_id): recording.book_facts(connection, book),
        **{
            (recording.RULES_APPROVED, str(one.version)): recording.rules_facts(
                connection, book.book_id, one.version
            )
            for one in rules_store.versions(connection, book.book_id)
            if one.state == rules_store.APPROVED
        },
    }
    for kind, subject in sorted(said.keys() | facts.keys()):
        should, fact = said.get((kind, subject)), facts.get((kind, subject))
        is_ = None if fact is None else Record(kind, subject, fact).text(0)
        if should != is_:
            yield Finding(RECORDS, f"{kind} {subject}", f"should be {should}, is {is_}")


_TABLES: Mapping[str, Table] = dict(
    zip(TABLES, (account, record, posting_request, entry, line), strict=True)
)


def _unclaimed(connection: Connection, book: Book, claims: Mapping[str, int]) -> Iterator[Finding]:
    """Rows that no batch wrote."""
    for name, table in _TABLES.items():
        own = table.c.book_id == book.book_id
        found = connection.execute(select(func.count()).where(own)).scalar_one()
        if found != claims[name]:
            message = f"by the batches there should be {claims[name]}, there are {found}"
            yield Finding(DIGEST_CHAIN, name, message)
