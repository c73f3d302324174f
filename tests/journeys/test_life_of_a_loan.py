"""The whole story, told once through the real services; then what it must have left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from support import House
from tael.ledger.v1 import accounting_pb2, accounting_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from tael.origination.v1 import application_pb2
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    repayment_pb2,
    repayment_pb2_grpc,
)
from tael_cli.demo.show import Stage
from tael_cli.demo.story import CHEN, LI, WANG, ZHANG, Story
from tael_cli.services import Services
from tael_client.values import to_date

BOOK = "main"

pytestmark = pytest.mark.timeout(900)
# The story is told before the first test, and a slow machine takes minutes to tell it.


@dataclass
class Life:
    """What the story left."""

    house: House
    story: Story
    sound: bool
    text: str

    def entries(self, loan_id: str, event: str = "") -> list[ledger_pb2.Entry]:
        ledger = self.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
        request = ledger_pb2.ListEntriesRequest(
            book_id=BOOK,
            event=event,
            owner=ledger_pb2.Owner(owner_type="LOAN", owner_id=loan_id),
            page_size=1000,
        )
        return list(ledger.ListEntries(request).entries)

    def loan(self, loan_id: str) -> loan_pb2.Loan:
        loans = self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)
        return loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=loan_id)).loan

    def nights(self, loan_id: str) -> list[loan_pb2.LoanEvent]:
        loans = self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)
        request = loan_pb2.ListLoanEventsRequest(loan_id=loan_id, page_size=1000)
        events = loans.ListLoanEvents(request).events
        return [event for event in events if event.event == "INTEREST_ACCRUED"]

    def line(self, line_id: str) -> credit_line_pb2.CreditLine:
        lines = self.house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
        return lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line_id)).line


@pytest.fixture(scope="module")
def life(open_house: Callable[..., House]) -> Iterator[Life]:
    house = open_house("simulators", "ledger", "servicing", "risk", "origination", "collections")
    house.spawn("gateway")
    console = Console(record=True, width=150, file=StringIO())
    services = Services(house.settings)
    story = Story(services, Stage(console), house.clock, house.settings)
    sound = story.tell()
    text = console.export_text()
    yield Life(house, story, sound, text)
    services.close()


def sides(entry: ledger_pb2.Entry) -> dict[str, int]:
    """GL code → debit (+) or credit (−), as on the voucher."""
    found: dict[str, int] = {}
    for line in entry.lines:
        code = line.account_number.partition(":")[0]
        sign = 1 if line.side == ledger_pb2.SIDE_DEBIT else -1
        found[code] = found.get(code, 0) + sign * line.amount
    return found


def test_the_books_are_sound_and_beancount_agrees(life: Life) -> None:
    assert life.sound, life.text[-3000:]
    assert "accepts it" in life.text


def test_the_trial_balance_is_zero(life: Life) -> None:
    accounting = life.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub)
    answer = accounting.TrialBalance(accounting_pb2.TrialBalanceRequest(book_id=BOOK))
    assert answer.total_debits == answer.total_credits != 0


def test_the_good_are_approved_at_12_percent_the_bad_declined_the_middling_reviewed(
    life: Life,
) -> None:
    approved = application_pb2.APPLICATION_STATE_APPROVED
    assert [p.application.state for p in (ZHANG, LI, CHEN)] == [approved] * 3
    assert WANG.application.state == application_pb2.APPLICATION_STATE_REJECTED
    assert WANG.application.customer_reasons
    assert not any("E002" in reason for reason in WANG.application.customer_reasons)
    assert life.line(ZHANG.application.line_id).annual_rate.value == "0.12"
    assert CHEN.application.approved_limit.minor_units == 1_000_000
    assert "reviewer.liu proposed it; a second person decides" in life.text


def test_disbursement_is_loan_against_deposit_and_the_payout_leaves_through_the_central_bank(
    life: Life,
) -> None:
    (lent,) = life.entries(life.story.l1, "LOAN_DISBURSED")
    booked = sides(lent)
    assert (booked["1303.01"], booked["2011.01"]) == (1_000_000, -1_000_000)
    assert booked["7201"] == -1_000_000
    ledger = life.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
    owner = ledger_pb2.Owner(owner_type="CUSTOMER", owner_id=ZHANG.customer_id)
    (paid,) = ledger.ListEntries(
        ledger_pb2.ListEntriesRequest(book_id=BOOK, event="DISBURSEMENT_PAID", owner=owner)
    ).entries
    assert sides(paid) == {"2011.01": 1_000_000, "1003": -1_000_000}


def test_an_unknown_payout_is_queried_and_sent_once(life: Life) -> None:
    outside = life.house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
    payments = outside.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
    (paid,) = [p for p in payments if p.card_token == LI.card_token and not p.debit]
    assert (paid.times_sent, paid.moved) == (1, True)


def test_a_failed_payout_is_reversed_in_red_and_the_line_released(life: Life) -> None:
    loans = life.house.client("servicing", loan_pb2_grpc.LoanServiceStub)
    request = loan_pb2.ListLoansRequest(customer_id=CHEN.customer_id)
    (failed,) = loans.ListLoans(request).loans
    assert failed.state == loan_pb2.LOAN_STATE_CANCELLED
    original, red = life.entries(failed.loan_id)
    assert not original.reversal_of
    assert red.reversal_of == original.sequence
    assert [line.amount for line in red.lines] == [-line.amount for line in original.lines]
    line = life.line(CHEN.application.line_id)
    assert (line.used.minor_units, line.reserved.minor_units) == (0, 0)


def test_31_nights_of_100_yuan_are_3_23_then_3_22_and_100_in_all(life: Life) -> None:
    first_period = [event.amounts["interest"] for event in life.nights(life.story.l1)[:31]]
    assert first_period[:2] == [323, 322]
    assert sum(first_period) == 10_000


def test_one_debit_succeeds_and_the_other_customer_pays_over_rest(life: Life) -> None:
    repayments = life.house.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)

    def first(loan_id: str) -> repayment_pb2.Repayment:
        request = repayment_pb2.ListRepaymentsRequest(loan_id=loan_id)
        return repayments.ListRepayments(request).repayments[0]

    debited, paid = first(life.story.l1), first(life.story.l2)
    assert debited.funding == repayment_pb2.FUNDING_CHANNEL
    assert paid.funding == repayment_pb2.FUNDING_TRANSFER
    for repayment in (debited, paid):
        assert repayment.amount.minor_units == 88_849
        assert (repayment.allocation.interest, repayment.allocation.principal) == (10_000, 78_849)
        assert to_date(repayment.value_date) == date(2026, 2, 15)


def test_day_91_moves_principal_and_takes_uncollected_income_off_balance(life: Life) -> None:
    (moved,) = life.entries(life.story.l1, "NON_ACCRUAL_ENTERED")
    assert to_date(moved.value_date) == date(2026, 6, 14)
    booked = sides(moved)
    assert (booked["1303.03"], booked["1303.01"], booked["1303.02"]) == (
        921_151,
        -679_842,
        -241_309,
    )
    assert (booked["6011.01"], booked["6011.02"], booked["6011.03"]) == (31_817, 7_255, 785)
    assert (booked["1132.01"], booked["1132.02"], booked["1132.03"], booked["1132.04"]) == (
        -6_579,
        -25_238,
        -7_255,
        -785,
    )
    assert (booked["7001"], booked["7002"], booked["7003"]) == (31_817, 7_255, 785)


def test_the_next_night_accrues_off_balance(life: Life) -> None:
    (night,) = [e for e in life.nights(life.story.l1) if to_date(e.value_date) == date(2026, 6, 14)]
    assert dict(night.amounts) == {"interest": 219, "penalty": 121, "compound": 13}


def test_the_gate_refuses_the_fourth_call_and_ten_at_night(life: Life) -> None:
    assert "DENY DAILY_CALL_LIMIT" in life.text
    assert "DENY QUIET_HOURS" in life.text
    assert "is BROKEN" in life.text


def test_l2_is_quoted_prepays_and_settles_to_the_cent(life: Life) -> None:
    assert "principal 5,149.20 + interest 29.18 + fee 51.49 = 5,229.87" in life.text
    assert "370.84" in life.text
    loan = life.loan(life.story.l2)
    assert loan.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    line = life.line(LI.application.line_id)
    assert line.used.minor_units == 0
    assert line.available == line.limit


def test_the_write_off_takes_the_principal_off_and_keeps_the_claim(life: Life) -> None:
    top_up, principal, memo = [sides(e) for e in life.entries(life.story.l1, "LOAN_WRITTEN_OFF")]
    assert top_up == {"6702": 368_460, "1304.03": -368_460}
    assert (principal["1304.03"], principal["1303.03"], principal["7101"]) == (
        921_151,
        -921_151,
        921_151,
    )
    assert memo["7102"] == -(memo["7001"] + memo["7002"] + memo["7003"])
    loan = life.loan(life.story.l1)
    assert loan.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert loan.balances.written_off_principal == 821_151


def test_recovery_after_write_off_is_reinstated_received_and_released(life: Life) -> None:
    steps = [sides(entry) for entry in life.entries(life.story.l1, "RECOVERY_RECEIVED")]
    assert [set(step) - {"7999"} for step in steps] == [
        {"1303.03", "1304.03"},
        {"1003", "1303.03"},
        {"1304.03", "6702", "7101", "7201"},
    ]
    assert steps[1]["1003"] == 100_000
    assert "commission 250.00" in life.text
