"""A customer's money over that customer's loans: what fell due first is paid first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.bank import DUE_TOMORROW, START, Bank

from support import refusal, rid
from tael.servicing.v1 import repayment_pb2 as pb
from tael_client.values import money
from tael_servicing.customer_money import Due, spread

DUES = st.lists(
    st.builds(
        Due,
        st.dates(START, START + timedelta(days=40)),
        st.sampled_from(["ln-a", "ln-b", "ln-c"]),
        st.integers(1, 1_000_000),
    ),
    max_size=12,
)


@given(DUES, st.integers(1, 3_000_000))
def test_nothing_later_is_paid_while_something_earlier_is_owed(dues: list[Due], came: int) -> None:
    parts, left = spread(dues, came)
    assert sum(parts.values()) + left == came
    assert all(part > 0 for part in parts.values())
    assert left == max(came - sum(due.amount for due in dues), 0)
    for day in {due.due_date for due in dues}:
        before = [due for due in dues if due.due_date < day]
        by_then = [due for due in dues if due.due_date <= day]
        if came >= sum(due.amount for due in by_then):
            for loan_id in {due.loan_id for due in by_then}:
                owed = sum(due.amount for due in by_then if due.loan_id == loan_id)
                assert parts[loan_id] >= owed
        if came <= sum(due.amount for due in before):
            assert set(parts) <= {due.loan_id for due in before}


def test_instalments_of_two_loans_are_paid_in_the_order_of_their_due_dates() -> None:
    dues = [
        Due(date(2026, 3, 1), "ln-a", 300),
        Due(date(2026, 1, 1), "ln-a", 100),
        Due(date(2026, 2, 1), "ln-b", 200),
    ]
    assert spread(dues, 250) == ({"ln-a": 100, "ln-b": 150}, 0)
    assert spread(dues, 650) == ({"ln-a": 400, "ln-b": 200}, 50)


def pay(bank: Bank, customer: str, minor_units: int, **choices: Any) -> list[pb.Repayment]:
    request = pb.RepayCustomerRequest(
        **{
            "request_id": rid(),
            "book_id": bank.book,
            "customer_id": customer,
            "amount": money(minor_units),
            "funding": pb.FUNDING_TRANSFER,
            "reference": "salary",
            **choices,
        }
    )
    return list(bank.repayments.RepayCustomer(request).repayments)


def test_money_of_a_customer_pays_all_loans_once_and_the_rest_waits_for_what_is_due_next(
    new_bank: Any,
) -> None:
    bank: Bank = new_bank(**DUE_TOMORROW)
    customer = f"cu-all-{bank.book}"
    line = bank.grant(5_000_000, customer=customer)
    for card in ("all-late", "all-early"):
        bank.fails(card, "CARD_CLOSED")
    late = bank.lend(line.line_id, card="all-late", repay_day=17).loan_id
    early = bank.lend(line.line_id, card="all-early", repay_day=16).loan_id
    bank.end_days(date(2026, 1, 18))
    owed = {loan_id: bank.loan(loan_id).amount_past_due for loan_id in (early, late)}
    before = bank.line(line.line_id)

    request_id = rid()
    made = pay(bank, customer, owed[early] + 1_000, request_id=request_id)
    assert [(each.loan_id, each.amount.minor_units) for each in made] == [
        (early, owed[early]),
        (late, 1_000),
    ]
    assert all(each.entry_sequences and each.reference == "salary" for each in made)
    assert pay(bank, customer, owed[early] + 1_000, request_id=request_id) == made, "paid once"
    assert bank.line(line.line_id)[0] == before[0] - sum(each.allocation.principal for each in made)

    more = pay(bank, customer, owed[late] + 5_000)
    assert [(each.loan_id, each.allocation.overpayment) for each in more] == [
        (late, 0),
        (early, 6_000),
    ], "early falls due next"
    with pytest.raises(grpc.RpcError) as refused:
        pay(bank, "cu-nobody", 500)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOTHING_TO_ALLOCATE")
    bank.assert_books_agree()


def test_a_loan_s_repayments_are_told_in_pages(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    for amount in (100, 200, 300):
        bank.repay(loan_id, amount)
    seen, token = [], ""
    for more in (True, False):
        page = bank.repayments.ListRepayments(
            pb.ListRepaymentsRequest(loan_id=loan_id, page_size=2, page_token=token)
        )
        seen += [each.allocation.overpayment for each in page.repayments]
        token = page.next_page_token
        assert bool(token) is more
    assert seen == [100, 200, 300]
