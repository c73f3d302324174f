"""Limits: no overdraft by a unit, whoever comes together, pending amounts counted."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import (
    CASH,
    WALLET,
    account,
    commit,
    cr,
    create,
    dr,
    entry,
    limit,
    new_account,
    pay_in,
    pay_out,
    post,
    post_columns,
    refused,
    release,
    reserve,
    turn,
)
from ledger.test_concurrency import together

from support import refusal
from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger.limits import Bounds, Limits, limits_of

bound = st.one_of(st.none(), st.integers(-(10**18), 10**18))
side = st.sampled_from(("DEBIT", "CREDIT"))


@given(st.booleans(), st.booleans(), bound, side, st.integers(-(10**18), 10**18))
def test_bounds_admit_just_the_balances_that_the_limits_admit(
    no_debit: bool, no_credit: bool, floor: int | None, normal_side: str, net: int
) -> None:
    bounds = Limits(no_debit, no_credit, floor).bounds(normal_side)
    balance = net if normal_side == "DEBIT" else -net
    admitted = not (
        (no_debit and net > 0) or (no_credit and net < 0) or (floor is not None and balance < floor)
    )
    assert bounds.admit(net, net) == admitted
    if admitted:
        assert not bounds.contradict


@given(st.booleans(), st.booleans(), bound, side)
def test_limits_told_in_their_simplest_form_come_to_the_same_bounds(
    no_debit: bool, no_credit: bool, floor: int | None, normal_side: str
) -> None:
    bounds = Limits(no_debit, no_credit, floor).bounds(normal_side)
    assert limits_of(bounds, normal_side).bounds(normal_side) == bounds


@given(bound, bound)
def test_bounds_contradict_one_another_where_nothing_lies_within(
    lowest: int | None, highest: int | None
) -> None:
    bounds = Bounds(lowest, highest)
    inside = [each for each in bounds if each is not None] or [0]
    assert bounds.contradict == (not any(bounds.admit(each, each) for each in inside))


def test_an_account_without_debit_balance_is_never_overdrawn_by_a_unit(
    book: LedgerUnderTest,
) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    post(book, pay_in(100))
    assert refused(lambda: post(book, pay_out(101))) == "ACCOUNT_LIMIT"
    post(book, pay_out(100))
    assert refused(lambda: post(book, pay_out(1))) == "ACCOUNT_LIMIT"
    assert account(book, WALLET).balance == 0


def test_an_account_without_credit_balance_is_never_overpaid(book: LedgerUnderTest) -> None:
    loan = "1303.01:LOAN:L1"
    create(book, new_account(loan, no_credit_balance=True))
    post(book, entry(dr(loan, 10), cr(CASH, 10)))
    assert refused(lambda: post(book, entry(dr(CASH, 11), cr(loan, 11)))) == "ACCOUNT_LIMIT"
    post(book, entry(dr(CASH, 10), cr(loan, 10)))


def test_a_preview_is_refused_for_what_the_accounts_refuse(book: LedgerUnderTest) -> None:
    deposit = "2011.01:CUSTOMER:C1"
    disbursed = book.event("LOAN_DISBURSED", principal=60)

    def preview(*events: pb.BusinessEvent) -> pb.PreviewEventsResponse:
        request = pb.PreviewEventsRequest(book_id=book.book_id, events=events)
        return book.ledger.PreviewEvents(request)

    def refused_alike(*events: pb.BusinessEvent) -> str:
        reason = refused(lambda: preview(*events))
        assert refused(lambda: book.record(*events)) == reason
        return reason

    post(book, pay_out(100, deposit))
    limit(book, deposit, no_credit_balance=True)
    assert refused_alike(disbursed, disbursed) == "ACCOUNT_LIMIT"
    assert len(preview(disbursed).entries) == 1
    turn(book, "Freeze", deposit)
    assert refused_alike(disbursed) == "ACCOUNT_FROZEN"
    turn(book, "Unfreeze", deposit)
    post(book, pay_in(100, deposit))
    turn(book, "Close", deposit)
    assert refused_alike(disbursed) == "ACCOUNT_CLOSED"


def test_a_floor_allows_an_overdraft_down_to_it_on_either_normal_side(
    book: LedgerUnderTest,
) -> None:
    loan = "1303.01:LOAN:L1"
    create(book, new_account(WALLET, floor=-50), new_account(loan, floor=-50))
    post(book, pay_out(50))
    assert account(book, WALLET).balance == -50
    assert account(book, WALLET).limits == pb.AccountLimits(floor=-50)
    assert refused(lambda: post(book, pay_out(1))) == "ACCOUNT_LIMIT"
    post(book, entry(dr(CASH, 50), cr(loan, 50)))
    assert account(book, loan).balance == -50
    assert refused(lambda: post(book, entry(dr(CASH, 1), cr(loan, 1)))) == "ACCOUNT_LIMIT"


def test_limits_that_contradict_one_another_are_refused(book: LedgerUnderTest) -> None:
    wrong = {"no_credit_balance": True, "floor": 1}
    assert refused(lambda: create(book, new_account(WALLET, **wrong))) == "LIMITS_CONTRADICT"
    create(book, new_account(WALLET))
    assert refused(lambda: limit(book, WALLET, **wrong)) == "LIMITS_CONTRADICT"
    limit(book, WALLET, no_credit_balance=True, no_debit_balance=True)
    assert refused(lambda: post(book, pay_in(1))) == "ACCOUNT_LIMIT"


def test_limits_that_an_account_breaks_already_are_refused(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    assert refused(lambda: limit(book, WALLET, floor=11)) == "LIMIT_BROKEN_NOW"
    limit(book, WALLET, floor=10)
    limit(book, WALLET, floor=5)
    held = reserve(book, dr(WALLET, 3), cr(CASH, 3)).reservation.reservation_id
    assert refused(lambda: limit(book, WALLET, floor=8)) == "LIMIT_BROKEN_NOW"
    limit(book, WALLET, floor=7)
    release(book, held)
    limit(book, WALLET, floor=8)
    fresh = new_account("2011.01:CUSTOMER:W2", floor=1)
    assert refused(lambda: create(book, fresh)) == "LIMIT_BROKEN_NOW"


def test_limits_are_taken_away_and_no_longer_hold(book: LedgerUnderTest) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    assert refused(lambda: post(book, pay_out(1))) == "ACCOUNT_LIMIT"
    assert limit(book, WALLET).limits == pb.AccountLimits()
    post(book, pay_out(1))
    turn_to_zero = pay_in(1)
    post(book, turn_to_zero)
    turn(book, "Close", WALLET)
    assert refused(lambda: limit(book, WALLET, floor=0)) == "ACCOUNT_CLOSED"
    assert book.findings() == []


def test_a_request_is_held_against_the_limits_as_a_whole(book: LedgerUnderTest) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    post(book, pay_out(30), pay_in(30))
    assert refused(lambda: post(book, pay_out(30), pay_in(29))) == "ACCOUNT_LIMIT"


def test_entries_that_stand_alone_are_held_against_the_limits_one_by_one(
    book: LedgerUnderTest,
) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    entries = [pay_in(10), pay_out(6), pay_out(5), pay_out(4), pay_out(1)]
    answer = post(book, *entries, atomic=False)
    assert list(answer.sequences) == [1, 2, 0, 3, 0]
    assert [(one.entry, one.reason) for one in answer.refusals] == [
        (2, "ACCOUNT_LIMIT"),
        (4, "ACCOUNT_LIMIT"),
    ]
    assert account(book, WALLET).balance == 0


def test_columns_are_held_against_the_limits(book: LedgerUnderTest) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    out = ([WALLET, CASH], [1, 0], [0, 1])
    assert refused(lambda: post_columns(book, out)) == "ACCOUNT_LIMIT"
    post_columns(book, ([CASH, WALLET, WALLET, CASH], [5, 5, 0, 0], [0, 0, 5, 5]))
    assert account(book, WALLET).balance == 0


def test_what_is_pending_counts_against_the_limits(book: LedgerUnderTest) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    post(book, pay_in(100))
    held = reserve(book, dr(WALLET, 60), cr(CASH, 60)).reservation.reservation_id
    assert refused(lambda: post(book, pay_out(41))) == "ACCOUNT_LIMIT"
    assert refused(lambda: reserve(book, dr(WALLET, 41), cr(CASH, 41))) == "ACCOUNT_LIMIT"
    post(book, pay_out(40))
    commit(book, held)
    assert account(book, WALLET).balance == 0
    assert book.findings() == []


def test_money_on_its_way_in_is_not_there_yet(book: LedgerUnderTest) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    reserve(book, dr(CASH, 50), cr(WALLET, 50))
    assert refused(lambda: post(book, pay_out(1))) == "ACCOUNT_LIMIT"


@pytest.mark.parametrize("seed", range(3))
def test_sixteen_callers_together_never_overdraw_by_a_unit(
    book: LedgerUnderTest, seed: int
) -> None:
    create(book, new_account(WALLET, no_debit_balance=True))
    post(book, pay_in(1_000))
    dice = random.Random(seed)
    amounts = [[dice.randint(1, 60) for _ in range(12)] for _ in range(16)]
    kinds = [[dice.choice(("out", "reserve", "each")) for _ in range(12)] for _ in range(16)]

    def spend(kind: str, amount: int) -> int:
        """How much of it was taken."""
        if kind == "reserve":
            held = reserve(book, dr(WALLET, amount), cr(CASH, amount)).reservation.reservation_id
            commit(book, held)
            return amount
        if kind == "out":
            post(book, pay_out(amount))
            return amount
        answer = post(book, pay_out(amount), pay_out(amount), atomic=False)
        return amount * sum(sequence > 0 for sequence in answer.sequences)

    def caller(place: int) -> int:
        taken = 0
        for kind, amount in zip(kinds[place], amounts[place], strict=True):
            try:
                taken += spend(kind, amount)
            except grpc.RpcError as error:
                if refusal(error) != ("FAILED_PRECONDITION", "ACCOUNT_LIMIT"):
                    raise
        return taken

    taken: list[Any] = together(16, caller)
    left = account(book, WALLET)
    assert sum(taken) == 1_000 - left.balance
    assert left.balance >= 0
    assert left.debits_pending == 0
    assert left.balance < 60, "small amounts were refused though there was enough"
    assert book.findings() == []
