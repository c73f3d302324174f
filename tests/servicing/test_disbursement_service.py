"""A loan is paid out once, or not at all, whatever the outside world answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import grpc
import pytest
from servicing.bank import PAY, VERIFY, Bank

from support import refusal, rid, violations, wait_until
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import credit_line_pb2, loan_pb2
from tael_client.values import from_date, money, to_date


def test_a_loan_is_booked_paid_out_and_occupies_its_line(bank: Bank) -> None:
    line = bank.grant()
    loan = bank.lend(line.line_id, card="card-a")
    assert loan.state == loan_pb2.LOAN_STATE_NORMAL
    assert bank.line(line.line_id) == (1_000_000, 0, 1_000_000)
    assert bank.vouchers(loan.loan_id, "LOAN_DISBURSED") == [
        ("1303.01", "Dr", 1_000_000),
        ("7999", "Dr", 1_000_000),
        ("2011.01", "Cr", 1_000_000),
        ("7201", "Cr", 1_000_000),
    ]
    assert bank.vouchers(loan.loan_id, "DISBURSEMENT_PAID") == [
        ("2011.01", "Dr", 1_000_000),
        ("1003", "Cr", 1_000_000),
    ]
    (payment,) = bank.payments("card-a")
    assert (payment.payment_id, payment.times_sent) == (f"pay:{loan.loan_id}", 1)
    bank.assert_books_agree()


def test_the_same_request_pays_out_once(bank: Bank) -> None:
    request = bank.disbursement(bank.grant().line_id, "card-once")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bank.loans.DisburseLoan(request).loan, range(8)))
    assert len({loan.loan_id for loan in answers}) == 1
    (payment,) = bank.payments("card-once")
    assert payment.times_sent == 1
    assert bank.loan(answers[0].loan_id).state == loan_pb2.LOAN_STATE_NORMAL


def test_a_failed_payout_is_reversed_in_red_and_releases_the_line(bank: Bank) -> None:
    line = bank.grant()
    bank.script(PAY, "card-closed", Behaviour(failure_code="CARD_CLOSED"))
    loan = bank.lend(line.line_id, card="card-closed")
    assert loan.state == loan_pb2.LOAN_STATE_CANCELLED
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    assert [line[2] for line in bank.vouchers(loan.loan_id, "LOAN_DISBURSED")] == [-1_000_000] * 4
    assert bank.owes(loan.loan_id) == {}
    bank.assert_books_agree()
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(loan.loan_id, 100)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "LOAN_NOT_OPEN")
    kinds = [
        movement.kind
        for movement in bank.lines.ListLineMovements(
            credit_line_pb2.ListLineMovementsRequest(line_id=line.line_id)
        ).movements
    ]
    assert kinds == [
        credit_line_pb2.LINE_MOVEMENT_KIND_GRANTED,
        credit_line_pb2.LINE_MOVEMENT_KIND_RESERVED,
        credit_line_pb2.LINE_MOVEMENT_KIND_RELEASED,
    ]


def test_nothing_is_paid_to_a_card_that_is_not_the_customer_s(bank: Bank) -> None:
    line = bank.grant()
    bank.script(VERIFY, "card-of-another", Behaviour(outcome="MISMATCH"))
    loan = bank.lend(line.line_id, card="card-of-another")
    assert loan.state == loan_pb2.LOAN_STATE_CANCELLED
    request = loan_pb2.ListPayoutsRequest(loan_id=loan.loan_id)
    (payout,) = bank.loans.ListPayouts(request).payouts
    assert (payout.state, payout.failure_code) == (loan_pb2.PAYOUT_STATE_FAILED, "CARD_NOT_OWN")
    assert bank.payments("card-of-another") == []
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    bank.assert_books_agree()


def test_a_payout_waits_while_nobody_can_say_whose_the_card_is(bank: Bank) -> None:
    line = bank.grant()
    silent, unsure = Behaviour(status_code=13), Behaviour(outcome="UNKNOWN")
    bank.script(VERIFY, "card-in-fog", silent, *[unsure] * 2)
    loan = bank.lend(line.line_id, card="card-in-fog")
    assert loan.state == loan_pb2.LOAN_STATE_PAYING
    assert bank.line(line.line_id) == (0, 1_000_000, 1_000_000)
    assert bank.payments("card-in-fog") == []
    paid = loan_pb2.LOAN_STATE_NORMAL
    wait_until(lambda: bank.loan(loan.loan_id).state == paid, 20, "the payout to be known")
    (payment,) = bank.payments("card-in-fog")
    assert (payment.times_sent, payment.moved) == (1, True)


def test_an_unknown_payout_is_asked_after_and_never_sent_again(bank: Bank) -> None:
    line = bank.grant()
    bank.script(PAY, "card-slow", Behaviour(unknown_answers=2))
    loan = bank.lend(line.line_id, card="card-slow")
    assert loan.state == loan_pb2.LOAN_STATE_PAYING
    assert bank.line(line.line_id) == (0, 1_000_000, 1_000_000)
    paid = loan_pb2.LOAN_STATE_NORMAL
    wait_until(lambda: bank.loan(loan.loan_id).state == paid, what="the payout to be known")
    (payment,) = bank.payments("card-slow")
    assert (payment.times_sent, payment.moved) == (1, True)
    assert bank.line(line.line_id) == (1_000_000, 0, 1_000_000)


def test_a_payout_known_only_days_later_bears_interest_from_the_day_it_is_known(bank: Bank) -> None:
    bank.script(PAY, "card-late", Behaviour(unknown_answers=1000))
    loan = bank.lend(card="card-late")
    bank.end_days(bank.day + timedelta(days=3))
    assert bank.owes(loan.loan_id) == {"principal_normal": 1_000_000}
    bank.assert_books_agree()
    bank.house.sql(
        "UPDATE payment SET unknown_left = 0 WHERE card_token = 'card-late'",
        "simulators",
        write=True,
    )
    paid = loan_pb2.LOAN_STATE_NORMAL
    wait_until(lambda: bank.loan(loan.loan_id).state == paid, what="the payout to be known")
    told = bank.told
    wait_until(lambda: all(each.entry_sequences for each in told(loan.loan_id)), what="its posting")
    assert bank.owes(loan.loan_id) == {"principal_normal": 1_000_000}
    assert to_date(bank.loan(loan.loan_id).start_date) == bank.day
    assert to_date(bank.schedule(loan.loan_id)[0].due_date) == date(2026, 2, 18)
    bank.end_day()
    assert bank.owes(loan.loan_id)["interest_accrued"] == 323
    bank.assert_books_agree()


def test_an_answer_that_got_lost_is_not_a_payment_made_twice(bank: Bank) -> None:
    bank.script(PAY, "card-lost", Behaviour(status_code=14))
    loan = bank.lend(card="card-lost")
    assert loan.state == loan_pb2.LOAN_STATE_PAYING
    paid = loan_pb2.LOAN_STATE_NORMAL
    wait_until(lambda: bank.loan(loan.loan_id).state == paid, 20, "the payout to be known")
    assert sum(payment.moved for payment in bank.payments("card-lost")) == 1


LONG_AGO = "UPDATE payout SET sent_at = sent_at - interval '10 seconds' WHERE loan_id = :loan"


def failure_code(bank: Bank, loan_id: str) -> str:
    """What speaks against a loan's payout so far."""
    (payout,) = bank.loans.ListPayouts(loan_pb2.ListPayoutsRequest(loan_id=loan_id)).payouts
    return payout.failure_code


@pytest.mark.parametrize("arrived", [True, False])
def test_a_refusal_to_send_again_is_not_taken_for_what_became_of_the_first(
    bank: Bank, *, arrived: bool
) -> None:
    card = f"card-again-{arrived}"
    bank.script(PAY, card, Behaviour(status_code=14), Behaviour(status_code=9, taken=arrived))
    line = bank.grant()
    loan_id = bank.lend(line.line_id, card=card).loan_id
    for kept in ("", "REFUSED_FAILED_PRECONDITION"):
        wait_until(lambda code=kept: failure_code(bank, loan_id) == code, what="the refusal")
        bank.house.sql(LONG_AGO, "servicing", write=True, loan=loan_id)
    known = loan_pb2.LOAN_STATE_NORMAL if arrived else loan_pb2.LOAN_STATE_CANCELLED
    wait_until(lambda: bank.loan(loan_id).state == known, what="the payout to be known")
    assert [payment.moved for payment in bank.payments(card)] == [True] * arrived
    assert bank.line(line.line_id) == (1_000_000 * arrived, 0, 2_000_000 - 1_000_000 * arrived)


def test_a_storm_of_drawdowns_never_exceeds_the_line(bank: Bank) -> None:
    line = bank.grant(limit=1_000_000)

    def draw(number: int) -> str:
        try:
            bank.lend(line.line_id, card=f"storm-{number}", principal=money(90_000))
        except grpc.RpcError as error:
            return refusal(error)[1]
        return "LENT"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(draw, range(32)))
    assert outcomes.count("LENT") == 11
    assert outcomes.count("LINE_EXCEEDED") == 21
    assert bank.line(line.line_id) == (990_000, 0, 10_000)
    bank.assert_books_agree()


def test_a_drawdown_is_refused_with_the_reason(bank: Bank) -> None:
    line = bank.grant(valid_to=from_date(bank.day + timedelta(days=1)))
    freeze = credit_line_pb2.FreezeCreditLineRequest(
        request_id=rid(), line_id=line.line_id, reason="card reported stolen"
    )
    bank.lines.FreezeCreditLine(freeze)
    assert _refused(bank, line.line_id) == ("FAILED_PRECONDITION", "LINE_FROZEN")
    bank.lines.UnfreezeCreditLine(
        credit_line_pb2.UnfreezeCreditLineRequest(
            request_id=rid(), line_id=line.line_id, reason="card replaced"
        )
    )
    exceeding = money(2_000_001)
    assert _refused(bank, line.line_id, principal=exceeding)[1] == "LINE_EXCEEDED"
    assert _refused(bank, "cl_none")[0] == "NOT_FOUND"
    bank.end_days(bank.day + timedelta(days=2))
    assert _refused(bank, line.line_id) == ("FAILED_PRECONDITION", "LINE_EXPIRED")
    closed = bank.lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line.line_id))
    assert closed.line.state == credit_line_pb2.LINE_STATE_CLOSED
    bank.assert_books_agree()


def test_nothing_more_is_lent_to_a_customer_who_is_past_due(bank: Bank) -> None:
    line = bank.grant(customer="late-payer")
    bank.fails("card-late-payer")
    bank.lend(line.line_id, card="card-late-payer", principal=money(10_000), periods=1)
    bank.end_days(date(2026, 2, 16))
    assert _refused(bank, line.line_id)[1] == "CUSTOMER_OVERDUE"


def test_a_bad_drawdown_names_its_field(bank: Bank) -> None:
    line_id = bank.grant().line_id
    for choices, field in (
        ({"principal": money(-1)}, "principal.minor_units"),
        ({"principal": money(1_000_000, "USD")}, "principal.currency_code"),
        ({"principal": money(999)}, "principal.minor_units"),
        ({"periods": 25}, "periods"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.lend(line_id, **choices)
        assert list(violations(refused.value)) == [field]
    assert bank.line(line_id) == (0, 0, 2_000_000)


def _refused(bank: Bank, line_id: str, **choices: object) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        bank.lend(line_id, **choices)
    return refusal(refused.value)
