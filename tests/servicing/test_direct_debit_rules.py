"""What a result is to a debit: taken once, whatever comes, in whatever order and how often."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.debit_results import QUEUED, Result, Verdict, judge, taken
from tael_servicing.debit_sender import _to_ask
from tael_servicing.debits import Debit
from tael_servicing.failure_codes import retryable
from tael_servicing.settlement_files import match

SENT = datetime(2026, 2, 15, tzinfo=UTC)


def debit(**choices: Any) -> Debit:
    """888.49 asked, all or nothing, and not answered yet."""
    return Debit(
        **{
            "payment_id": "debit:ln_1:2026-02-15:1",
            "batch_id": "main-2026-02-15-1",
            "loan_id": "ln_1",
            "book_id": "main",
            "business_date": date(2026, 2, 15),
            "round": 1,
            "card_token": "card",
            "currency_code": "CNY",
            "amount": 88_849,
            "minimum": 0,
            "debited": 0,
            "state": "UNKNOWN",
            "sent_at": SENT,
            "failure_code": "",
            "reference": "",
            "settlement_id": "",
            **choices,
        }
    )


def success(amount: int = 88_849, reference: str = "") -> Result:
    return Result("debit:ln_1:2026-02-15:1", "SUCCESS", amount, reference=reference)


FAILURE = Result("debit:ln_1:2026-02-15:1", "FAILED", failure_code="CARD_CLOSED")
NOT_YET = Result("debit:ln_1:2026-02-15:1", "UNKNOWN")


@pytest.mark.parametrize(
    ("known", "told", "verdict"),
    [
        (None, success(), Verdict.MISSING_HERE),
        (debit(), success(), Verdict.TAKEN),
        (debit(), FAILURE, Verdict.TAKEN),
        (debit(), NOT_YET, Verdict.PENDING),
        (debit(), success(88_848), Verdict.AMOUNT_DIFFERS),
        (debit(minimum=50_000), success(50_000), Verdict.TAKEN),
        (debit(minimum=50_000), success(49_999), Verdict.AMOUNT_DIFFERS),
        (debit(state="PREPARED", sent_at=None), success(), Verdict.RESULT_CONTRADICTS),
        (debit(state="PREPARED", sent_at=None), FAILURE, Verdict.RESULT_CONTRADICTS),
        (debit(state="PREPARED"), success(), Verdict.TAKEN),
        (debit(state="FAILED"), FAILURE, Verdict.REPEATED),
        (debit(state="FAILED"), success(), Verdict.RESULT_CONTRADICTS),
        (debit(state="CANCELLED", sent_at=None), FAILURE, Verdict.RESULT_CONTRADICTS),
        (debit(state="SUCCESS", debited=88_849), success(), Verdict.REPEATED),
        (debit(state="ALLOCATED", debited=88_849), success(), Verdict.REPEATED),
        (debit(state="ALLOCATED", debited=88_849), FAILURE, Verdict.RESULT_CONTRADICTS),
        (debit(state="ALLOCATED", debited=88_849), success(1), Verdict.AMOUNT_DIFFERS),
        (
            debit(state="ALLOCATED", debited=88_849, reference="a"),
            success(reference="b"),
            Verdict.DUPLICATE,
        ),
    ],
)
def test_a_result_is_told_apart_by_what_is_known(
    known: Debit | None, told: Result, verdict: Verdict
) -> None:
    assert judge(known, told) is verdict


@given(
    st.lists(
        st.sampled_from([success(), success(1), success(88_849, "r1"), FAILURE, NOT_YET]),
        max_size=8,
    )
)
def test_a_debit_takes_one_result_whatever_comes(results: list[Result]) -> None:
    known, verdicts = debit(), []
    for result in results:
        verdicts.append(judge(known, result))
        if verdicts[-1] is Verdict.TAKEN:
            known = taken(known, result)
    assert verdicts.count(Verdict.TAKEN) <= 1
    assert known.debited in (0, 88_849)
    decisive = [r for r in results if r.status == "FAILED" or r.amount == 88_849]
    assert (known.state == "UNKNOWN") == (not decisive)
    statuses = {r.status for r in decisive}
    assert len(statuses) < 2 or any(each in QUEUED for each in verdicts), "never silently"


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_part_is_from_the_minimum_to_all_and_nothing_else(
    amount: int, minimum: int, moved: int
) -> None:
    asked = debit(amount=amount, minimum=min(minimum, amount))
    allowed = moved == amount or (minimum > 0 and min(minimum, amount) <= moved < amount)
    assert asked.may_bring(moved) == allowed


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.booleans())
def test_nothing_is_asked_that_is_not_owed(
    amount: int, minimum: int, left: int, sent_before: bool
) -> None:
    prepared = debit(
        state="PREPARED",
        amount=amount,
        minimum=min(minimum, amount),
        sent_at=SENT if sent_before else None,
    )
    decided = _to_ask(prepared, left)
    if decided.state == "SENDING":
        assert 0 < decided.amount <= min(amount, left)
        assert 0 <= decided.minimum <= decided.amount
        assert not sent_before or decided.amount == amount, "one id never asks two amounts"
    else:
        assert left < amount
        assert decided.state == ("FAILED" if sent_before else "CANCELLED")


def test_a_line_of_a_settlement_settles_a_success_once() -> None:
    ours = debit(state="ALLOCATED", debited=88_849)
    settled, found = match(ours, success(), "st_1")
    assert (settled and settled.settlement_id, found) == ("st_1", None)
    assert settled is not None
    again, twice = match(settled, success(), "st_2")
    assert again is None
    assert twice is not None
    assert (twice.kind, twice.ours, twice.theirs) == ("DUPLICATE", 0, 88_849)


def test_what_a_channel_hands_over_it_has_collected() -> None:
    settled, found = match(debit(), success(), "st_1")
    assert found is None
    assert settled is not None
    assert (settled.state, settled.debited, settled.settlement_id) == ("SUCCESS", 88_849, "st_1")


@pytest.mark.parametrize(
    ("known", "amount", "kind", "ours"),
    [
        (None, 100, "MISSING_HERE", 0),
        (debit(state="FAILED"), 88_849, "MISSING_HERE", 0),
        (debit(), 100, "AMOUNT_DIFFERS", 0),
        (debit(state="SUCCESS", debited=88_849), 88_800, "AMOUNT_DIFFERS", 88_849),
    ],
)
def test_a_line_that_is_not_ours_to_the_cent_is_a_difference(
    known: Debit | None, amount: int, kind: str, ours: int
) -> None:
    _, found = match(known, success(amount), "st_1")
    assert found is not None
    assert (found.kind, found.ours, found.theirs) == (kind, ours, amount)


def test_a_settlement_and_a_result_say_the_same_in_either_order() -> None:
    for order in permutations(("result", "line", "result")):
        known: Debit = debit()
        for each in order:
            if each == "line":
                known = match(known, success(), "st_1")[0] or known
            elif judge(known, success()) is Verdict.TAKEN:
                known = taken(known, success())
        assert (known.state, known.debited, known.settlement_id) == ("SUCCESS", 88_849, "st_1")


def test_a_card_is_asked_again_only_where_that_may_go_better() -> None:
    assert retryable("INSUFFICIENT_FUNDS")
    assert not retryable("CARD_CLOSED")
    assert not retryable("SOMETHING_NEW"), "nobody classed it"
