"""A book in which everything that the chain covers has happened."""

from __future__ import annotations

from ledger.ledger_case import LedgerUnderTest

from support import day, rid
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import accounting_pb2_grpc
from tael.ledger.v1 import ledger_pb2 as pb

ENTRIES = 10
LINES = 4 + 2 * 4 + 2 * 4 + 4 - 2 + 2


def tell(book: LedgerUnderTest) -> None:
    """Several days, a reversal, red ink, awkward texts, reservations and a new version of the rules."""
    owners = {"LOAN": "ln_1.a-b", "CUSTOMER": "7", "LINE": "N1"}
    book.post("LINE_GRANTED", commitment=2_000_000)
    book.post("LOAN_DISBURSED", principal=1_000_000, commitment=1_000_000, source="a/b")
    book.post("LOAN_DISBURSED", principal=5, owners=owners, narrative='say "hi" \\ there\t\x1f')
    book.post("LOAN_DISBURSED", principal=0)
    book.close_day("2026-01-15")
    book.post("INTEREST_ACCRUED", interest=323, status=pb.ACCRUAL_STATUS_ACCRUAL)
    book.post("INTEREST_TRUED_UP", interest=-23)
    book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(request_id=rid(), book_id=book.book_id, sequence=3, reason="不对")
    )
    book.post("LOAN_WRITTEN_OFF", allowance_top_up=10, principal=10, interest=3)
    kept, given_back, left = (reserve(book, amount) for amount in (70, 50, 30))
    assert (kept, given_back, left) == (1, 2, 3)
    book.ledger.CommitReservation(
        pb.CommitReservationRequest(request_id=rid(), book_id=book.book_id, reservation_id=kept)
    )
    book.ledger.ReleaseReservation(
        pb.ReleaseReservationRequest(
            request_id=rid(), book_id=book.book_id, reservation_id=given_back
        )
    )
    change_rules(book)


def reserve(book: LedgerUnderTest, amount: int) -> int:
    """Reserves a payment out; its id."""
    answer = book.ledger.Reserve(
        pb.ReserveRequest(
            request_id=rid(),
            book_id=book.book_id,
            event="PAYMENT_RESERVED",
            source='s "1"',
            narrative="预留\\",
            expires_on=day("2026-01-31"),
            lines=[
                pb.PostingLine(
                    account_number="2011.01:CUSTOMER:C1", side=pb.SIDE_DEBIT, amount=amount
                ),
                pb.PostingLine(account_number="1003", side=pb.SIDE_CREDIT, amount=amount),
            ],
        )
    )
    return answer.reservation.reservation_id


def change_rules(book: LedgerUnderTest) -> None:
    """The rules in force once more, as version 2, by two people."""
    known = book.accounting.GetPostingRules(ac.GetPostingRulesRequest(book_id=book.book_id))
    book.accounting.PublishPostingRules(
        ac.PublishPostingRulesRequest(
            request_id=rid(),
            book_id=book.book_id,
            effective_from=day("2026-01-16"),
            rules=known.rules,
            description="again",
        )
    )
    checker = book.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub, "checker")
    checker.ApprovePostingRules(
        ac.ApprovePostingRulesRequest(request_id=rid(), book_id=book.book_id, version=2)
    )
