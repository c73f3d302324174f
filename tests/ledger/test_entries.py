"""The worked entries, booked as business events over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest, lines
from ledger.worked_entries import Voucher, WorkedEntry, worked_entries

from support import refusal, rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger.posting_rules import RuleAccount

WORKED = worked_entries()
BOOKS = sorted({(entry.lender_type, entry.vat_mode) for entry in WORKED})
Books = Callable[[str, str], LedgerUnderTest]


@pytest.fixture(scope="module")
def books(new_book: Callable[..., LedgerUnderTest]) -> Books:
    """One book a lender type and VAT mode."""

    @cache
    def book(lender_type: str, vat_mode: str) -> LedgerUnderTest:
        return new_book(
            lender_type=pb.LenderType.Value(f"LENDER_TYPE_{lender_type}"),
            vat_mode=pb.VatMode.Value(f"VAT_MODE_{vat_mode}"),
        )

    return book


def happening(book: LedgerUnderTest, entry: WorkedEntry) -> pb.BusinessEvent:
    """The entry's event."""
    status = f"ACCRUAL_STATUS_{entry.accrual_status or 'UNSPECIFIED'}"
    return book.event(
        entry.event,
        owners={owner_type: f"{owner_type}-1" for owner_type in entry.owner_types},
        status=pb.AccrualStatus.Value(status),
        **entry.amounts,
    )


def voucher(entry: pb.Entry) -> Voucher:
    """What was posted, by account as a rule names it."""
    return {RuleAccount(*number.split(":")[:2]): posted for number, posted in lines(entry).items()}


@pytest.mark.parametrize("entry", WORKED, ids=[entry.title.partition(": ")[2] for entry in WORKED])
def test_the_event_makes_the_worked_vouchers(books: Books, entry: WorkedEntry) -> None:
    book = books(entry.lender_type, entry.vat_mode)
    preview = book.ledger.PreviewEvents(
        pb.PreviewEventsRequest(book_id=book.book_id, events=[happening(book, entry)])
    )
    assert [voucher(each) for each in preview.entries] == entry.vouchers


@pytest.mark.parametrize(("lender_type", "vat_mode"), BOOKS)
def test_after_every_worked_entry_the_book_proves_itself(
    books: Books, lender_type: str, vat_mode: str
) -> None:
    book = books(lender_type, vat_mode)
    own = [
        entry for entry in WORKED if (entry.lender_type, entry.vat_mode) == (lender_type, vat_mode)
    ]
    answer = book.record(*(happening(book, entry) for entry in own))
    expected = [each for entry in own for each in entry.vouchers]
    assert [voucher(each) for each in answer.entries] == expected
    totals = book.trial_balance()
    assert totals.total_debits == totals.total_credits
    assert book.findings() == []


@pytest.mark.parametrize("vat_mode", ["NONE", "EXEMPT"])
def test_a_book_without_vat_refuses_an_amount_of_vat(books: Books, vat_mode: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        books("BANK", vat_mode).post("INTEREST_DUE", interest=10_000, interest_vat=566)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NO_POSTING_RULE")


@pytest.mark.parametrize("lender_type", ["CONSUMER_FINANCE", "MICROLOAN"])
def test_a_lender_without_deposits_refuses_money_from_a_deposit(
    books: Books, lender_type: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        books(lender_type, "NONE").post("OVERPAYMENT_REFUNDED", funds_deposit=1_151)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NO_POSTING_RULE")


def reverse(book: LedgerUnderTest, sequence: int) -> pb.Entry:
    """The reversal of an entry, in red ink."""
    request = pb.ReverseEntryRequest(
        request_id=rid(), book_id=book.book_id, sequence=sequence, reason="posted by mistake"
    )
    return book.ledger.ReverseEntry(request).entry


def test_the_reversal_of_a_repayment_is_red_on_the_same_sides(book: LedgerUnderTest) -> None:
    deposit = "2011.01:CUSTOMER:C1"
    origin = book.post("REPAYMENT_RECEIVED", interest_due=10_000, principal_normal=78_849)
    red = reverse(book, origin.entries[0].sequence)
    assert lines(red) == {
        deposit: ("Dr", -88_849),
        "1132.02:LOAN:L1": ("Cr", -10_000),
        "1303.01:LOAN:L1": ("Cr", -78_849),
    }
    assert red.reversal_of == origin.entries[0].sequence
    assert red.narrative == "posted by mistake"
    turnover = book.ledger.GetBalances(
        pb.GetBalancesRequest(book_id=book.book_id, account_numbers=[deposit])
    ).balances[0]
    assert (turnover.debits_posted, turnover.credits_posted) == (0, 0)


def test_the_reversal_of_a_disbursement_restores_the_line(book: LedgerUnderTest) -> None:
    book.post("LINE_GRANTED", commitment=2_000_000)
    origin = book.post("LOAN_DISBURSED", principal=1_000_000, commitment=1_000_000)
    assert book.balance("7201:LINE:N1") == 1_000_000
    reverse(book, origin.entries[0].sequence)
    assert book.balance("7201:LINE:N1", "1303.01:LOAN:L1") == [2_000_000, 0]


def test_a_worked_life_of_an_impaired_loan_leaves_nothing_behind(book: LedgerUnderTest) -> None:
    """9,211.51 stops accruing, pays 500.00, is written off, and is recovered whole."""
    book.post("LOAN_DISBURSED", principal=921_151)
    book.post("PRINCIPAL_OVERDUE", principal=241_309)
    book.post("NON_ACCRUAL_ENTERED", principal_normal=679_842, principal_overdue=241_309)
    book.post("ALLOWANCE_ADJUSTED", stage3=552_691)
    book.post("REPAYMENT_RECEIVED", funds_transfer=50_000, principal_impaired=50_000)
    book.post("LOAN_WRITTEN_OFF", allowance_top_up=318_460, principal=871_151)
    book.post("RECOVERY_RECEIVED", principal=871_151)
    left = ["1303.01:LOAN:L1", "1303.02:LOAN:L1", "1303.03:LOAN:L1", "1304.03:LOAN:L1"]
    assert book.balance(*left, "7101:LOAN:L1", "6702") == [0, 0, 0, 0, 0, 0]


def test_what_leaves_the_balance_sheet_at_non_accrual_comes_back_whole_when_cured(
    new_book: Callable[..., LedgerUnderTest],
) -> None:
    book = new_book(vat_mode=pb.VAT_MODE_SPLIT)
    both_ways = {
        "principal_normal": 679_842,
        "principal_overdue": 241_309,
        "interest_accrued": 6_579,
        "penalty": 7_255,
        "compound": 785,
        "vat_declared": 1_429,
        "interest_vat_not_due": 372,
        "penalty_vat_not_due": 411,
        "compound_vat_not_due": 44,
    }
    book.post("NON_ACCRUAL_ENTERED", interest_due=25_238, **both_ways)
    assert book.balance("1221.03:LOAN:L1", "2221.06", "7001:LOAN:L1") == [1_429, -827, 31_817]
    book.post("NON_ACCRUAL_LEFT", interest=25_238, **both_ways)
    totals = book.trial_balance()
    assert [row.account.code for row in totals.rows if row.balance] == []
