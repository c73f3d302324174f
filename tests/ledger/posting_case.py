"""What tests of postings, limits and reservations ask of a book."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.type import date_pb2
from ledger.ledger_case import FIRST_DAY, LedgerUnderTest

from support import day, refusal, rid
from tael.ledger.v1 import ledger_pb2 as pb

CASH = "1002"
"""A debit account of the book's own."""
WALLET = "2011.01:CUSTOMER:W1"
"""A credit account: money of a customer."""


def dr(number: str, amount: int) -> pb.PostingLine:
    """A debit line."""
    return pb.PostingLine(account_number=number, side=pb.SIDE_DEBIT, amount=amount)


def cr(number: str, amount: int) -> pb.PostingLine:
    """A credit line."""
    return pb.PostingLine(account_number=number, side=pb.SIDE_CREDIT, amount=amount)


def entry(*lines: pb.PostingLine, **facts: Any) -> pb.NewEntry:
    """An entry to post, MANUAL_ADJUSTMENT of the first day where nothing else is said."""
    value_date = day(facts.pop("value_date", FIRST_DAY))
    event = facts.pop("event", "MANUAL_ADJUSTMENT")
    return pb.NewEntry(event=event, value_date=value_date, lines=lines, **facts)


def pay_in(amount: int, number: str = WALLET, **facts: Any) -> pb.NewEntry:
    """Money from outside."""
    return entry(dr(CASH, amount), cr(number, amount), **facts)


def pay_out(amount: int, number: str = WALLET, **facts: Any) -> pb.NewEntry:
    """Money to outside."""
    return entry(dr(number, amount), cr(CASH, amount), **facts)


def post(book: LedgerUnderTest, *entries: pb.NewEntry, **asked: Any) -> pb.PostEntriesResponse:
    """PostEntries; atomic unless it says otherwise."""
    return book.ledger.PostEntries(
        pb.PostEntriesRequest(
            **{
                "request_id": rid(),
                "book_id": book.book_id,
                "entries": entries,
                "atomic": True,
                **asked,
            }
        )
    )


def get(book: LedgerUnderTest, sequence: int) -> pb.Entry:
    """GetEntry."""
    request = pb.GetEntryRequest(book_id=book.book_id, sequence=sequence)
    return book.ledger.GetEntry(request).entry


def reverse(
    book: LedgerUnderTest, sequence: int, kind: pb.ReversalKind.ValueType, **asked: Any
) -> pb.ReverseEntryResponse:
    """ReverseEntry."""
    return book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(
            **{
                "request_id": rid(),
                "book_id": book.book_id,
                "sequence": sequence,
                "reason": "wrong",
                "kind": kind,
                **asked,
            }
        )
    )


Columns = tuple[Sequence[str], Sequence[int], Sequence[int]]
"""(account numbers, debits, credits)."""


def chunk(columns: Columns) -> pb.LineColumns:
    """A chunk of lines."""
    return pb.LineColumns(account_numbers=columns[0], debits=columns[1], credits=columns[2])


def post_columns(book: LedgerUnderTest, *chunks: Columns, **header: Any) -> pb.PostColumnsResponse:
    """PostColumns."""
    head = pb.PostColumnsHeader(
        **{
            "request_id": rid(),
            "book_id": book.book_id,
            "event": "MANUAL_ADJUSTMENT",
            "value_date": day(FIRST_DAY),
            **header,
        }
    )

    def parts() -> Iterator[pb.PostColumnsRequest]:
        yield pb.PostColumnsRequest(header=head)
        for one in chunks:
            yield pb.PostColumnsRequest(chunk=chunk(one))

    return book.ledger.PostColumns(parts())


def create(book: LedgerUnderTest, *accounts: pb.NewAccount, **asked: Any) -> Any:
    """CreateAccounts."""
    return book.ledger.CreateAccounts(
        pb.CreateAccountsRequest(
            **{"request_id": rid(), "book_id": book.book_id, "accounts": accounts, **asked}
        )
    )


def new_account(number: str, **limits: Any) -> pb.NewAccount:
    """An account to open, by its number."""
    gl_code, _, owner = number.partition(":")
    owner_type, _, owner_id = owner.partition(":")
    return pb.NewAccount(
        gl_code=gl_code,
        owner=pb.Owner(owner_type=owner_type, owner_id=owner_id) if owner else None,
        limits=pb.AccountLimits(**limits) if limits else None,
    )


def account(book: LedgerUnderTest, number: str) -> pb.Account:
    """GetAccount."""
    request = pb.GetAccountRequest(book_id=book.book_id, account_number=number)
    return book.ledger.GetAccount(request).account


def limit(book: LedgerUnderTest, number: str, **limits: Any) -> pb.Account:
    """SetAccountLimits."""
    return book.ledger.SetAccountLimits(
        pb.SetAccountLimitsRequest(
            request_id=rid(),
            book_id=book.book_id,
            account_number=number,
            limits=pb.AccountLimits(**limits),
            reason="agreed",
        )
    ).account


def turn(book: LedgerUnderTest, rpc: str, number: str, request_id: str = "") -> pb.Account:
    """FreezeAccount, UnfreezeAccount or CloseAccount: `turn(book, "Freeze", number)`."""
    request = getattr(pb, f"{rpc}AccountRequest")(
        request_id=request_id or rid(),
        book_id=book.book_id,
        account_number=number,
        reason="court order",
    )
    changed: pb.Account = getattr(book.ledger, f"{rpc}Account")(request).account
    return changed


def reserve(book: LedgerUnderTest, *lines: pb.PostingLine, **asked: Any) -> pb.ReserveResponse:
    """Reserve, until the first day's close."""
    return book.ledger.Reserve(
        pb.ReserveRequest(
            **{
                "request_id": rid(),
                "book_id": book.book_id,
                "event": "PAYMENT",
                "expires_on": day(FIRST_DAY),
                "lines": lines,
                **asked,
            }
        )
    )


def commit(
    book: LedgerUnderTest, reservation_id: int, *lines: pb.PostingLine, **asked: Any
) -> pb.CommitReservationResponse:
    """CommitReservation: whole where no lines are given."""
    return book.ledger.CommitReservation(
        pb.CommitReservationRequest(
            **{
                "request_id": rid(),
                "book_id": book.book_id,
                "reservation_id": reservation_id,
                "lines": lines,
                **asked,
            }
        )
    )


def release(
    book: LedgerUnderTest, reservation_id: int, request_id: str = ""
) -> pb.ReleaseReservationResponse:
    """ReleaseReservation."""
    return book.ledger.ReleaseReservation(
        pb.ReleaseReservationRequest(
            request_id=request_id or rid(), book_id=book.book_id, reservation_id=reservation_id
        )
    )


def refused(call: Callable[[], Any]) -> str:
    """The reason of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return refusal(error.value)[1]


def import_balances(
    book: LedgerUnderTest,
    *chunks: Columns,
    request_id: str = "",
    booking_date: date_pb2.Date | None = None,
    **totals: Any,
) -> pb.ImportOpeningBalancesResponse:
    """ImportOpeningBalances."""
    header = pb.OpeningBalancesHeader(
        request_id=request_id or rid(),
        book_id=book.book_id,
        value_date=day("2026-01-14"),
        source="core-2",
        booking_date=booking_date,
        totals=pb.ControlTotals(**totals),
    )

    def parts() -> Iterator[pb.ImportOpeningBalancesRequest]:
        yield pb.ImportOpeningBalancesRequest(header=header)
        for one in chunks:
            yield pb.ImportOpeningBalancesRequest(chunk=chunk(one))

    return book.ledger.ImportOpeningBalances(parts())
