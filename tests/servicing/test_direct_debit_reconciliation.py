"""Ours, the channel's and the bank's: to the cent, and what differs is found, aged and resolved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import DEBIT, DUE_TOMORROW, Bank

from support import refusal, rid, violations
from tael.provider.v1 import payment_pb2, payment_pb2_grpc
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael.servicing.v1 import direct_debit_pb2_grpc, repayment_pb2
from tael_client.values import from_date

DUE = date(2026, 1, 16)
INSTALMENT = 87_998
FEE = 100

Line = tuple[str, int]


@pytest.fixture
def bank(new_bank: type[Bank]) -> Bank:
    """A bank whose loans have something due on its second day."""
    return new_bank(**DUE_TOMORROW)


def lend(bank: Bank, card: str) -> str:
    """A loan with something due tomorrow."""
    return bank.lend(card=f"{bank.book}-{card}", repay_day=DUE.day).loan_id


def collect(bank: Bank, *cards: str) -> list[str]:
    """A loan a card, whose first instalment was collected and booked; the day after is open."""
    loan_ids = [lend(bank, card) for card in cards]
    bank.end_days(DUE)
    for loan_id in loan_ids:
        bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    return loan_ids


def payment_of(bank: Bank, loan_id: str) -> str:
    return bank.debits(loan_id)[-1].payment_id


def settlement_file(bank: Bank, loan_ids: list[str]) -> tuple[list[Line], int]:
    """The channel's own lines of these loans, and its fee for them."""
    ours = {payment_of(bank, loan_id) for loan_id in loan_ids}
    stub = bank.house.client("simulators", payment_pb2_grpc.PaymentProviderServiceStub)
    token, lines, fee = "", [], 0
    while True:
        page = stub.ListSettlementLines(
            payment_pb2.ListSettlementLinesRequest(
                date=from_date(DUE), page_size=2, page_token=token
            )
        )
        for line in page.lines:
            if line.payment_id in ours:
                lines.append((line.payment_id, line.amount.minor_units))
                fee += line.fee_minor_units
        token = page.next_page_token
        if not token:
            return lines, fee


def settle(bank: Bank, lines: list[Line], fee: int = 0, **choices: Any) -> Any:
    """Records a file of those lines."""
    head = pb.RecordSettlementRequest(
        **{
            "request_id": rid(),
            "book_id": bank.book,
            "reference": f"file-{rid()}",
            "collected_on": from_date(DUE),
            "gross": sum(amount for _, amount in lines),
            "fee": fee,
            **choices,
        }
    )

    def file() -> Iterator[pb.RecordSettlementRequest]:
        yield head
        for payment_id, amount in lines:
            line = pb.SettlementLine(payment_id=payment_id, amount=amount)
            yield pb.RecordSettlementRequest(lines=[line])

    return bank.direct_debits.RecordSettlement(file())


def statement(bank: Bank, *lines: tuple[str, str, int], day: date | None = None) -> Any:
    request = pb.RecordBankStatementRequest(
        request_id=rid(),
        book_id=bank.book,
        statement_date=from_date(day or bank.day),
        lines=[
            pb.BankLine(bank_reference=b, settlement_reference=s, amount=a) for b, s, a in lines
        ],
    )
    return bank.direct_debits.RecordBankStatement(request)


def differences(bank: Bank, **choices: Any) -> list[pb.Difference]:
    request = pb.ListDifferencesRequest(book_id=bank.book, **choices)
    return list(bank.direct_debits.ListDifferences(request).differences)


def open_kinds(bank: Bank) -> list[str]:
    found = differences(bank, state=pb.DIFFERENCE_STATE_OPEN)
    return [pb.DifferenceKind.Name(each.kind).removeprefix("DIFFERENCE_KIND_") for each in found]


def person(bank: Bank, name: str) -> direct_debit_pb2_grpc.DirectDebitServiceStub:
    return bank.house.client("servicing", direct_debit_pb2_grpc.DirectDebitServiceStub, caller=name)


def propose(bank: Bank, difference_id: str, resolution: str, maker: str = "anna") -> pb.Difference:
    request = pb.ResolveDifferenceRequest(
        request_id=rid(),
        difference_id=difference_id,
        resolution=pb.Resolution.Value(f"RESOLUTION_{resolution}"),
        reason="asked the channel",
    )
    return person(bank, maker).ResolveDifference(request).difference


def decide(
    bank: Bank, difference_id: str, *, approve: bool = True, checker: str = "bert"
) -> pb.Difference:
    request = pb.DecideResolutionRequest(
        request_id=rid(), difference_id=difference_id, approve=approve
    )
    return person(bank, checker).DecideResolution(request).difference


def resolve(bank: Bank, kind: str, resolution: str) -> pb.Difference:
    """Two people resolve the one open difference of a kind."""
    (found,) = differences(
        bank,
        state=pb.DIFFERENCE_STATE_OPEN,
        kind=pb.DifferenceKind.Value(f"DIFFERENCE_KIND_{kind}"),
    )
    propose(bank, found.difference_id, resolution)
    return decide(bank, found.difference_id)


def test_when_everything_is_settled_nothing_is_in_transit(bank: Bank) -> None:
    loan_ids = collect(bank, "a", "b", "c")
    at_bank = bank.balance("1003")
    assert bank.balance("1221.01") == 3 * INSTALMENT
    lines, fee = settlement_file(bank, loan_ids)
    answer = settle(bank, lines, fee, reference="T0215")
    assert (answer.matched, answer.queued) == (3, 0)
    assert answer.settlement.net.minor_units == 3 * (INSTALMENT - FEE)
    assert bank.balance("1221.01") == 0
    assert bank.balance("6421") == 3 * FEE
    assert bank.balance("1003") - at_bank == 3 * (INSTALMENT - FEE)
    assert len(answer.settlement.entry_sequences) == 1
    credited = statement(bank, ("B1", "T0215", 3 * (INSTALMENT - FEE)))
    assert (credited.matched, credited.queued) == (1, 0)
    assert differences(bank) == []
    assert {each.settlement_id for loan in loan_ids for each in bank.debits(loan)} == {
        answer.settlement.settlement_id
    }
    bank.end_day()
    bank.assert_books_agree()


def test_a_file_is_booked_once_whoever_sends_it_again(bank: Bank) -> None:
    (loan_id,) = collect(bank, "once")
    line = (payment_of(bank, loan_id), INSTALMENT)
    request_id = rid()
    answer = settle(bank, [line], request_id=request_id, reference="F1")
    assert settle(bank, [line], request_id=request_id, reference="F1") == answer
    with pytest.raises(grpc.RpcError) as refused:
        settle(bank, [line], reference="F1")
    assert refusal(refused.value) == ("ALREADY_EXISTS", "SETTLEMENT_EXISTS")
    assert bank.balance("1221.01") == 0


def test_what_a_channel_keeps_for_us_stands_on_an_account_of_its_own(bank: Bank) -> None:
    (loan_id,) = collect(bank, "held")
    line = (payment_of(bank, loan_id), INSTALMENT)
    settle(bank, [line], FEE, account=pb.SETTLEMENT_ACCOUNT_HELD)
    assert (bank.balance("1221.01"), bank.balance("1012.01")) == (0, INSTALMENT - FEE)
    bank.end_day()
    statement(bank)
    assert open_kinds(bank) == [], "no bank is to have it"


def test_each_difference_is_found_aged_and_resolved_until_nothing_is_in_transit(bank: Bank) -> None:
    a, b, c, d = collect(bank, "a", "b", "c", "d")
    paid = {loan: payment_of(bank, loan) for loan in (a, b, c, d)}
    answer = settle(
        bank,
        [
            (paid[a], INSTALMENT),
            (paid[b], INSTALMENT - 49),
            (paid[c], INSTALMENT),
            (paid[c], INSTALMENT),
            ("debit:stranger", 12_345),
        ],
    )
    assert (answer.matched, answer.queued) == (2, 4)
    assert sorted(open_kinds(bank)) == [
        "AMOUNT_DIFFERS",
        "DUPLICATE",
        "MISSING_AT_CHANNEL",
        "MISSING_HERE",
    ]
    in_transit = 49 - INSTALMENT + INSTALMENT - 12_345
    assert bank.balance("1221.01") == in_transit
    assert in_transit == sum(
        each.ours.minor_units - each.theirs.minor_units for each in differences(bank)
    )
    bank.end_days(bank.day + timedelta(days=3))
    assert {each.age_days for each in differences(bank)} == {3}
    resolve(bank, "AMOUNT_DIFFERS", "HANDED_OVER")
    resolve(bank, "DUPLICATE", "HANDED_OVER")
    parked = resolve(bank, "MISSING_HERE", "PARKED")
    assert bank.balance("1221.01") == INSTALMENT
    late = settle(bank, [(paid[d], INSTALMENT)])
    assert (late.matched, late.queued) == (1, 0)
    assert bank.balance("1221.01") == 0
    assert bank.balance("2241.04", f"RECEIPT:{parked.difference_id}") == 12_345
    assert open_kinds(bank) == []
    (found,) = differences(bank, kind=pb.DIFFERENCE_KIND_MISSING_AT_CHANNEL)
    assert (found.state, found.maker) == (pb.DIFFERENCE_STATE_RESOLVED, "")
    assert found.reason.startswith("handed over in settlement")
    bank.end_day()
    bank.assert_books_agree()


def test_money_recorded_by_hand_is_held_against_the_file_like_a_debit(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    channel = {"funding": repayment_pb2.FUNDING_CHANNEL}
    for reference in ("app-1", "app-2", "app-3"):
        bank.repay(loan_id, 1_000, reference=reference, **channel)
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(loan_id, 1_000, **channel)
    assert list(violations(refused.value)) == ["reference"]
    today = from_date(bank.day)
    answer = settle(bank, [("app-1", 1_000), ("app-2", 990)], collected_on=today)
    assert (answer.matched, answer.queued) == (1, 2)
    assert sorted(open_kinds(bank)) == ["AMOUNT_DIFFERS", "MISSING_AT_CHANNEL"]
    late = settle(bank, [("app-3", 1_000), ("app-4", 500)], collected_on=today)
    assert (late.matched, late.queued) == (1, 1)
    assert sorted(open_kinds(bank)) == ["AMOUNT_DIFFERS", "MISSING_HERE"]
    assert bank.balance("1221.01") == 10 - 500
    bank.repay(loan_id, 500, reference="app-4", **channel)
    assert open_kinds(bank) == ["AMOUNT_DIFFERS"], "told of after it was handed over"
    resolve(bank, "AMOUNT_DIFFERS", "HANDED_OVER")
    assert bank.balance("1221.01") == 0
    bank.end_day()
    bank.assert_books_agree()


def test_a_debit_that_bounced_is_no_success_and_what_was_handed_over_is_taken_back(
    bank: Bank,
) -> None:
    before, after = collect(bank, "bounced-before", "bounced-after")
    settle(bank, [(payment_of(bank, after), INSTALMENT)])
    assert open_kinds(bank) == ["MISSING_AT_CHANNEL"]
    for loan_id in (before, after):
        bank.reverse(loan_id, bank.repaid(loan_id)[0].repayment_id)
        assert bank.debits(loan_id)[-1].state == pb.DEBIT_STATE_REVERSED
    assert open_kinds(bank) == ["MISSING_HERE"], "only what was handed over is to be taken back"
    assert bank.balance("1221.01") == -INSTALMENT
    taken_back = resolve(bank, "MISSING_HERE", "HANDED_OVER")
    assert bank.balance("1221.01") == 0
    bank.end_day()
    statement(bank)
    assert "MISSING_AT_BANK" in open_kinds(bank)
    name = taken_back.difference_id
    cured = statement(bank, ("B-back", name, -INSTALMENT))
    assert cured.matched == 1
    bank.assert_books_agree()


def test_what_a_channel_makes_good_is_not_taken_for_settled_twice(bank: Bank) -> None:
    a, b = collect(bank, "a", "b")
    settle(bank, [(payment_of(bank, a), INSTALMENT)])
    resolve(bank, "MISSING_AT_CHANNEL", "HANDED_OVER")
    assert bank.balance("1221.01") == 0
    settle(bank, [(payment_of(bank, b), INSTALMENT)])
    assert open_kinds(bank) == ["DUPLICATE"]
    assert bank.balance("1221.01") == -INSTALMENT
    resolve(bank, "DUPLICATE", "HANDED_OVER")
    assert bank.balance("1221.01") == 0


def test_a_debit_that_failed_here_and_is_handed_over_is_booked_on_its_date(bank: Bank) -> None:
    bank.fails(f"{bank.book}-broke", times=1)
    loan_id = lend(bank, "broke")
    bank.end_days(DUE)
    bank.await_debit(loan_id, "FAILED")
    bank.end_days(DUE + timedelta(days=3))
    settle(bank, [(payment_of(bank, loan_id), INSTALMENT)])
    assert open_kinds(bank) == ["MISSING_HERE"]
    assert bank.loan(loan_id).dpd == 3
    resolve(bank, "MISSING_HERE", "BOOK")
    bank.end_day()
    assert bank.loan(loan_id).dpd == 0
    assert set(bank.owes(loan_id)) - {"allowance"} == {"principal_normal", "interest_accrued"}
    assert bank.balance("1221.01") == 0
    bank.assert_books_agree()


def test_a_line_for_a_debit_that_nobody_knew_of_is_its_result(bank: Bank) -> None:
    bank.script(DEBIT, f"{bank.book}-fog", Behaviour(unknown_answers=1000))
    loan_id = lend(bank, "fog")
    bank.end_days(DUE)
    bank.await_debit(loan_id, "UNKNOWN")
    bank.end_day()
    assert settle(bank, [(payment_of(bank, loan_id), INSTALMENT)]).matched == 1
    bank.end_day()
    assert bank.loan(loan_id).dpd == 0
    assert bank.balance("1221.01") == 0
    bank.assert_books_agree()


def test_what_the_bank_lacks_has_short_or_has_unasked_is_found_and_cured(bank: Bank) -> None:
    a, b, c = collect(bank, "a", "b", "c")
    for reference, loan in (("F-a", a), ("F-b", b)):
        settle(bank, [(payment_of(bank, loan), INSTALMENT)], FEE, reference=reference)
    net = INSTALMENT - FEE
    bank.end_day()
    answer = statement(bank, ("B1", "F-b", net - 7), ("B2", "F-c", net))
    assert (answer.matched, answer.queued) == (0, 3)
    assert sorted(open_kinds(bank)) == [
        "BANK_AMOUNT_DIFFERS",
        "BANK_LINE_UNKNOWN",
        "MISSING_AT_BANK",
        "MISSING_AT_CHANNEL",
    ]
    again = statement(bank, ("B1", "F-b", net - 7))
    assert (again.repeated_lines, again.queued) == (1, 0)
    settle(bank, [(payment_of(bank, c), INSTALMENT)], FEE, reference="F-c")
    cured = statement(bank, ("B3", "F-a", net), ("B4", "F-b", 7))
    assert (cured.matched, cured.queued) == (2, 0)
    assert open_kinds(bank) == []
    assert bank.balance("1221.01") == 0
    with pytest.raises(grpc.RpcError) as refused:
        statement(bank, ("B1", "F-b", 1))
    assert list(violations(refused.value)) == ["lines[0].bank_reference"]


def test_nobody_approves_a_resolution_of_their_own(bank: Bank) -> None:
    settle(bank, [("debit:stranger", 500)], collected_on=from_date(bank.day))
    (found,) = differences(bank)
    with pytest.raises(grpc.RpcError) as refused:
        decide(bank, found.difference_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "DIFFERENCE_STATE")
    with pytest.raises(grpc.RpcError) as refused:
        propose(bank, found.difference_id, "PARKED", maker="")
    assert refusal(refused.value) == ("PERMISSION_DENIED", "CALLER_UNNAMED")
    propose(bank, found.difference_id, "PARKED")
    for checker, reason in (("Anna", "MAKER_IS_CHECKER"), ("", "CALLER_UNNAMED")):
        with pytest.raises(grpc.RpcError) as refused:
            decide(bank, found.difference_id, checker=checker)
        assert refusal(refused.value) == ("PERMISSION_DENIED", reason)
    assert bank.balance("1221.01") == -500
    opened = decide(bank, found.difference_id, approve=False)
    assert (opened.state, opened.maker) == (pb.DIFFERENCE_STATE_OPEN, "")
    propose(bank, found.difference_id, "PARKED")
    done = decide(bank, found.difference_id)
    assert (done.maker, done.checker, done.state) == (
        "anna",
        "bert",
        pb.DIFFERENCE_STATE_RESOLVED,
    )
    assert bank.balance("2241.04", f"RECEIPT:{found.difference_id}") == 500
    assert bank.balance("1221.01") == 0


def test_a_resolution_that_does_not_fit_is_refused(bank: Bank) -> None:
    (loan_id,) = collect(bank, "unfit")
    settle(bank, [("debit:stranger", 500)])
    for kind, resolution in (
        (pb.DIFFERENCE_KIND_MISSING_HERE, "BOOK"),
        (pb.DIFFERENCE_KIND_MISSING_HERE, "EXPLAINED"),
        (pb.DIFFERENCE_KIND_MISSING_AT_CHANNEL, "BOOK"),
        (pb.DIFFERENCE_KIND_MISSING_AT_CHANNEL, "PARKED"),
    ):
        (found,) = differences(bank, kind=kind)
        with pytest.raises(grpc.RpcError) as refused:
            propose(bank, found.difference_id, resolution)
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "RESOLUTION_UNFIT")
    assert bank.debits(loan_id)[0].settlement_id == ""


def test_a_file_that_does_not_add_up_is_refused_whole(bank: Bank) -> None:
    (loan_id,) = collect(bank, "sum")
    line = (payment_of(bank, loan_id), INSTALMENT)
    for choices, field in (
        ({"gross": INSTALMENT + 1}, "gross"),
        ({"fee": INSTALMENT + 1}, "fee"),
        ({"fee": 100, "fee_vat": 101}, "fee_vat"),
        ({"fee": 100, "fee_vat": 6}, "fee_vat"),
        ({"reference": ""}, "reference"),
        ({"collected_on": from_date(bank.day + timedelta(days=1))}, "collected_on"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            settle(bank, [line], **choices)
        assert list(violations(refused.value)) == [field], choices
    assert bank.balance("1221.01") == INSTALMENT
    assert differences(bank) == []
