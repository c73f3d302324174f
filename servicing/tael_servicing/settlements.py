"""Settlements: what a channel hands over, by file or to make a difference good, and what it posts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from tael.ledger.v1 import ledger_pb2 as ledger
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import NotFound
from tael_servicing import outgoing
from tael_servicing.books import BookDay
from tael_servicing.tables import channel_settlement


@dataclass(frozen=True)
class Settlement:
    """What a channel hands over at once, minor units."""

    settlement_id: str
    book_id: str
    reference: str
    currency_code: str
    collected_on: date
    booked_on: date
    gross: int
    """Negative where the channel takes it back."""
    fee: int
    at_bank: int
    """Credited so far."""
    held: bool
    """By the channel, in an account it keeps for us."""
    awaited: bool
    """At the bank."""

    @property
    def net(self) -> int:
        """What is handed over."""
        return self.gross - self.fee

    @property
    def account(self) -> str:
        """The amount type of CHANNEL_SETTLED that goes where the net amount goes."""
        return "net_held" if self.held else "net"

    def message(self) -> pb.ChannelSettlement:
        """In the contract's words."""
        return pb.ChannelSettlement(
            settlement_id=self.settlement_id,
            book_id=self.book_id,
            reference=self.reference,
            collected_on=from_date(self.collected_on),
            booked_on=from_date(self.booked_on),
            gross=money(self.gross, self.currency_code),
            fee=money(self.fee, self.currency_code),
            net=money(self.net, self.currency_code),
        )


COLUMNS = [channel_settlement.c[name] for name in Settlement.__dataclass_fields__]


def get(transaction: Connection, settlement_id: str) -> Settlement:
    """One settlement. Raises NotFound."""
    query = select(*COLUMNS).where(channel_settlement.c.settlement_id == settlement_id)
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise NotFound("settlement", settlement_id)
    return Settlement(*row)


def keep(transaction: Connection, settlement: Settlement) -> bool:
    """Keeps it; False where its reference is known in the book."""
    made = insert(channel_settlement).values(vars(settlement)).on_conflict_do_nothing()
    return bool(transaction.execute(made).rowcount)


def make_good(
    transaction: Connection, book: BookDay, origin: Settlement, difference_id: str, amount: int
) -> None:
    """A channel hands over what a file lacked, or takes back what it had too much (negative): booked
    apart from any file, and awaited at the bank under the difference's id.
    """
    settlement = replace(
        origin,
        settlement_id=difference_id,
        reference=difference_id,
        booked_on=book.business_date,
        gross=amount,
        fee=0,
        at_bank=0,
        awaited=not origin.held,
    )
    keep(transaction, settlement)
    post(transaction, book, difference_id, "CHANNEL_SETTLED", {settlement.account: amount})


def post(
    transaction: Connection,
    book: BookDay,
    request_id: str,
    event: str,
    amounts: Mapping[str, int],
) -> None:
    """Stores what a settlement or a resolution of that id posts, in a lane of its own."""
    moved = {name: amount for name, amount in amounts.items() if amount}
    if not moved:
        return
    day = from_date(book.business_date)
    told = ledger.BusinessEvent(
        event=event,
        value_date=day,
        amounts=[ledger.EventAmount(amount_type=n, minor_units=a) for n, a in moved.items()],
        source=f"servicing/channel/{request_id}",
    )
    request = ledger.RecordEventsRequest(
        request_id=f"channel:{request_id}", book_id=book.book_id, events=[told], booking_date=day
    )
    outgoing.store(
        transaction, outgoing.single("RecordEvents", request, request_id, book.business_date)
    )


def sequences(transaction: Connection, posted_id: str) -> list[int]:
    """The entries the ledger made of what `post` stored."""
    request_id = f"channel:{posted_id}"
    posted = outgoing.vouchers(transaction, [request_id]).get(request_id, {})
    return sorted(sequence for each in posted.values() for sequence in each)
