"""Accounts opened ahead, frozen, unfrozen and closed."""

from __future__ import annotations

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
    new_account,
    pay_in,
    pay_out,
    post,
    refused,
    release,
    reserve,
    turn,
)

from tael.ledger.v1 import ledger_pb2 as pb


def test_accounts_are_opened_ahead_in_the_order_asked(book: LedgerUnderTest) -> None:
    answer = create(book, new_account(WALLET, no_debit_balance=True), new_account(CASH))
    assert [one.account_number for one in answer.accounts] == [WALLET, CASH]
    wallet = answer.accounts[0]
    assert (wallet.gl_code, wallet.owner_type, wallet.owner_id) == ("2011.01", "CUSTOMER", "W1")
    assert (wallet.state, wallet.normal_side) == (pb.ACCOUNT_STATE_OPEN, pb.SIDE_CREDIT)
    assert wallet.limits == pb.AccountLimits(no_debit_balance=True)
    assert account(book, CASH).limits == pb.AccountLimits()
    assert len(answer.anchor.digest) == 32
    assert book.findings() == []


def test_accounts_are_opened_once_whoever_repeats_the_request(book: LedgerUnderTest) -> None:
    first = create(book, new_account(WALLET), request_id="once")
    post(book, pay_in(5))
    again = create(book, new_account(WALLET), request_id="once")
    assert again.anchor == first.anchor
    assert again.accounts[0].balance == 5
    assert refused(lambda: create(book, new_account(CASH), request_id="once")) == (
        "REQUEST_ID_REUSED"
    )


def test_all_accounts_of_a_request_are_opened_or_none(book: LedgerUnderTest) -> None:
    create(book, new_account(CASH))
    fresh = new_account(WALLET)
    assert refused(lambda: create(book, fresh, new_account(CASH))) == "ACCOUNT_EXISTS"
    assert refused(lambda: create(book, fresh, fresh)) == "ACCOUNT_EXISTS"
    assert refused(lambda: create(book, fresh, new_account("9999"))) == "UNKNOWN_GL_CODE"
    assert refused(lambda: account(book, WALLET)) == "RESOURCE_NOT_FOUND"
    create(book, fresh)


def test_five_thousand_accounts_are_opened_at_once_and_posted_on(book: LedgerUnderTest) -> None:
    numbers = [f"2011.01:CUSTOMER:N{number}" for number in range(5_000)]
    create(book, *(new_account(number, no_debit_balance=True) for number in numbers))
    post(book, pay_in(1, numbers[4_999]))
    assert refused(lambda: post(book, pay_out(1, numbers[0]))) == "ACCOUNT_LIMIT"
    assert account(book, numbers[4_999]).lines_posted == 1
    assert book.findings() == []


def test_a_frozen_account_takes_nothing_until_it_is_unfrozen(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    assert turn(book, "Freeze", WALLET).state == pb.ACCOUNT_STATE_FROZEN
    assert refused(lambda: post(book, pay_in(1))) == "ACCOUNT_FROZEN"
    assert refused(lambda: post(book, pay_out(1))) == "ACCOUNT_FROZEN"
    assert refused(lambda: reserve(book, dr(WALLET, 1), cr(CASH, 1))) == "ACCOUNT_FROZEN"
    assert refused(lambda: turn(book, "Freeze", WALLET)) == "ACCOUNT_FROZEN"
    assert refused(lambda: turn(book, "Close", WALLET)) == "ACCOUNT_FROZEN"
    assert turn(book, "Unfreeze", WALLET).state == pb.ACCOUNT_STATE_OPEN
    assert refused(lambda: turn(book, "Unfreeze", WALLET)) == "ACCOUNT_NOT_FROZEN"
    post(book, pay_out(10))
    assert book.findings() == []


def test_lines_that_cancel_out_are_refused_on_a_frozen_account_too(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    turn(book, "Freeze", WALLET)
    both = entry(dr(WALLET, 5), cr(WALLET, 5))
    assert refused(lambda: post(book, both)) == "ACCOUNT_FROZEN"
    assert refused(lambda: post(book, pay_in(5), pay_out(5))) == "ACCOUNT_FROZEN"
    assert account(book, WALLET).lines_posted == 1


def test_what_is_reserved_on_an_account_stays_while_it_is_frozen(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    first = reserve(book, dr(WALLET, 4), cr(CASH, 4)).reservation.reservation_id
    second = reserve(book, dr(WALLET, 5), cr(CASH, 5)).reservation.reservation_id
    turn(book, "Freeze", WALLET)
    assert account(book, WALLET).debits_pending == 9
    assert refused(lambda: commit(book, first)) == "ACCOUNT_FROZEN"
    release(book, second)
    turn(book, "Unfreeze", WALLET)
    commit(book, first)
    assert (account(book, WALLET).debits_pending, account(book, WALLET).balance) == (0, 6)
    assert book.findings() == []


def test_a_freeze_repeated_is_answered_as_the_account_stands_now(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    turn(book, "Freeze", WALLET, "freeze")
    turn(book, "Unfreeze", WALLET)
    assert turn(book, "Freeze", WALLET, "freeze").state == pb.ACCOUNT_STATE_OPEN


def test_an_account_closes_at_zero_only_and_for_good(book: LedgerUnderTest) -> None:
    post(book, pay_in(10))
    assert refused(lambda: turn(book, "Close", WALLET)) == "ACCOUNT_NOT_ZERO"
    post(book, pay_out(10))
    held = reserve(book, dr(CASH, 4), cr(WALLET, 4)).reservation.reservation_id
    assert refused(lambda: turn(book, "Close", WALLET)) == "ACCOUNT_NOT_ZERO"
    release(book, held)
    assert turn(book, "Close", WALLET).state == pb.ACCOUNT_STATE_CLOSED
    assert refused(lambda: post(book, pay_in(1))) == "ACCOUNT_CLOSED"
    assert refused(lambda: reserve(book, dr(CASH, 1), cr(WALLET, 1))) == "ACCOUNT_CLOSED"
    assert refused(lambda: turn(book, "Close", WALLET)) == "ACCOUNT_CLOSED"
    assert refused(lambda: turn(book, "Freeze", WALLET)) == "ACCOUNT_CLOSED"
    assert refused(lambda: turn(book, "Unfreeze", WALLET)) == "ACCOUNT_NOT_FROZEN"
    assert book.findings() == []


def test_an_account_never_opened_is_not_found(book: LedgerUnderTest) -> None:
    for rpc in ("Freeze", "Unfreeze", "Close"):
        assert refused(lambda rpc=rpc: turn(book, rpc, WALLET)) == "RESOURCE_NOT_FOUND"
    assert refused(lambda: account(book, WALLET)) == "RESOURCE_NOT_FOUND"
