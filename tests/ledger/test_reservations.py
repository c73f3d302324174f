"""Two-phase posting: reserved, then committed, released or expired, once."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest, lines
from ledger.posting_case import (
    CASH,
    WALLET,
    account,
    commit,
    cr,
    create,
    dr,
    new_account,
    pay_in,
    post,
    refused,
    release,
    reserve,
)
from ledger.test_concurrency import together

from support import day, violations
from tael.ledger.v1 import ledger_pb2 as pb

WALLETS = [f"2011.01:CUSTOMER:W{number}" for number in range(4)]


def held(book: LedgerUnderTest, amount: int) -> int:
    """The id of a payment reserved from the wallet."""
    return reserve(book, dr(WALLET, amount), cr(CASH, amount)).reservation.reservation_id


def listed(book: LedgerUnderTest, **wanted: Any) -> list[int]:
    """Ids that ListReservations tells, page by page."""
    request = pb.ListReservationsRequest(book_id=book.book_id, **wanted)
    found: list[int] = []
    while True:
        answer = book.ledger.ListReservations(request)
        found += [one.reservation_id for one in answer.reservations]
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


def state_of(book: LedgerUnderTest, reservation_id: int) -> pb.ReservationState.ValueType:
    """GetReservation's."""
    request = pb.GetReservationRequest(book_id=book.book_id, reservation_id=reservation_id)
    return book.ledger.GetReservation(request).reservation.state


def test_a_reservation_is_pending_and_posts_nothing(book: LedgerUnderTest) -> None:
    answer = reserve(
        book, dr(WALLET, 5), cr(CASH, 5), source="card/1", narrative="n", request_id="once"
    )
    made = answer.reservation
    assert (made.reservation_id, made.state) == (1, pb.RESERVATION_STATE_PENDING)
    assert (made.source, made.narrative, made.sequence) == ("card/1", "n", 0)
    assert list(made.lines) == [dr(WALLET, 5), cr(CASH, 5)]
    assert account(book, WALLET).debits_pending == 5
    assert account(book, CASH).credits_pending == 5
    assert book.balance(WALLET, CASH) == [0, 0]
    again = reserve(
        book, dr(WALLET, 5), cr(CASH, 5), source="card/1", narrative="n", request_id="once"
    )
    assert again == answer
    commit(book, 1)
    again = reserve(
        book, dr(WALLET, 5), cr(CASH, 5), source="card/1", narrative="n", request_id="once"
    )
    assert again == answer, "as reserved, for ever"
    assert book.findings() == []


def test_a_reservation_committed_whole_posts_its_entry(book: LedgerUnderTest) -> None:
    first = held(book, 5)
    answer = commit(book, first, request_id="post")
    assert lines(answer.entry) == {WALLET: ("Dr", 5), CASH: ("Cr", 5)}
    assert (answer.entry.event, answer.entry.sequence) == ("PAYMENT", 1)
    assert state_of(book, first) == pb.RESERVATION_STATE_COMMITTED
    assert (account(book, WALLET).debits_pending, book.balance(CASH)) == (0, -5)
    assert commit(book, first, request_id="post") == answer
    assert refused(lambda: commit(book, first)) == "RESERVATION_COMMITTED"
    assert refused(lambda: release(book, first)) == "RESERVATION_COMMITTED"
    assert book.findings() == []


def test_a_reservation_committed_in_part_releases_the_rest(book: LedgerUnderTest) -> None:
    first = held(book, 5)
    answer = commit(book, first, dr(WALLET, 3), cr(CASH, 3), value_date=day("2026-01-14"))
    assert lines(answer.entry) == {WALLET: ("Dr", 3), CASH: ("Cr", 3)}
    assert answer.entry.value_date == day("2026-01-14")
    assert account(book, WALLET).debits_pending == 0
    assert account(book, CASH).credits_pending == 0
    assert book.balance(CASH) == -3
    assert book.findings() == []


def test_no_more_is_committed_than_was_reserved(book: LedgerUnderTest) -> None:
    first = held(book, 5)
    more = lambda: commit(book, first, dr(WALLET, 6), cr(CASH, 6))  # noqa: E731
    other = lambda: commit(book, first, dr(WALLET, 5), cr("1001", 5))  # noqa: E731
    turned = lambda: commit(book, first, cr(WALLET, 5), dr(CASH, 5))  # noqa: E731
    uneven = lambda: commit(book, first, dr(WALLET, 5), cr(CASH, 4))  # noqa: E731
    late = lambda: commit(book, first, value_date=day("2026-01-16"))  # noqa: E731
    assert [refused(call) for call in (more, other, turned)] == ["MORE_THAN_RESERVED"] * 3
    assert refused(uneven) == "UNBALANCED_ENTRY"
    assert refused(late) == "VALUE_DATE_IN_FUTURE"
    commit(book, first)
    assert book.findings() == []


def test_a_reservation_released_gives_back_what_was_held(book: LedgerUnderTest) -> None:
    first = held(book, 5)
    answer = release(book, first, "back")
    assert answer.reservation.state == pb.RESERVATION_STATE_RELEASED
    assert release(book, first, "back") == answer
    assert account(book, WALLET).debits_pending == 0
    assert refused(lambda: release(book, first)) == "RESERVATION_RELEASED"
    assert refused(lambda: commit(book, first)) == "RESERVATION_RELEASED"
    assert refused(lambda: commit(book, 99)) == "RESOURCE_NOT_FOUND"
    assert book.findings() == []


def test_a_reservation_expires_when_its_last_day_closes(book: LedgerUnderTest) -> None:
    today = held(book, 5)
    later = reserve(
        book, dr(WALLET, 7), cr(CASH, 7), expires_on=day("2026-01-16")
    ).reservation.reservation_id
    book.close_day("2026-01-15")
    assert state_of(book, today) == pb.RESERVATION_STATE_EXPIRED
    assert account(book, WALLET).debits_pending == 7
    assert refused(lambda: commit(book, today)) == "RESERVATION_EXPIRED"
    assert refused(lambda: release(book, today)) == "RESERVATION_EXPIRED"
    assert refused(lambda: held(book, 1)) == "EXPIRY_PASSED"
    assert commit(book, later).entry.booking_date == day("2026-01-16")
    book.close_day("2026-01-16")
    assert state_of(book, later) == pb.RESERVATION_STATE_COMMITTED
    assert account(book, WALLET).debits_pending == 0
    assert book.findings() == []


def test_what_can_not_be_posted_can_not_be_reserved(book: LedgerUnderTest) -> None:
    wrong = {
        "UNBALANCED_ENTRY": lambda: reserve(book, dr(WALLET, 5), cr(CASH, 6)),
        "UNKNOWN_GL_CODE": lambda: reserve(book, dr("9999", 5), cr(CASH, 5)),
        "RESERVED_EVENT": lambda: reserve(
            book, dr(WALLET, 5), cr(CASH, 5), event="OPENING_BALANCE"
        ),
        "INVALID_FIELD": lambda: reserve(book, dr(WALLET, -5), cr(CASH, -5)),
    }
    for reason, call in wrong.items():
        assert refused(call) == reason
    with pytest.raises(grpc.RpcError) as error:
        reserve(book, dr(WALLET, 5), dr(WALLET, 1), cr(CASH, 6))
    assert "lines[1].account_number" in violations(error.value)
    assert listed(book) == []


def test_a_reservation_and_its_commit_may_name_the_booking_date(book: LedgerUnderTest) -> None:
    until = {"expires_on": day("2026-01-20")}
    lines_ = (dr(WALLET, 5), cr(CASH, 5))
    first = reserve(book, *lines_, booking_date=day("2026-01-15"), **until)
    number = first.reservation.reservation_id
    book.close_day("2026-01-15")
    closed, ahead = day("2026-01-15"), day("2026-01-17")
    assert refused(lambda: reserve(book, *lines_, booking_date=closed, **until)) == "DAY_CLOSED"
    assert refused(lambda: commit(book, number, booking_date=closed)) == "DAY_CLOSED"
    assert refused(lambda: commit(book, number, booking_date=ahead)) == "NOT_THE_BUSINESS_DATE"
    assert state_of(book, number) == pb.RESERVATION_STATE_PENDING
    commit(book, number, booking_date=day("2026-01-16"))


def test_reservations_are_listed_by_account_and_state(book: LedgerUnderTest) -> None:
    ids = [
        reserve(book, dr(wallet, 5), cr(CASH, 5)).reservation.reservation_id
        for wallet in (WALLETS[0], WALLETS[1], WALLETS[0])
    ]
    release(book, ids[0])
    assert listed(book, page_size=2) == ids
    assert listed(book, account_number=WALLETS[0]) == [ids[0], ids[2]]
    assert listed(book, account_number=CASH, page_size=1) == ids
    assert listed(book, state=pb.RESERVATION_STATE_PENDING) == ids[1:]
    assert listed(book, state=pb.RESERVATION_STATE_RELEASED, account_number=WALLETS[1]) == []


def test_of_many_who_end_one_reservation_together_one_wins(book: LedgerUnderTest) -> None:
    first = held(book, 5)
    answers = together(16, lambda place: commit(book, first) if place % 2 else release(book, first))
    won = [answer for answer in answers if not isinstance(answer, tuple)]
    assert len(won) == 1
    committed = isinstance(won[0], pb.CommitReservationResponse)
    ended = "RESERVATION_COMMITTED" if committed else "RESERVATION_RELEASED"
    assert answers.count(("FAILED_PRECONDITION", ended)) == 15
    assert book.balance(CASH) == (-5 if committed else 0)
    assert account(book, WALLET).debits_pending == 0
    assert book.findings() == []


@pytest.mark.parametrize("seed", range(2))
def test_payments_reserved_and_ended_together_leave_every_wallet_right(
    book: LedgerUnderTest, seed: int
) -> None:
    create(book, *(new_account(number, no_debit_balance=True) for number in WALLETS))
    post(book, *(pay_in(300, number) for number in WALLETS))
    seeds = [random.Random(seed * 100 + place) for place in range(16)]

    def payments(place: int) -> dict[str, int]:
        """What this caller moved out of each wallet."""
        dice = seeds[place]
        moved = dict.fromkeys(WALLETS, 0)
        for _ in range(8):
            wallet, amount = dice.choice(WALLETS), dice.randint(2, 40)
            try:
                answer = reserve(book, dr(wallet, amount), cr(CASH, amount))
            except grpc.RpcError:
                continue
            part = dice.choice((0, amount, amount // 2))
            if part:
                made = (dr(wallet, part), cr(CASH, part))
                commit(book, answer.reservation.reservation_id, *made)
                moved[wallet] += part
            else:
                release(book, answer.reservation.reservation_id)
        return moved

    moved = together(16, payments)
    for wallet in WALLETS:
        held_now = account(book, wallet)
        assert held_now.balance == 300 - sum(one[wallet] for one in moved)
        assert held_now.balance >= 0
        assert held_now.debits_pending == 0
    assert book.findings() == []
