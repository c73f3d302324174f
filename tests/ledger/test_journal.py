"""Recording, refusing, reading back: one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest, lines

from support import day, refusal, rid, violations
from tael.ledger.v1 import ledger_pb2 as pb

DEPOSIT = "2011.01:CUSTOMER:C1"
PRINCIPAL = "1303.01:LOAN:L1"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """(code, reason) of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return refusal(error.value)


def reverse(book: LedgerUnderTest, sequence: int, request_id: str = "") -> pb.ReverseEntryResponse:
    """Reverses an entry."""
    return book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(
            request_id=request_id or rid(),
            book_id=book.book_id,
            sequence=sequence,
            reason="wrong",
        )
    )


def test_a_book_is_opened_once_and_read_back(book: LedgerUnderTest) -> None:
    found = book.ledger.GetBook(pb.GetBookRequest(book_id=book.book_id)).book
    assert (found.currency_code, found.time_zone) == ("CNY", "Asia/Shanghai")
    assert (found.lender_type, found.vat_mode) == (pb.LENDER_TYPE_BANK, pb.VAT_MODE_NONE)
    again = pb.CreateBookRequest(
        request_id=rid(),
        book_id=book.book_id,
        legal_entity="Other",
        currency_code="CNY",
        business_date=day("2026-01-15"),
    )
    assert refused(lambda: book.ledger.CreateBook(again)) == ("ALREADY_EXISTS", "BOOK_EXISTS")


def test_a_time_zone_that_is_none_is_refused(book: LedgerUnderTest) -> None:
    request = pb.CreateBookRequest(
        request_id=rid(),
        book_id="elsewhere",
        legal_entity="Demo",
        currency_code="CNY",
        time_zone="Asia/Atlantis",
        business_date=day("2026-01-15"),
    )
    with pytest.raises(grpc.RpcError) as error:
        book.ledger.CreateBook(request)
    assert "time_zone" in violations(error.value)


@pytest.mark.parametrize("currency_code", ["ABC", "DEM", "XXX"])
def test_a_currency_that_nobody_uses_is_refused(book: LedgerUnderTest, currency_code: str) -> None:
    request = pb.CreateBookRequest(
        request_id=rid(),
        book_id="elsewhere",
        legal_entity="Demo",
        currency_code=currency_code,
        business_date=day("2026-01-15"),
    )
    with pytest.raises(grpc.RpcError) as error:
        book.ledger.CreateBook(request)
    assert "currency_code" in violations(error.value)


def test_books_are_listed_page_by_page(new_book: Callable[..., LedgerUnderTest]) -> None:
    made = {new_book().book_id for _ in range(3)}
    stub = new_book().ledger
    found: list[str] = []
    token = ""
    while True:
        answer = stub.ListBooks(pb.ListBooksRequest(page_size=2, page_token=token))
        found += [book.book_id for book in answer.books]
        token = answer.next_page_token
        if not token:
            break
    assert found == sorted(found)
    assert made <= set(found)


def test_an_unknown_book_is_not_found(book: LedgerUnderTest) -> None:
    stray = LedgerUnderTest(book.house, "nowhere")
    not_found = ("NOT_FOUND", "RESOURCE_NOT_FOUND")
    assert refused(lambda: stray.post("LOAN_DISBURSED", principal=1)) == not_found
    assert refused(lambda: stray.balance("1003")) == not_found
    assert refused(stray.trial_balance) == not_found
    assert refused(stray.findings) == not_found


def test_all_events_of_a_request_are_booked_or_none(book: LedgerUnderTest) -> None:
    good = book.event("LOAN_DISBURSED", principal=100)
    bad = book.event("LOAN_DANCED", principal=100)
    assert refused(lambda: book.record(good, bad)) == ("FAILED_PRECONDITION", "NO_POSTING_RULE")
    assert book.balance(PRINCIPAL) == 0
    two = book.record(good, book.event("DISBURSEMENT_PAID", principal=100))
    assert [entry.sequence for entry in two.entries] == [1, 2]


def test_a_request_repeated_gets_the_first_answer_for_ever(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=100, source="s", narrative="n")
    first = book.record(event, request_id="once")
    reverse(book, 1)
    book.close_day("2026-01-15")
    assert book.record(event, request_id="once") == first
    assert book.balance(PRINCIPAL) == 0


def test_a_request_id_used_for_other_content_is_refused(book: LedgerUnderTest) -> None:
    book.record(book.event("LOAN_DISBURSED", principal=100), request_id="mine")
    other = book.event("LOAN_DISBURSED", principal=101)
    reused = ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert refused(lambda: book.record(other, request_id="mine")) == reused
    assert book.balance(PRINCIPAL) == 100


def test_a_refused_request_may_come_again_put_right(book: LedgerUnderTest) -> None:
    refused(lambda: book.record(book.event("LOAN_DANCED", principal=1), request_id="again"))
    book.record(book.event("LOAN_DISBURSED", principal=1), request_id="again")
    assert book.balance(PRINCIPAL) == 1


def test_an_event_of_zeros_makes_no_entry_and_is_answered_alike(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=0)
    first = book.record(event, request_id="zeros")
    assert not first.entries
    assert len(first.anchor.digest) == 32
    assert book.record(event, request_id="zeros") == first
    assert book.findings() == []


def test_a_value_date_in_the_future_is_refused(book: LedgerUnderTest) -> None:
    assert refused(lambda: book.post("LOAN_DISBURSED", value_date="2026-01-16", principal=1)) == (
        "FAILED_PRECONDITION",
        "VALUE_DATE_IN_FUTURE",
    )


def test_a_month_thirteen_is_no_date(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=1)
    event.value_date.month = 13
    assert refused(lambda: book.record(event)) == ("INVALID_ARGUMENT", "INVALID_DATE")


def test_an_owner_the_rule_needs_and_the_event_lacks_is_named(book: LedgerUnderTest) -> None:
    with pytest.raises(grpc.RpcError) as error:
        book.post("LOAN_DISBURSED", owners={"LOAN": "L1"}, principal=1)
    assert "CUSTOMER" in violations(error.value)["events[0].owners"]


def test_an_amount_type_twice_in_an_event_is_refused(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=1)
    event.amounts.add(amount_type="principal", minor_units=2)
    with pytest.raises(grpc.RpcError) as error:
        book.record(event)
    assert "events[0].amounts" in violations(error.value)


def test_an_account_that_would_turn_over_too_much_refuses_that_request_alone(
    book: LedgerUnderTest,
) -> None:
    most = 900_000_000_000_000
    events = [book.event("LOAN_DISBURSED", principal=most) for _ in range(1000)]
    for _ in range(4):
        book.record(*events)
    assert refused(lambda: book.record(*events)) == ("FAILED_PRECONDITION", "ACCOUNT_LIMIT")
    assert book.balance(PRINCIPAL) == 4000 * most


def test_a_preview_shows_the_entries_and_posts_nothing(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=100)
    shown = book.ledger.PreviewEvents(pb.PreviewEventsRequest(book_id=book.book_id, events=[event]))
    assert [entry.sequence for entry in shown.entries] == [0]
    assert lines(shown.entries[0]) == {PRINCIPAL: ("Dr", 100), DEPOSIT: ("Cr", 100)}
    assert book.balance(PRINCIPAL) == 0
    booked = book.record(event).entries[0]
    booked.sequence = 0
    assert booked == shown.entries[0]


def test_an_entry_is_reversed_once_only_and_a_reversal_never(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    first = reverse(book, 1, "undo")
    assert refused(lambda: reverse(book, 1)) == ("FAILED_PRECONDITION", "ALREADY_REVERSED")
    assert refused(lambda: reverse(book, 2)) == ("FAILED_PRECONDITION", "REVERSAL_NOT_REVERSIBLE")
    assert refused(lambda: reverse(book, 9)) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")
    assert reverse(book, 1, "undo") == first
    origin = book.ledger.GetEntry(pb.GetEntryRequest(book_id=book.book_id, sequence=1)).entry
    assert origin.reversed_by == 2
    assert book.balance(PRINCIPAL, DEPOSIT) == [0, 0]


def test_entries_are_listed_by_event_source_owner_and_date(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100, source="servicing/loan/L1/disbursement")
    book.post(
        "LOAN_DISBURSED",
        principal=100,
        source="servicing/loan/L2/disbursement",
        owners={"LOAN": "L2", "CUSTOMER": "C1"},
    )
    book.close_day("2026-01-15")
    book.post("DISBURSEMENT_PAID", principal=100, source="100%_sure")

    def listed(**wanted: Any) -> list[int]:
        request = pb.ListEntriesRequest(book_id=book.book_id, **wanted)
        return [entry.sequence for entry in book.ledger.ListEntries(request).entries]

    assert listed() == [1, 2, 3]
    assert listed(event="LOAN_DISBURSED") == [1, 2]
    assert listed(source_prefix="servicing/loan/L1/") == [1]
    assert listed(source_prefix="100%_") == [3]
    assert listed(source_prefix="1%") == []
    assert listed(owner=pb.Owner(owner_type="LOAN", owner_id="L2")) == [2]
    assert listed(to_booking_date=day("2026-01-15")) == [1, 2]
    assert listed(from_booking_date=day("2026-01-16")) == [3]
    page = book.ledger.ListEntries(pb.ListEntriesRequest(book_id=book.book_id, page_size=2))
    assert page.next_page_token
    assert listed(page_size=2, page_token=page.next_page_token) == [3]
    assert refused(lambda: listed(page_token="x"))[0] == "INVALID_ARGUMENT"


def test_a_statement_runs_its_balance_across_pages(book: LedgerUnderTest) -> None:
    for amount in (100, 50, -30, 7):
        book.post("LOAN_DISBURSED", principal=amount)
    found: list[tuple[int, int]] = []
    token = ""
    while True:
        answer = book.ledger.ListLines(
            pb.ListLinesRequest(
                book_id=book.book_id, account_number=DEPOSIT, page_size=3, page_token=token
            )
        )
        found += [(line.amount, line.balance_after) for line in answer.lines]
        token = answer.next_page_token
        if not token:
            break
    assert found == [(100, 100), (50, 150), (-30, 120), (7, 127)]


def test_accounts_are_listed_by_owner_and_by_code(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    book.post("PRINCIPAL_OVERDUE", principal=40)

    def listed(**wanted: Any) -> dict[str, int]:
        request = pb.ListAccountsRequest(book_id=book.book_id, **wanted)
        found = book.ledger.ListAccounts(request).accounts
        return {account.account_number: account.balance for account in found}

    loan = {PRINCIPAL: 60, "1303.02:LOAN:L1": 40}
    assert listed(owner_type="LOAN", owner_id="L1") == loan
    assert listed(gl_code="1303.") == loan
    assert listed(gl_code="1303.02") == {"1303.02:LOAN:L1": 40}
    assert listed(owner_id="C1") == {DEPOSIT: 100}


def test_balances_are_told_by_booking_date_and_by_value_date(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    book.close_day("2026-01-15")
    book.post("LOAN_DISBURSED", principal=10, value_date="2026-01-15")
    book.post("LOAN_DISBURSED", principal=1, value_date="2026-01-16")
    assert book.balance(PRINCIPAL) == 111
    assert book.balance(PRINCIPAL, booking_date=day("2026-01-15")) == 100
    assert book.balance(PRINCIPAL, value_date=day("2026-01-15")) == 110
    assert book.balance(PRINCIPAL, value_date=day("2026-01-14")) == 0
    assert book.balance("1303.01:LOAN:NEVER", value_date=day("2026-01-16")) == 0
    assert refused(lambda: book.balance("nonsense"))[0] == "INVALID_ARGUMENT"


def test_an_owner_and_an_account_find_entries_that_have_both_be_it_on_different_lines(
    book: LedgerUnderTest,
) -> None:
    with_both = book.post("LOAN_DISBURSED", principal=100).entries[0]
    book.post("INTEREST_ACCRUED", status=pb.ACCRUAL_STATUS_ACCRUAL, interest=5)

    def listed(account_number: str, owner_type: str, owner_id: str) -> list[int]:
        owner = pb.Owner(owner_type=owner_type, owner_id=owner_id)
        request = pb.ListEntriesRequest(
            book_id=book.book_id, account_number=account_number, owner=owner
        )
        return [one.sequence for one in book.ledger.ListEntries(request).entries]

    assert listed("1303.01:LOAN:L1", "CUSTOMER", "C1") == [with_both.sequence]
    assert listed("6011.01", "CUSTOMER", "C1") == []
