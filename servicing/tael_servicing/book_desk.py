"""What is done to a book and not to a loan: once, on its open business date, told to the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.ledger.v1 import ledger_pb2 as ledger
from tael.type.v1 import money_pb2
from tael_runtime import idempotency
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_amount
from tael_servicing import books
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.reasons import Reason

AnswerT = TypeVar("AnswerT", bound=Message)


def on_book(
    desk: Desk,
    rpc: str,
    request: Message,
    answer: type[AnswerT],
    book_id: str,
    work: Callable[[Connection, BookDay], AnswerT],
    lane: Callable[[AnswerT], str] | None = None,
) -> AnswerT:
    """Does a request's work once for its request_id on the book's open business date, and answers
    when the ledger has what it posted in its lane.

    Raises NotFound; PostingRefused; what the work raises.
    """

    def once(transaction: Connection) -> AnswerT:
        return work(transaction, books.hold_open(transaction, book_id))

    made = books.on_an_open_day(lambda: idempotency.once(desk.database, rpc, request, answer, once))
    if lane is not None:
        desk.sender.deliver(book_id, lane(made))
    return made


def book_of(desk: Desk, book_id: str) -> ledger.Book:
    """The ledger's book, which servicing knows from now on. Passes on the ledger's NOT_FOUND."""
    return books.adopt(desk.database, desk.ledger, book_id)


def lender_type_of(book: ledger.Book) -> str:
    """BANK, CONSUMER_FINANCE or MICROLOAN."""
    return ledger.LenderType.Name(book.lender_type).removeprefix("LENDER_TYPE_")


def check_vat_mode(book: ledger.Book, field: str) -> None:
    """Raises FailedPrecondition VAT_MODE for a book whose VAT is not split off."""
    if book.vat_mode != ledger.VAT_MODE_SPLIT:
        mode = ledger.VatMode.Name(book.vat_mode).removeprefix("VAT_MODE_")
        raise FailedPrecondition(
            Reason.VAT_MODE, f"{field}: the book's VAT mode is {mode}, not SPLIT", book.book_id
        )


def read_vat(book: ledger.Book, vat: money_pb2.Money, gross: int) -> int:
    """The VAT inside a gross amount, minor units.

    Raises InvalidArgument where it is not less than that; FailedPrecondition VAT_MODE.
    """
    check_vat_mode(book, "vat")
    found = read_amount("vat", vat, book.currency_code)
    if found >= gross:
        raise InvalidArgument(
            "vat.minor_units", f"is {found}; less than the amount, {gross}, is right"
        )
    return found
