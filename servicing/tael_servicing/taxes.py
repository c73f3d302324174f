"""Taxes and appropriations of a book by period: how much, once, and not before the period ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import Connection, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import tax_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import FailedPrecondition
from tael_runtime.ids import new_id
from tael_servicing import bookings
from tael_servicing.arithmetic.rounding import Rounding, ratio_of, share
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.reasons import Reason
from tael_servicing.tables import tax_entry

OUTPUT, INPUT = "2221.01.07", "2221.01.01"
SURTAX_RATE = Decimal("0.12")
"""城市维护建设税 7 %, 教育费附加 3 %, 地方教育附加 2 % of the VAT paid."""
AMOUNT_TYPES = {
    "VAT_TRANSFERRED_OUT": "vat",
    "VAT_PAID": "vat",
    "SURTAX_ACCRUED": "surtax",
    "SURTAX_PAID": "surtax",
    "GENERAL_RESERVE_APPROPRIATED": "general_reserve",
}
"""By business event: TaxStep without its prefix."""
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('tax'), hashtext(:book_id))")
"""Months are transferred one after the other."""
PAYS = {"VAT_PAID": "VAT_TRANSFERRED_OUT", "SURTAX_PAID": "SURTAX_ACCRUED"}
"""What a payment pays."""


@dataclass(frozen=True)
class TaxEntry:
    """A step that was booked."""

    book_id: str
    period: date
    """The first day of the month, or of the year."""
    step: str
    currency_code: str
    amount: int
    booked_on: date
    reference: str

    def message(self) -> pb.TaxEntry:
        """In the contract's words."""
        return pb.TaxEntry(
            step=pb.TaxStep.Value(f"TAX_STEP_{self.step}"),
            period=from_date(self.period),
            amount=money(self.amount, self.currency_code),
            booked_on=from_date(self.booked_on),
            reference=self.reference,
        )


def period_of(step: str, day: date) -> tuple[date, date]:
    """The first and the last day of the month, or for the general reserve of the year, of a day."""
    if step == "GENERAL_RESERVE_APPROPRIATED":
        return day.replace(month=1, day=1), day.replace(month=12, day=31)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def vat_to_transfer(transaction: Connection, book_id: str, balances: Mapping[str, int]) -> int:
    """Output less input VAT of a month and all before it that was not transferred out, whenever that
    was booked; minor units.

    Negative where more was paid to suppliers than taken from customers: it waits (留抵税额).
    """
    transaction.execute(LOCK, {"book_id": book_id})
    transferred = transaction.execute(
        select(func.coalesce(func.sum(tax_entry.c.amount), 0)).where(
            tax_entry.c.book_id == book_id, tax_entry.c.step == "VAT_TRANSFERRED_OUT"
        )
    ).scalar_one()
    return balances[OUTPUT] - balances[INPUT] - int(transferred)


def owed(transaction: Connection, book_id: str, period: date, step: str, rate: Decimal) -> int:
    """What a step that follows another of the same month comes to; 0 where that was not booked."""
    before = PAYS.get(step, "VAT_TRANSFERRED_OUT")
    amount: int | None = transaction.execute(
        select(tax_entry.c.amount).where(
            tax_entry.c.book_id == book_id,
            tax_entry.c.period == period,
            tax_entry.c.step == before,
        )
    ).scalar()
    if step == "SURTAX_ACCRUED":
        return share(amount or 0, ratio_of(rate), Rounding.HALF_UP)
    return amount or 0


def check_ended(last: date, day: date) -> None:
    """Raises FailedPrecondition TAX_PERIOD_OPEN before the last day of a period."""
    if day < last:
        raise FailedPrecondition(Reason.TAX_PERIOD_OPEN, f"the period ends on {last}; it is {day}")


def amount_to_book(wanted: int | None, due: int | None) -> int:
    """The amount given, or what is due. Raises FailedPrecondition TAX_NOTHING_DUE, TAX_EXCEEDED."""
    if due is None:
        assert wanted is not None, "the contract asks for it"
        return wanted
    if due <= 0:
        raise FailedPrecondition(Reason.TAX_NOTHING_DUE, f"{due} is due for the period")
    if wanted is not None and wanted > due:
        raise FailedPrecondition(Reason.TAX_EXCEEDED, f"{due} is due for the period, not {wanted}")
    return wanted or due


def book_entry(transaction: Connection, book: BookDay, entry: TaxEntry, value_date: date) -> None:
    """Books a step once a period. Raises FailedPrecondition TAX_RECORDED."""
    made = transaction.execute(insert(tax_entry).values(vars(entry)).on_conflict_do_nothing())
    if not made.rowcount:
        raise FailedPrecondition(
            Reason.TAX_RECORDED, f"{entry.step} is booked for {entry.period}", entry.book_id
        )
    batch = Batch(new_id("tax"), entry.book_id, LANE, book.business_date)
    amounts = {AMOUNT_TYPES[entry.step]: entry.amount}
    bookings.post_apart(transaction, batch, entry.step, amounts, {}, entry.reference, value_date)


LANE = "taxes"


def page(connection: Connection, book_id: str, after: tuple[str, str], size: int) -> list[TaxEntry]:
    """A page of what was booked, oldest period first."""
    query = select(tax_entry).where(tax_entry.c.book_id == book_id)
    if after[0]:
        key = tuple_(tax_entry.c.period, tax_entry.c.step)
        query = query.where(key > tuple_(date.fromisoformat(after[0]), after[1]))
    rows = connection.execute(query.order_by(tax_entry.c.period, tax_entry.c.step).limit(size))
    return [TaxEntry(**row._asdict()) for row in rows]
