"""A book's taxes by month: computed from the ledger, booked once, not before the month ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import grpc
import pytest

from support import House, refusal, rid
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.servicing.v1 import end_of_day_pb2, end_of_day_pb2_grpc, tax_pb2_grpc
from tael.servicing.v1 import tax_pb2 as pb
from tael_client.values import from_date, money
from tael_servicing.taxes import period_of

LAST = date(2026, 1, 31)
TRANSFERRED = "2221.01.04"


class TaxBook:
    """A book of VAT mode SPLIT with output VAT of 100.00 and input VAT of 20.00 in January."""

    def __init__(self, house: House, name: str, vat_mode: Any = ledger_pb2.VAT_MODE_SPLIT) -> None:
        self.house, self.day = house, LAST
        self.ledger = house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
        self.taxes = house.client("servicing", tax_pb2_grpc.TaxServiceStub)
        self.book = name
        self.ledger.CreateBook(
            ledger_pb2.CreateBookRequest(
                request_id=rid(),
                book_id=name,
                legal_entity="示范消费金融 Demo Consumer Finance",
                currency_code="CNY",
                business_date=from_date(LAST),
                lender_type=ledger_pb2.LENDER_TYPE_CONSUMER_FINANCE,
                vat_mode=vat_mode,
            )
        )

    def earn(self) -> None:
        """Input VAT in a commission, output VAT in a fee."""
        self._post("COMMISSION_DUE", "PARTNER", commission=35_333, commission_vat=2_000)
        self._post("ENTRUSTED_LOAN_FEE_CHARGED", "ENTRUSTER", fee=176_667, fee_vat=10_000)

    def end_days(self, until: date) -> None:
        """Ends day after day until `until` is open."""
        day_ends = self.house.client("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
        request = end_of_day_pb2.CatchUpRequest(book_id=self.book, open_date=from_date(until))
        assert list(day_ends.CatchUp(request))
        self.day = until

    def tax(self, amount: int) -> None:
        """Output VAT that no other account of servicing's is beside."""
        lines = [
            ledger_pb2.PostingLine(
                account_number="1002", side=ledger_pb2.SIDE_DEBIT, amount=amount
            ),
            ledger_pb2.PostingLine(
                account_number="2221.01.07", side=ledger_pb2.SIDE_CREDIT, amount=amount
            ),
        ]
        entry = ledger_pb2.NewEntry(
            event="MANUAL_ADJUSTMENT", value_date=from_date(self.day), lines=lines
        )
        self.ledger.PostEntries(
            ledger_pb2.PostEntriesRequest(request_id=rid(), book_id=self.book, entries=[entry])
        )

    def _post(self, event: str, owner_type: str, **amounts: int) -> None:
        told = ledger_pb2.BusinessEvent(
            event=event,
            value_date=from_date(self.day),
            owners=[ledger_pb2.Owner(owner_type=owner_type, owner_id="somebody")],
            amounts=[
                ledger_pb2.EventAmount(amount_type=name, minor_units=amount)
                for name, amount in amounts.items()
            ],
            source=f"test/{event}",
        )
        self.ledger.RecordEvents(
            ledger_pb2.RecordEventsRequest(request_id=rid(), book_id=self.book, events=[told])
        )

    def record(self, step: str, period: date = date(2026, 1, 5), **choices: Any) -> int:
        """The amount booked."""
        request = pb.RecordTaxRequest(
            **{
                "request_id": rid(),
                "book_id": self.book,
                "step": pb.TaxStep.Value(f"TAX_STEP_{step}"),
                "period": from_date(period),
                **choices,
            }
        )
        return int(self.taxes.RecordTax(request).entry.amount.minor_units)

    def refused(self, step: str, **choices: Any) -> str:
        """Why."""
        with pytest.raises(grpc.RpcError) as error:
            self.record(step, **choices)
        return refusal(error.value)[1]

    def balance(self, code: str) -> int:
        request = ledger_pb2.GetBalancesRequest(book_id=self.book, account_numbers=[code])
        return int(self.ledger.GetBalances(request).balances[0].balance)


@pytest.fixture(scope="module")
def house(open_house: Callable[..., House]) -> House:
    return open_house("simulators", "ledger", "servicing")


def test_a_month_s_vat_and_surtaxes_are_transferred_accrued_and_paid(house: House) -> None:
    """E28: output 100.00, input 20.00; surtaxes of 12 %."""
    book = TaxBook(house, "split-book")
    assert book.refused("VAT_TRANSFERRED_OUT") == "TAX_NOTHING_DUE"
    book.earn()
    assert book.refused("VAT_PAID") == "TAX_NOTHING_DUE"
    assert book.record("VAT_TRANSFERRED_OUT") == 8_000
    assert (book.balance(TRANSFERRED), book.balance("2221.02")) == (8_000, 8_000)
    assert book.refused("VAT_TRANSFERRED_OUT") == "TAX_NOTHING_DUE"
    assert book.refused("VAT_TRANSFERRED_OUT", period=date(2026, 2, 1)) == "TAX_PERIOD_OPEN"
    assert book.record("SURTAX_ACCRUED") == 960
    assert book.refused("SURTAX_ACCRUED") == "TAX_RECORDED"
    assert book.refused("VAT_PAID", amount=money(8_001)) == "TAX_EXCEEDED"
    assert book.record("VAT_PAID") == 8_000
    assert book.record("SURTAX_PAID") == 960
    assert (book.balance("2221.02"), book.balance("2221.20")) == (0, 0)
    assert book.balance("6403") == 960
    assert book.balance("1002") == -8_960
    listed = book.taxes.ListTaxes(pb.ListTaxesRequest(book_id=book.book, page_size=3))
    rest = book.taxes.ListTaxes(
        pb.ListTaxesRequest(book_id=book.book, page_token=listed.next_page_token)
    )
    steps = [pb.TaxStep.Name(entry.step) for entry in (*listed.entries, *rest.entries)]
    assert sorted(steps) == [
        "TAX_STEP_SURTAX_ACCRUED",
        "TAX_STEP_SURTAX_PAID",
        "TAX_STEP_VAT_PAID",
        "TAX_STEP_VAT_TRANSFERRED_OUT",
    ]


def test_months_whose_vat_is_transferred_late_are_each_transferred_once(house: House) -> None:
    book = TaxBook(house, "late-book")
    book.tax(8_000)
    book.end_days(date(2026, 2, 28))
    book.tax(8_000)
    book.end_days(date(2026, 3, 1))
    assert book.record("VAT_TRANSFERRED_OUT", amount=money(7_000)) == 7_000
    february = {"period": date(2026, 2, 1)}
    assert book.record("VAT_TRANSFERRED_OUT", **february) == 9_000, "and what January left"
    assert (book.balance(TRANSFERRED), book.balance("2221.02")) == (16_000, 16_000)


def test_a_repeated_call_books_once_and_other_vat_modes_have_no_vat(house: House) -> None:
    book = TaxBook(house, "plain-book", ledger_pb2.VAT_MODE_NONE)
    assert book.refused("VAT_TRANSFERRED_OUT") == "VAT_MODE"
    year = {"period": date(2025, 3, 1), "amount": money(15_000)}
    request_id = rid()
    for _ in range(2):
        made = book.record("GENERAL_RESERVE_APPROPRIATED", request_id=request_id, **year)
        assert made == 15_000
    assert (book.balance("4102"), book.balance("4104")) == (15_000, -15_000)
    assert book.refused("GENERAL_RESERVE_APPROPRIATED", **year) == "TAX_RECORDED"
    year["period"] = date(2026, 1, 1)
    assert book.refused("GENERAL_RESERVE_APPROPRIATED", **year) == "TAX_PERIOD_OPEN"


def test_a_period_is_a_month_or_for_the_reserve_a_year() -> None:
    leap = date(2028, 2, 29)
    assert period_of("VAT_PAID", leap) == (date(2028, 2, 1), leap)
    reserve = period_of("GENERAL_RESERVE_APPROPRIATED", leap)
    assert reserve == (date(2028, 1, 1), date(2028, 12, 31))
    assert period_of("VAT_PAID", date(2026, 12, 31))[1] == date(2026, 12, 31)
