"""How what a customer pays on a joint loan is split."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.joint import own_part, whole
from tael_servicing.loans import Contract

parts = st.integers(1, 10**9)


def joint_loan(ours: int, theirs: int) -> Contract:
    return Contract(
        loan_id="ln_1",
        customer_id="cu-1",
        line_id="li-1",
        book_id="book",
        product_code="cash",
        product_version=1,
        currency_code="CNY",
        principal=ours,
        annual_rate=Decimal("0.12"),
        periods=12,
        repay_day=15,
        start_date=date(2026, 1, 15),
        card_token="card",
        source="",
        partner_id="bank-b",
        partner_principal=theirs,
    )


def test_of_888_49_a_share_of_three_tenths_is_266_55() -> None:
    loan = joint_loan(300_000, 700_000)
    assert own_part(loan, 88_849) == 26_655
    assert own_part(loan, loan.paid_out) == 300_000
    assert [own_part(loan, paid) for paid in range(4)] == [0, 1, 1, 1]


@given(parts, parts, st.integers(0, 10**9))
def test_what_is_asked_of_the_customer_brings_exactly_our_part(
    ours: int, theirs: int, due: int
) -> None:
    loan = joint_loan(ours, theirs)
    assert own_part(loan, whole(loan, due)) == due


@given(parts, parts, st.integers(0, 10**9))
def test_neither_lender_gets_more_than_was_paid(ours: int, theirs: int, paid: int) -> None:
    loan = joint_loan(ours, theirs)
    part = own_part(loan, paid)
    assert min(paid, 1) <= part <= paid
    assert part == 1 or abs(part * loan.paid_out - paid * ours) * 2 <= loan.paid_out
