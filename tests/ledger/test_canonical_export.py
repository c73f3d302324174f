"""The canonical export: what two runs of the same business share, byte for byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from ledger.ledger_case import LedgerUnderTest

from support import rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_ledger.canonical import kind_of_request

NewBook = Callable[..., LedgerUnderTest]
PRINCIPALS = (500_000, 300_000, 300_000)


def exported(book: LedgerUnderTest) -> bytes:
    """The canonical export."""
    request = pr.ExportJournalRequest(book_id=book.book_id, format=pr.EXPORT_FORMAT_CANONICAL)
    return b"".join(part.chunk for part in book.proof.ExportJournal(request))


def lend(book: LedgerUnderTest, principals: Sequence[int]) -> None:
    """Two days of some loans, in the order given; the ids are this run's own."""
    loans = [(f"ln_{uuid4().hex}", principal) for principal in principals]
    owners = {loan: {"LOAN": loan, "CUSTOMER": f"cu_{uuid4().hex}"} for loan, _ in loans}
    book.record(
        *(
            book.event("LINE_GRANTED", commitment=principal, owners={"LINE": f"cl_{uuid4().hex}"})
            for _, principal in loans
        ),
    )
    for loan, principal in loans:
        made = book.record(
            book.event("LOAN_DISBURSED", principal=principal, owners=owners[loan], source=loan),
            request_id=f"disburse:{loan}",
        )
        if principal == max(principals):
            wrong = made.entries[0].sequence
    book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(
            request_id=rid(), book_id=book.book_id, sequence=wrong, reason=f"of {wrong}"
        )
    )
    book.close_day("2026-01-15")
    for loan, principal in loans:
        book.record(
            book.event(
                "INTEREST_ACCRUED",
                interest=principal // 1000,
                status=pb.ACCRUAL_STATUS_ACCRUAL,
                owners=owners[loan],
            ),
            request_id=f"eod:2026-01-16:{loan}",
        )


def test_the_same_business_in_another_order_under_other_ids_exports_equal_bytes(
    new_book: NewBook,
) -> None:
    one, other = new_book(), new_book()
    lend(one, PRINCIPALS)
    lend(other, PRINCIPALS[::-1])
    assert exported(one) == exported(other)


def test_a_changed_amount_shows(new_book: NewBook) -> None:
    one, other = new_book(), new_book()
    lend(one, PRINCIPALS)
    lend(other, (*PRINCIPALS[:-1], 299_999))
    assert exported(one) != exported(other)


def test_every_line_is_there_in_minor_units_by_day_and_request(book: LedgerUnderTest) -> None:
    lend(book, PRINCIPALS)
    text = exported(book).decode()
    assert text.splitlines()[0] == (
        "booking_date,request,event,value_date,gl_code,owner_type,side,amount"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    debits = [int(row["amount"]) for row in rows if row["side"] == "DEBIT"]
    assert sum(debits) == book.trial_balance().total_debits
    assert -500_000 in debits
    keys = [(row["booking_date"], row["request"]) for row in rows]
    assert keys == sorted(keys)
    assert set(keys) == {
        ("2026-01-15", "disburse:ln"),
        ("2026-01-15", "uuid"),
        ("2026-01-16", "eod:2026-01-16:ln"),
    }
    disbursed = [row for row in rows if row["request"] == "disburse:ln"]
    assert {
        "booking_date": "2026-01-15",
        "request": "disburse:ln",
        "event": "LOAN_DISBURSED",
        "value_date": "2026-01-15",
        "gl_code": "1303.01",
        "owner_type": "LOAN",
        "side": "DEBIT",
        "amount": "500000",
    } in disbursed


def test_an_empty_book_exports_the_header_alone(book: LedgerUnderTest) -> None:
    assert exported(book).count(b"\n") == 1


HEX = "0198c0de" * 4


@pytest.mark.parametrize(
    ("request_id", "kind"),
    [
        (f"repay:rp_{HEX}:refund", "repay:rp:refund"),
        (f"move:ln_{HEX}:cu_{HEX}", "move:ln:cu"),
        ("0198c0de-0198-c0de-0198-c0de0198c0de", "uuid"),
        ("eod:main:2026-01-15:close", "eod:main:2026-01-15:close"),
        ("ln_1", "ln_1"),
    ],
)
def test_generated_ids_in_a_request_give_way_to_their_prefix(request_id: str, kind: str) -> None:
    assert kind_of_request(request_id) == kind
