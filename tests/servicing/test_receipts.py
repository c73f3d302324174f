"""Money of unknown payers: parked, aged, allocated to whoever it is for, or given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, Bank

from support import refusal, rid
from tael.servicing.v1 import receipt_pb2 as pb
from tael.servicing.v1 import receipt_pb2_grpc, repayment_pb2
from tael_client.values import money


def desk(bank: Bank) -> receipt_pb2_grpc.ReceiptServiceStub:
    return bank.house.client("servicing", receipt_pb2_grpc.ReceiptServiceStub)


def park(bank: Bank, minor_units: int, **choices: Any) -> pb.Receipt:
    request = pb.ParkReceiptRequest(
        **{
            "request_id": rid(),
            "book_id": bank.book,
            "amount": money(minor_units),
            "reference": "transfer without a name",
            **choices,
        }
    )
    return desk(bank).ParkReceipt(request).receipt


def allocate(bank: Bank, receipt_id: str, **choices: Any) -> pb.AllocateReceiptResponse:
    request = pb.AllocateReceiptRequest(
        **{"request_id": rid(), "receipt_id": receipt_id, **choices}
    )
    return desk(bank).AllocateReceipt(request)


def left(bank: Bank, receipt_id: str) -> int:
    request = pb.GetReceiptRequest(receipt_id=receipt_id)
    return int(desk(bank).GetReceipt(request).receipt.left.minor_units)


def refused(call: Any, *arguments: Any, **choices: Any) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **choices)
    return refusal(error.value)[1]


def test_parked_money_pays_a_loan_in_part_and_the_rest_goes_back(bank: Bank) -> None:
    loan_id = bank.lend(card="card-closed").loan_id
    bank.fails("card-closed", "CARD_CLOSED")
    bank.end_days(date(2026, 2, 15))
    receipt = park(bank, 100_000)
    assert bank.balance("2241.04", f"RECEIPT:{receipt.receipt_id}") == 100_000
    bank.assert_books_agree()
    made = allocate(bank, receipt.receipt_id, loan_id=loan_id, amount=money(88_849))
    assert made.receipt.left.minor_units == 11_151
    (repayment,) = made.repayments
    assert repayment.funding == repayment_pb2.FUNDING_PARKED
    assert (repayment.allocation.interest, repayment.allocation.principal) == (10_000, 78_849)
    lines = bank.vouchers(loan_id, "REPAYMENT_RECEIVED")
    assert sorted(line for line in lines if not line[0].startswith("7")) == [
        ("1132.02", "Cr", 10_000),
        ("1303.01", "Cr", 78_849),
        ("2241.04", "Dr", 88_849),
    ]
    request = pb.RefundReceiptRequest(
        request_id=rid(), receipt_id=receipt.receipt_id, reference="sent back"
    )
    refund = desk(bank).RefundReceipt(request)
    assert desk(bank).RefundReceipt(request) == refund, "a repeated call changes nothing"
    assert bank.balance("2241.04") == 0
    bank.assert_books_agree()
    assert refused(allocate, bank, receipt.receipt_id, loan_id=loan_id) == "RECEIPT_EXCEEDED"
    uses = desk(bank).GetReceipt(pb.GetReceiptRequest(receipt_id=receipt.receipt_id)).uses
    assert [(use.event, use.minor_units, use.loan_id) for use in uses] == [
        ("RECEIPT_PARKED", 100_000, ""),
        ("REPAYMENT_RECEIVED", -88_849, loan_id),
        ("RECEIPT_REFUNDED", -11_151, ""),
    ]
    bank.end_day()


def test_a_customer_s_loans_are_paid_the_longest_overdue_first(new_bank: Any) -> None:
    bank: Bank = new_bank(**DUE_TOMORROW)
    customer = f"cu-fifo-{bank.book}"
    line = bank.grant(5_000_000, customer=customer)
    for card in ("fifo-late", "fifo-early"):
        bank.fails(card, "CARD_CLOSED")
    late = bank.lend(line.line_id, card="fifo-late", repay_day=18).loan_id
    early = bank.lend(line.line_id, card="fifo-early", repay_day=16).loan_id
    nobody = bank.lend().loan_id
    bank.end_days(date(2026, 1, 19))
    owed = {loan_id: bank.loan(loan_id).amount_past_due for loan_id in (early, late)}
    receipt = park(bank, owed[early] + 1_000)
    made = allocate(bank, receipt.receipt_id, customer_id=customer)
    assert [(each.loan_id, each.amount.minor_units) for each in made.repayments] == [
        (early, owed[early]),
        (late, 1_000),
    ]
    assert made.receipt.left.minor_units == 0
    other = park(bank, 10_000_000)
    made = allocate(bank, other.receipt_id, customer_id=customer)
    assert made.receipt.left.minor_units == 10_000_000 - owed[late] + 1_000
    assert bank.loan(late).dpd == 0
    why = refused(allocate, bank, other.receipt_id, customer_id=bank.loan(nobody).customer_id)
    assert why == "NOTHING_TO_ALLOCATE"
    bank.assert_books_agree()


def test_a_reversed_repayment_gives_its_money_back_to_the_receipt(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    receipt = park(bank, 50_000, funding=repayment_pb2.FUNDING_CHANNEL)
    (repayment,) = allocate(bank, receipt.receipt_id, loan_id=loan_id).repayments
    assert left(bank, receipt.receipt_id) == 0
    bank.repayments.ReverseRepayment(
        repayment_pb2.ReverseRepaymentRequest(
            request_id=rid(),
            loan_id=loan_id,
            repayment_id=repayment.repayment_id,
            reason="it was for somebody else",
        )
    )
    assert left(bank, receipt.receipt_id) == 50_000
    assert bank.balance("2241.04", f"RECEIPT:{receipt.receipt_id}") == 50_000
    bank.assert_books_agree()


def test_a_receipt_that_several_people_spend_at_once_is_spent_once(bank: Bank) -> None:
    loan_ids = [bank.lend().loan_id for _ in range(4)]
    receipt = park(bank, 25_000)

    def spend(loan_id: str) -> str:
        try:
            allocate(bank, receipt.receipt_id, loan_id=loan_id, amount=money(10_000))
        except grpc.RpcError as error:
            return refusal(error)[1]
        return "OK"

    with ThreadPoolExecutor(4) as people:
        told = list(people.map(spend, loan_ids))
    assert sorted(told) == ["OK", "OK", "RECEIPT_EXCEEDED", "RECEIPT_EXCEEDED"]
    assert left(bank, receipt.receipt_id) == 5_000
    bank.assert_books_agree()


def test_receipts_are_listed_and_aged(bank: Bank) -> None:
    first = park(bank, 100)
    bank.end_days(date(2026, 1, 20))
    second = park(bank, 200)
    spent = park(bank, 300)
    loan_id = bank.lend().loan_id
    allocate(bank, spent.receipt_id, loan_id=loan_id)
    listed = desk(bank).ListReceipts(
        pb.ListReceiptsRequest(book_id=bank.book, open_only=True, page_size=1)
    )
    assert [(each.receipt_id, each.age_days) for each in listed.receipts] == [(first.receipt_id, 5)]
    more = pb.ListReceiptsRequest(
        book_id=bank.book, open_only=True, page_token=listed.next_page_token
    )
    assert [each.receipt_id for each in desk(bank).ListReceipts(more).receipts] == [
        second.receipt_id
    ]
    aged = desk(bank).AgeReceipts(pb.AgeReceiptsRequest(book_id=bank.book)).ages
    assert [(age.from_days, age.to_days, age.count, age.left) for age in aged] == [
        (0, 0, 1, 200),
        (1, 3, 0, 0),
        (4, 7, 1, 100),
        (8, 30, 0, 0),
        (31, 90, 0, 0),
        (91, 0, 0, 0),
    ]
