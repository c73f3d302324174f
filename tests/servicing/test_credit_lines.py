"""Credit lines over gRPC: limits above limits, and what stands in the ledger of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import PAY, Bank
from sqlalchemy.exc import IntegrityError

from support import refusal, rid, violations, wait_until
from tael.ledger.v1 import accounting_pb2
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import credit_line_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_client.values import from_date, money
from tael_servicing.end_of_day.checks import COMMITMENTS

NORMAL = loan_pb2.LOAN_STATE_NORMAL
CANCELLED = loan_pb2.LOAN_STATE_CANCELLED


def overall(bank: Bank, limit: int, customer: str, parent: str = "", **choices: Any) -> Any:
    """An overall limit of any product, at the root of a tree or below another."""
    return bank.grant(
        limit,
        customer,
        **{
            "overall": True,
            "annual_rate": None,
            "product_code": "",
            "parent_line_id": parent,
            "book_id": "" if parent else bank.book,
            **choices,
        },
    )


def below(bank: Bank, parent: Any, limit: int = 2_000_000, **choices: Any) -> Any:
    """A line that is drawn, below an overall limit."""
    return bank.grant(limit, parent.customer_id, parent_line_id=parent.line_id, **choices)


def read(bank: Bank, line: Any) -> pb.CreditLine:
    return bank.lines.GetCreditLine(pb.GetCreditLineRequest(line_id=line.line_id)).line


def adjust(bank: Bank, line: Any, **choices: Any) -> pb.CreditLine:
    request = pb.AdjustCreditLineRequest(
        **{
            "request_id": rid(),
            "line_id": line.line_id,
            "reason": "yearly review",
            "approval": "review-7",
            **choices,
        }
    )
    return bank.lines.AdjustCreditLine(request).line


def close(bank: Bank, line: Any, **choices: Any) -> pb.CreditLine:
    request = pb.CloseCreditLineRequest(
        **{
            "request_id": rid(),
            "line_id": line.line_id,
            "reason": "the customer asked for it",
            "approval": "letter-3",
            **choices,
        }
    )
    return bank.lines.CloseCreditLine(request).line


def promised(bank: Bank) -> int:
    """What stands on 7201, of all lines of the book."""
    request = accounting_pb2.TrialBalanceRequest(book_id=bank.book)
    rows = bank.accounting.TrialBalance(request).rows
    return sum(int(row.balance) for row in rows if row.account.code == COMMITMENTS)


def freeze(bank: Bank, line: Any) -> pb.CreditLine:
    request = pb.FreezeCreditLineRequest(request_id=rid(), line_id=line.line_id, reason="a check")
    return bank.lines.FreezeCreditLine(request).line


def movements(bank: Bank, line: Any) -> list[tuple[str, int]]:
    request = pb.ListLineMovementsRequest(line_id=line.line_id)
    found = bank.lines.ListLineMovements(request).movements
    kinds = [pb.LineMovementKind.Name(each.kind).rpartition("_")[2] for each in found]
    return [(kind, each.amount.minor_units) for kind, each in zip(kinds, found, strict=True)]


def refused(call: Callable[[], Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_a_drawdown_moves_every_line_above_and_no_sibling(bank: Bank) -> None:
    customer = overall(bank, 1_500_000, "cu-tree")
    product = overall(bank, 2_000_000, "cu-tree", customer.line_id, product_code=bank.product)
    first, second = below(bank, product), below(bank, product, 400_000)
    assert first.available == money(1_500_000), "the least that any line above has left"
    loan = bank.lend(first.line_id)
    assert [bank.line(each.line_id) for each in (customer, product, first, second)] == [
        (1_000_000, 0, 500_000),
        (1_000_000, 0, 500_000),
        (1_000_000, 0, 500_000),
        (0, 0, 400_000),
    ]
    error = refused(lambda: bank.lend(first.line_id, principal=money(500_001)))
    assert refusal(error) == ("FAILED_PRECONDITION", "LINE_EXCEEDED")
    bank.repay(loan.loan_id, 1_010_000, "SETTLE")
    assert bank.line(customer.line_id) == (0, 0, 1_500_000)
    moved = bank.lines.ListLineMovements(
        pb.ListLineMovementsRequest(line_id=customer.line_id)
    ).movements
    assert {(each.loan_id, each.drawn_line_id) for each in moved[1:]} == {
        (loan.loan_id, first.line_id)
    }
    assert movements(bank, customer) == [
        ("GRANTED", 1_500_000),
        ("RESERVED", 1_000_000),
        ("OCCUPIED", 1_000_000),
        ("RESTORED", 1_000_000),
    ]
    bank.assert_books_agree()


def test_an_overall_limit_is_neither_drawn_nor_promised(bank: Bank) -> None:
    customer = overall(bank, 1_000_000, "cu-overall")
    below(bank, customer, 800_000)
    below(bank, customer, 900_000)
    assert promised(bank) == 1_700_000, "what is promised, and no limit above it"
    error = refused(lambda: bank.lend(customer.line_id))
    assert refusal(error) == ("FAILED_PRECONDITION", "LINE_OVERALL")
    bank.assert_books_agree()


def test_a_line_that_cannot_stand_there_is_refused_by_field(bank: Bank) -> None:
    root = overall(bank, 1_000_000, "cu-parents")
    publication = bank.publication()
    publication.code = f"{bank.product}-other"
    bank.products.PublishProduct(publication)
    other = overall(bank, 1, "cu-parents", root.line_id, product_code=publication.code)
    line = below(bank, root)
    third = overall(bank, 1, "cu-parents", overall(bank, 1, "cu-parents", root.line_id).line_id)
    fourth = overall(bank, 1, "cu-parents", third.line_id)
    for choices, field in (
        ({"parent_line_id": line.line_id}, "parent_line_id"),
        ({"parent_line_id": other.line_id}, "parent_line_id"),
        ({"parent_line_id": fourth.line_id}, "parent_line_id"),
        ({"parent_line_id": root.line_id, "customer_id": "cu-else"}, "parent_line_id"),
        ({"product_code": ""}, "product_code"),
        ({"annual_rate": None}, "annual_rate"),
        ({"overall": True}, "annual_rate"),
        ({"book_id": bank.book}, "book_id"),
        ({"overall": True, "annual_rate": None, "product_code": ""}, "book_id"),
        ({"valid_from": from_date(bank.day - timedelta(days=1))}, "valid_from"),
        ({"valid_from": from_date(bank.day + timedelta(days=731))}, "valid_from"),
    ):
        error = refused(lambda: bank.grant(**{"customer": "cu-parents", **choices}))  # noqa: B023
        assert list(violations(error)) == [field], choices


def test_freezing_a_limit_stops_the_lines_below_it_and_no_repayment(bank: Bank) -> None:
    customer = overall(bank, 3_000_000, "cu-frozen")
    line = below(bank, customer)
    loan = bank.lend(line.line_id)
    freeze(bank, customer)
    error = refused(lambda: bank.lend(line.line_id, principal=money(1_000)))
    assert refusal(error) == ("FAILED_PRECONDITION", "LINE_FROZEN")
    bank.repay(loan.loan_id, 1_010_000, "SETTLE")
    bank.lines.UnfreezeCreditLine(
        pb.UnfreezeCreditLineRequest(request_id=rid(), line_id=customer.line_id, reason="all well")
    )
    bank.lend(line.line_id, principal=money(1_000))
    bank.assert_books_agree()


def test_a_raised_limit_is_promised_at_once_and_once(bank: Bank) -> None:
    line = bank.grant(1_000_000)
    request = pb.AdjustCreditLineRequest(
        request_id=rid(),
        line_id=line.line_id,
        limit=money(1_500_000),
        reason="good payer",
        approval="offer-9",
        etag=line.etag,
    )
    raised = bank.lines.AdjustCreditLine(request).line
    assert bank.lines.AdjustCreditLine(request).line == raised
    assert (raised.limit, raised.available) == (money(1_500_000), money(1_500_000))
    assert promised(bank) == 1_500_000
    found = bank.lines.ListLineMovements(
        pb.ListLineMovementsRequest(line_id=line.line_id)
    ).movements[-1]
    assert (found.amount, found.reason, found.approval) == (
        money(500_000),
        "good payer",
        "offer-9",
    )
    stale = refused(lambda: adjust(bank, line, limit=money(1), etag=line.etag))
    assert refusal(stale) == ("ABORTED", "STALE_ETAG")
    bank.assert_books_agree()


def test_a_limit_below_what_is_used_leaves_nothing_and_falls_with_repayments(bank: Bank) -> None:
    line = bank.grant(2_000_000)
    loan = bank.lend(line.line_id)
    lowered = adjust(bank, line, limit=money(100_000))
    assert (lowered.limit, lowered.granted) == (money(1_000_000), money(100_000))
    assert lowered.available == money(0)
    assert promised(bank) == 0
    assert refusal(refused(lambda: bank.lend(line.line_id)))[1] == "LINE_EXCEEDED"
    bank.repay(loan.loan_id, 500_000, "PREPAY_KEEP_TERM")
    after = read(bank, line)
    assert after.limit == after.used
    assert after.available == money(0)
    bank.assert_books_agree()
    bank.repay(loan.loan_id, bank.day_payoff(loan.loan_id), "SETTLE")
    assert bank.line(line.line_id) == (0, 0, 100_000)
    assert read(bank, line).limit == money(100_000)
    bank.assert_books_agree()
    assert adjust(bank, line, limit=money(0)).available == money(0)
    bank.assert_books_agree()


def test_a_new_rate_is_for_drawdowns_to_come(bank: Bank) -> None:
    line = bank.grant()
    old = bank.lend(line.line_id, principal=money(100_000))
    adjust(bank, line, annual_rate={"value": "0.1"})
    new = bank.lend(line.line_id, principal=money(100_000))
    assert (old.annual_rate.value, new.annual_rate.value) == ("0.12", "0.1")
    assert bank.loan(old.loan_id).annual_rate.value == "0.12"


def test_a_bad_change_is_refused_by_field(bank: Bank) -> None:
    line = bank.grant(1_000_000)
    yesterday = from_date(bank.day - timedelta(days=1))
    tomorrow = from_date(bank.day + timedelta(days=1))
    for choices, field in (
        ({}, "limit"),
        ({"limit": money(-1)}, "limit.minor_units"),
        ({"limit": money(1, "USD")}, "limit.currency_code"),
        ({"limit": money(0, "USD")}, "limit.currency_code"),
        ({"limit": money(1), "approval": ""}, "approval"),
        ({"limit": money(1), "reason": ""}, "reason"),
        ({"temporary_to": tomorrow}, "limit"),
        ({"temporary_to": tomorrow, "annual_rate": {"value": "0.1"}}, "temporary_to"),
        ({"limit": money(1_000_000), "temporary_to": tomorrow}, "limit.minor_units"),
        ({"limit": money(2_000_000), "temporary_to": yesterday}, "temporary_to"),
        ({"valid_to": yesterday}, "valid_to"),
        ({"annual_rate": {"value": "0.9"}}, "annual_rate"),
        ({"limit": money(10**15)}, "limit.minor_units"),
    ):
        error = refused(lambda: adjust(bank, line, **choices))  # noqa: B023
        assert list(violations(error)) == [field], choices
    assert read(bank, line) == line


def test_lines_open_fall_back_and_close_at_the_opening_of_their_days(bank: Bank) -> None:
    tomorrow = from_date(bank.day + timedelta(days=1))
    later = bank.grant(300_000, valid_from=tomorrow)
    raised = bank.grant(1_000_000)
    up = adjust(bank, raised, limit=money(2_500_000), temporary_to=from_date(bank.day))
    assert (up.granted, up.temporary_limit) == (money(1_000_000), money(2_500_000))
    last = bank.grant(50_000, valid_to=tomorrow)
    parent = overall(bank, 700_000, "cu-ending", valid_to=tomorrow)
    child = below(bank, parent, 600_000)
    assert later.state == pb.LINE_STATE_PENDING
    assert refusal(refused(lambda: bank.lend(later.line_id)))[1] == "LINE_PENDING"
    assert promised(bank) == 2_500_000 + 50_000 + 600_000
    bank.lend(raised.line_id, principal=money(1_200_000))
    bank.assert_books_agree()
    bank.end_day()
    fallen = read(bank, raised)
    assert read(bank, later).state == pb.LINE_STATE_ACTIVE
    assert (fallen.limit, fallen.granted) == (money(1_200_000), money(1_000_000))
    assert not fallen.HasField("temporary_to")
    assert promised(bank) == 300_000 + 50_000 + 600_000
    bank.end_day()
    ended = [read(bank, each).state for each in (last, parent, child)]
    assert ended == [pb.LINE_STATE_CLOSED] * 3
    assert refusal(refused(lambda: bank.lend(child.line_id)))[1] == "LINE_EXPIRED"
    assert promised(bank) == 300_000
    bank.assert_books_agree()


def test_closing_a_limit_closes_the_lines_below_it_and_repayments_go_on(bank: Bank) -> None:
    parent = overall(bank, 5_000_000, "cu-closing")
    line = below(bank, parent)
    waiting = below(bank, parent, valid_from=from_date(bank.day + timedelta(days=9)))
    loan = bank.lend(line.line_id)
    closed = close(bank, parent)
    assert closed.state == pb.LINE_STATE_CLOSED
    assert [read(bank, each).state for each in (line, waiting)] == [pb.LINE_STATE_CLOSED] * 2
    assert movements(bank, line)[-1] == ("CLOSED", 1_000_000)
    assert promised(bank) == 0
    for call in (
        lambda: close(bank, parent),
        lambda: adjust(bank, line, limit=money(1)),
        lambda: freeze(bank, line),
    ):
        assert refusal(refused(call)) == ("FAILED_PRECONDITION", "LINE_STATE")
    assert refusal(refused(lambda: below(bank, parent)))[1] == "LINE_EXPIRED"
    bank.repay(loan.loan_id, 1_010_000, "SETTLE")
    assert read(bank, line).used == money(0)
    assert promised(bank) == 0
    bank.assert_books_agree()


def test_a_limit_may_fall_while_a_payout_is_unknown_and_closing_waits_for_it(bank: Bank) -> None:
    line = bank.grant(2_000_000)
    unknown = Behaviour(unknown_answers=1_000, failure_code="CARD_CLOSED")
    bank.script(PAY, "card-hung", unknown)
    loan = bank.lend(line.line_id, card="card-hung")
    assert loan.state == loan_pb2.LOAN_STATE_PAYING
    assert refusal(refused(lambda: close(bank, line)))[1] == "LINE_RESERVED"
    assert adjust(bank, line, limit=money(300_000)).limit == money(1_000_000)
    bank.assert_books_agree()
    bank.house.sql(
        "UPDATE payment SET unknown_left = 0 WHERE card_token = 'card-hung'",
        "simulators",
        write=True,
    )
    wait_until(lambda: bank.loan(loan.loan_id).state == CANCELLED, what="the payout to fail")
    wait_until(lambda: promised(bank) == 300_000, what="its postings")
    assert bank.line(line.line_id) == (0, 0, 300_000)
    bank.assert_books_agree()


def test_a_line_that_does_not_revolve_frees_only_the_limit_above_it(bank: Bank) -> None:
    customer = overall(bank, 2_000_000, "cu-once")
    line = below(bank, customer, 1_000_000, revolving=False)
    loan = bank.lend(line.line_id)
    bank.repay(loan.loan_id, 1_010_000, "SETTLE")
    assert bank.line(customer.line_id) == (0, 0, 2_000_000)
    assert bank.line(line.line_id) == (1_000_000, 0, 0)
    bank.assert_books_agree()


def test_a_customers_lines_come_in_pages_with_what_they_hang_from(bank: Bank) -> None:
    customer = overall(bank, 10_000, "cu-pages")
    made = [customer, *(below(bank, customer) for _ in range(4))]
    found, token = [], ""
    while True:
        request = pb.ListCreditLinesRequest(customer_id="cu-pages", page_size=2, page_token=token)
        page = bank.lines.ListCreditLines(request)
        assert len(page.lines) <= 2
        found += page.lines
        token = page.next_page_token
        if not token:
            break
    assert found == made
    assert found[-1].available == money(10_000)


def test_each_line_that_moved_is_told_of(bank: Bank) -> None:
    customer = overall(bank, 2_000_000, "cu-told")
    line = below(bank, customer)
    bank.lend(line.line_id)
    adjust(bank, customer, limit=money(1_200_000))
    told = [event.line_changed.line for event in bank.events() if event.HasField("line_changed")]
    mine = [each for each in told if each.customer_id == "cu-told"]
    used = [(each.line_id == line.line_id, each.used.minor_units) for each in mine]
    assert used == [
        (False, 0),
        (True, 0),
        (False, 0),
        (True, 0),
        (False, 1_000_000),
        (True, 1_000_000),
        (False, 1_000_000),
    ]
    assert mine[-1] == read(bank, customer)


def test_a_storm_over_a_tree_never_exceeds_a_line_by_a_cent_whatever_payouts_do(
    bank: Bank,
) -> None:
    customer = overall(bank, 1_000_000, "cu-storm")
    tight = overall(bank, 400_000, "cu-storm", customer.line_id)
    lines = [
        below(bank, customer, 700_000),
        below(bank, customer, 300_001),
        below(bank, tight, 600_000),
        below(bank, tight, 250_000),
    ]
    every = [customer, tight, *lines]
    for number in range(48):
        card = f"storm-tree-{number}"
        if number % 4 == 1:
            bank.script(PAY, card, Behaviour(failure_code="CARD_CLOSED"))
        if number % 4 == 2:
            failing = "" if number % 8 == 2 else "CARD_CLOSED"
            bank.script(PAY, card, Behaviour(unknown_answers=2, failure_code=failing))

    def draw(number: int) -> str:
        principal = 30_001 + number % 7
        card = f"storm-tree-{number}"
        try:
            loan = bank.lend(lines[number // 4 % 4].line_id, card, principal=money(principal))
        except grpc.RpcError as error:
            return refusal(error)[1]
        return loan.loan_id

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(draw, range(48)))
    lent = [outcome for outcome in outcomes if outcome != "LINE_EXCEEDED"]
    assert all(outcome.startswith("ln_") for outcome in lent)
    paying = loan_pb2.LOAN_STATE_PAYING
    wait_until(
        lambda: all(bank.loan(each).state != paying for each in lent), 40, "payouts to be known"
    )
    _assert_nothing_was_exceeded(bank, every)
    assert {each.line_id: read(bank, each).limit for each in every} == {
        each.line_id: each.limit for each in every
    }
    owed: dict[str, int] = {each.line_id: 0 for each in every}
    for loan in map(bank.loan, lent):
        assert loan.state in (NORMAL, CANCELLED)
        drawn = loan.principal.minor_units if loan.state == NORMAL else 0
        above = tight if loan.line_id in (lines[2].line_id, lines[3].line_id) else None
        for line_id in {loan.line_id, customer.line_id, *([above.line_id] if above else [])}:
            owed[line_id] += drawn
    assert {line_id: bank.line(line_id)[:2] for line_id in owed} == {
        line_id: (drawn, 0) for line_id, drawn in owed.items()
    }
    left = sum(read(bank, each).undrawn.minor_units for each in lines)
    wait_until(lambda: promised(bank) == left, what="every posting")
    bank.assert_books_agree()


def test_limits_that_change_amid_a_storm_leave_no_line_overdrawn_and_nobody_waiting_in_a_circle(
    bank: Bank,
) -> None:
    customer = overall(bank, 600_000, "cu-changing")
    lines = [below(bank, customer, 300_000 + number) for number in range(4)]

    def step(number: int) -> str:
        line = lines[number % 4]
        try:
            if number % 8 == 5:
                adjust(bank, customer, limit=money(300_000 + 100_000 * (number % 3)))
            elif number % 8 == 6:
                adjust(bank, line, limit=money(100_000 + 1_000 * number))
            elif number == 41:
                close(bank, line)
            else:
                loan = bank.lend(line.line_id, f"changing-{number}", principal=money(40_001))
                if number % 2:
                    bank.repay(loan.loan_id, bank.day_payoff(loan.loan_id), "SETTLE")
        except grpc.RpcError as error:
            return refusal(error)[1]
        return ""

    with ThreadPoolExecutor(16) as pool:
        outcomes = set(pool.map(step, range(64)))
    assert outcomes <= {"", "LINE_EXCEEDED", "LINE_EXPIRED", "LINE_RESERVED", "LINE_STATE"}
    _assert_nothing_was_exceeded(bank, [customer, *lines])
    assert read(bank, customer).used.minor_units == sum(
        read(bank, line).used.minor_units for line in lines
    )
    bank.assert_books_agree()


def test_the_store_itself_refuses_what_would_overdraw_a_line(bank: Bank) -> None:
    line = bank.grant(100)
    for wrong in ("used = 101", "used = 60, reserved = 41", "reserved = -1", "path = '{}'"):
        with pytest.raises(IntegrityError):
            bank.house.sql(
                f"UPDATE credit_line SET {wrong} WHERE line_id = :line",
                "servicing",
                write=True,
                line=line.line_id,
            )


def _assert_nothing_was_exceeded(bank: Bank, lines: list[Any]) -> None:
    """At no movement of any line."""
    for line in lines:
        request = pb.ListLineMovementsRequest(line_id=line.line_id, page_size=500)
        for each in bank.lines.ListLineMovements(request).movements:
            held = each.used_after.minor_units + each.reserved_after.minor_units
            assert held <= each.limit_after.minor_units
