"""The worked entries of DOMAIN.md §2.2, posted as business events over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ledger.ledger_case import LedgerUnderTest, lines

from support import rid
from tael.ledger.v1 import ledger_pb2 as pb

DEPOSIT = "2011.01:CUSTOMER:C1"
UNALLOCATED = "2241.04:CUSTOMER:C1"


def on(gl_code: str) -> str:
    """The loan's account."""
    return f"{gl_code}:LOAN:L1"


def dr(amount: int) -> tuple[str, int]:
    """A debit of minor units."""
    return ("Dr", amount)


def cr(amount: int) -> tuple[str, int]:
    """A credit of minor units."""
    return ("Cr", amount)


ACCRUAL = {"status": pb.ACCRUAL_STATUS_ACCRUAL}
NON_ACCRUAL = {"status": pb.ACCRUAL_STATUS_NON_ACCRUAL}

PLAIN: list[tuple[str, str, dict[str, Any], list[dict[str, tuple[str, int]]]]] = [
    (
        "E01 a line is granted",
        "LINE_GRANTED",
        {"commitment": 2_000_000},
        [{"7201:LINE:N1": dr(2_000_000), "7999": cr(2_000_000)}],
    ),
    (
        "E02a a loan is disbursed",
        "LOAN_DISBURSED",
        {"principal": 1_000_000, "commitment": 1_000_000},
        [
            {
                on("1303.01"): dr(1_000_000),
                DEPOSIT: cr(1_000_000),
                "7999": dr(1_000_000),
                "7201:LINE:N1": cr(1_000_000),
            }
        ],
    ),
    (
        "E02a-2 the payout succeeds",
        "DISBURSEMENT_PAID",
        {"principal": 1_000_000},
        [{DEPOSIT: dr(1_000_000), "1003": cr(1_000_000)}],
    ),
    (
        "E03 a night's interest",
        "INTEREST_ACCRUED",
        {"interest": 323, **ACCRUAL},
        [{on("1132.01"): dr(323), "6011.01": cr(323)}],
    ),
    (
        "E04 interest falls due",
        "INTEREST_DUE",
        {"interest": 10_000},
        [{on("1132.02"): dr(10_000), on("1132.01"): cr(10_000)}],
    ),
    (
        "E05a a repayment from the own account",
        "REPAYMENT_RECEIVED",
        {"interest_due": 10_000, "principal_normal": 78_849},
        [{DEPOSIT: dr(88_849), on("1132.02"): cr(10_000), on("1303.01"): cr(78_849)}],
    ),
    (
        "E05b a repayment through the channel",
        "REPAYMENT_RECEIVED",
        {"funds_channel": 88_849, "interest_due": 10_000, "principal_normal": 78_849},
        [{"1221.01": dr(88_849), on("1132.02"): cr(10_000), on("1303.01"): cr(78_849)}],
    ),
    (
        "E05b-2 the channel settles",
        "CHANNEL_SETTLED",
        {"net": 88_749, "fee": 100, "fee_vat": 6},
        [{"1003": dr(88_749), "6421": dr(94), "2221.01.01": dr(6), "1221.01": cr(88_849)}],
    ),
    (
        "E06 principal becomes overdue",
        "PRINCIPAL_OVERDUE",
        {"principal": 78_849},
        [{on("1303.02"): dr(78_849), on("1303.01"): cr(78_849)}],
    ),
    (
        "E08 an overdue instalment is repaid whole",
        "REPAYMENT_RECEIVED",
        {"compound": 100, "penalty": 788, "interest_due": 10_000, "principal_overdue": 78_849},
        [
            {
                DEPOSIT: dr(89_737),
                on("1132.04"): cr(100),
                on("1132.03"): cr(788),
                on("1132.02"): cr(10_000),
                on("1303.02"): cr(78_849),
            }
        ],
    ),
    (
        "E09 the loan stops accruing",
        "NON_ACCRUAL_ENTERED",
        {
            "principal_normal": 679_842,
            "principal_overdue": 241_309,
            "interest_due": 25_238,
            "interest_accrued": 6_579,
            "penalty": 7_255,
            "compound": 785,
        },
        [
            {
                on("1303.03"): dr(921_151),
                on("1303.01"): cr(679_842),
                on("1303.02"): cr(241_309),
                "6011.01": dr(31_817),
                "6011.02": dr(7_255),
                "6011.03": dr(785),
                on("1132.02"): cr(25_238),
                on("1132.01"): cr(6_579),
                on("1132.03"): cr(7_255),
                on("1132.04"): cr(785),
                on("7001"): dr(31_817),
                on("7002"): dr(7_255),
                on("7003"): dr(785),
                "7999": cr(39_857),
            }
        ],
    ),
    (
        "E10 a night off balance",
        "INTEREST_ACCRUED",
        {"interest": 219, "penalty": 121, "compound": 13, **NON_ACCRUAL},
        [{on("7001"): dr(219), on("7002"): dr(121), on("7003"): dr(13), "7999": cr(353)}],
    ),
    (
        "E11-1 a repayment takes principal first",
        "REPAYMENT_RECEIVED",
        {"principal_impaired": 50_000},
        [{DEPOSIT: dr(50_000), on("1303.03"): cr(50_000)}],
    ),
    (
        "E11-2 interest comes in from off balance",
        "REPAYMENT_RECEIVED",
        {"offbalance_interest": 25_238},
        [{DEPOSIT: dr(25_238), "6011.01": cr(25_238), "7999": dr(25_238), on("7001"): cr(25_238)}],
    ),
    (
        "E12 the loan accrues again",
        "NON_ACCRUAL_LEFT",
        {"principal_normal": 679_842},
        [{on("1303.01"): dr(679_842), on("1303.03"): cr(679_842)}],
    ),
    (
        "E13-1 the first stage's allowance",
        "ALLOWANCE_ADJUSTED",
        {"stage1": 12_000},
        [{"6702": dr(12_000), on("1304.01"): cr(12_000)}],
    ),
    (
        "E13-2 the allowance moves",
        "ALLOWANCE_MOVED",
        {"stage1_to_stage2": 12_000},
        [{on("1304.01"): dr(12_000), on("1304.02"): cr(12_000)}],
    ),
    (
        "E13-6 a release is a red allowance",
        "ALLOWANCE_ADJUSTED",
        {"stage3": -30_000},
        [{"6702": dr(-30_000), on("1304.03"): cr(-30_000)}],
    ),
    (
        "E14 the loan is written off in three steps",
        "LOAN_WRITTEN_OFF",
        {
            "allowance_top_up": 318_460,
            "principal": 871_151,
            "interest": 31_817,
            "penalty": 7_255,
            "compound": 785,
        },
        [
            {"6702": dr(318_460), on("1304.03"): cr(318_460)},
            {
                on("1304.03"): dr(871_151),
                on("1303.03"): cr(871_151),
                on("7101"): dr(871_151),
                "7999": cr(871_151),
            },
            {
                on("7102"): dr(39_857),
                on("7001"): cr(31_817),
                on("7002"): cr(7_255),
                on("7003"): cr(785),
            },
        ],
    ),
    (
        "E15 money comes in after the write-off",
        "RECOVERY_RECEIVED",
        {"principal": 100_000, "interest": 10_600},
        [
            {on("1303.03"): dr(100_000), on("1304.03"): cr(100_000)},
            {"1003": dr(100_000), on("1303.03"): cr(100_000)},
            {
                on("1304.03"): dr(100_000),
                "6702": cr(100_000),
                "7999": dr(100_000),
                on("7101"): cr(100_000),
            },
            {"1003": dr(10_600), "6011.01": cr(10_600), "7999": dr(10_600), on("7102"): cr(10_600)},
        ],
    ),
    (
        "E16-1 penalty and compound are waived",
        "INTEREST_WAIVED",
        {"penalty": 788, "compound": 100},
        [{"6011.02": dr(788), "6011.03": dr(100), on("1132.03"): cr(788), on("1132.04"): cr(100)}],
    ),
    (
        "E17-0 a true-up downwards is red",
        "INTEREST_TRUED_UP",
        {"interest": -94},
        [{on("1132.01"): dr(-94), "6011.01": cr(-94)}],
    ),
    (
        "E18-1 the customer pays too much",
        "REPAYMENT_RECEIVED",
        {
            "funds_transfer": 90_000,
            "interest_due": 10_000,
            "principal_normal": 78_849,
            "overpayment": 1_151,
        },
        [
            {
                "1003": dr(90_000),
                on("1132.02"): cr(10_000),
                on("1303.01"): cr(78_849),
                "2241.03:CUSTOMER:C1": cr(1_151),
            }
        ],
    ),
    (
        "E24 an agency earns its commission",
        "COMMISSION_DUE",
        {"commission": 25_000},
        [{"6421": dr(25_000), "2241.06:PARTNER:P1": cr(25_000)}],
    ),
]

SPLIT: list[tuple[str, str, dict[str, Any], list[dict[str, tuple[str, int]]]]] = [
    (
        "E03 a night's interest",
        "INTEREST_ACCRUED",
        {"interest": 323, "interest_vat": 18, **ACCRUAL},
        [{on("1132.01"): dr(323), "6011.01": cr(305), "2221.06": cr(18)}],
    ),
    (
        "E07 penalty and compound",
        "INTEREST_ACCRUED",
        {"penalty": 788, "penalty_vat": 45, "compound": 100, "compound_vat": 6, **ACCRUAL},
        [
            {
                on("1132.03"): dr(788),
                on("1132.04"): dr(100),
                "6011.02": cr(743),
                "6011.03": cr(94),
                "2221.06": cr(51),
            }
        ],
    ),
    (
        "E09-2 recognised income goes off balance",
        "NON_ACCRUAL_ENTERED",
        {
            "interest_due": 25_238,
            "interest_accrued": 6_579,
            "penalty": 7_255,
            "compound": 785,
            "vat_declared": 1_429,
            "interest_vat_not_due": 372,
            "penalty_vat_not_due": 411,
            "compound_vat_not_due": 44,
        },
        [
            {
                "6011.01": dr(30_016),
                "6011.02": dr(6_844),
                "6011.03": dr(741),
                "2221.06": dr(827),
                on("1221.03"): dr(1_429),
                on("1132.02"): cr(25_238),
                on("1132.03"): cr(7_255),
                on("1132.04"): cr(785),
                on("1132.01"): cr(6_579),
                on("7001"): dr(31_817),
                on("7002"): dr(7_255),
                on("7003"): dr(785),
                "7999": cr(39_857),
            }
        ],
    ),
    (
        "E17-2 the loan is settled early",
        "REPAYMENT_RECEIVED",
        {
            "principal_normal": 514_920,
            "interest_accrued": 2_918,
            "prepayment_fee": 5_149,
            "prepayment_fee_vat": 291,
        },
        [
            {
                DEPOSIT: dr(522_987),
                on("1303.01"): cr(514_920),
                on("1132.01"): cr(2_918),
                "6021.02": cr(4_858),
                "2221.01.07": cr(291),
            }
        ],
    ),
]


@pytest.fixture(scope="module")
def plain(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A bank's book, VAT NONE."""
    return new_book()


@pytest.fixture(scope="module")
def split(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A bank's book, VAT SPLIT."""
    return new_book(vat_mode=pb.VAT_MODE_SPLIT)


@pytest.mark.parametrize(
    ("event", "amounts", "expected"), [row[1:] for row in PLAIN], ids=[row[0] for row in PLAIN]
)
def test_the_worked_entry_is_posted_without_vat(
    plain: LedgerUnderTest,
    event: str,
    amounts: dict[str, Any],
    expected: list[dict[str, tuple[str, int]]],
) -> None:
    answer = plain.post(event, **amounts)
    assert [lines(entry) for entry in answer.entries] == expected


@pytest.mark.parametrize(
    ("event", "amounts", "expected"), [row[1:] for row in SPLIT], ids=[row[0] for row in SPLIT]
)
def test_the_worked_entry_is_posted_with_vat_split(
    split: LedgerUnderTest,
    event: str,
    amounts: dict[str, Any],
    expected: list[dict[str, tuple[str, int]]],
) -> None:
    answer = split.post(event, **amounts)
    assert [lines(entry) for entry in answer.entries] == expected


def test_a_consumer_finance_company_disburses_through_clearing_and_its_bank(
    new_book: Callable[..., LedgerUnderTest],
) -> None:
    book = new_book(lender_type=pb.LENDER_TYPE_CONSUMER_FINANCE)
    sent = book.post("LOAN_DISBURSED", principal=1_000_000).entries[0]
    paid = book.post("DISBURSEMENT_PAID", principal=1_000_000).entries[0]
    repaid = book.post("REPAYMENT_RECEIVED", funds_transfer=100, principal_normal=100).entries[0]
    assert lines(sent) == {on("1303.01"): dr(1_000_000), on("2241.01"): cr(1_000_000)}
    assert lines(paid) == {on("2241.01"): dr(1_000_000), "1002": cr(1_000_000)}
    assert lines(repaid) == {"1002": dr(100), on("1303.01"): cr(100)}
    assert book.balance(UNALLOCATED) == 0


def test_after_every_worked_entry_the_books_prove_themselves(
    plain: LedgerUnderTest, split: LedgerUnderTest
) -> None:
    for book in (plain, split):
        totals = book.trial_balance()
        assert totals.total_debits == totals.total_credits
        assert book.findings() == []


def test_the_reversal_of_a_repayment_is_red_on_the_same_sides(book: LedgerUnderTest) -> None:
    origin = book.post("REPAYMENT_RECEIVED", interest_due=10_000, principal_normal=78_849)
    answer = book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(
            request_id=rid(),
            book_id=book.book_id,
            sequence=origin.entries[0].sequence,
            reason="paid by mistake",
        )
    )
    red = {on("1132.02"): cr(-10_000), on("1303.01"): cr(-78_849), DEPOSIT: dr(-88_849)}
    assert lines(answer.entry) == red
    assert answer.entry.reversal_of == origin.entries[0].sequence
    assert answer.entry.narrative == "paid by mistake"
    turnover = book.ledger.GetBalances(
        pb.GetBalancesRequest(book_id=book.book_id, account_numbers=[DEPOSIT])
    ).balances[0]
    assert (turnover.debits_posted, turnover.credits_posted) == (0, 0)
