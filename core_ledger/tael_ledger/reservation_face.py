"""LedgerService's reservations: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date
from tael_ledger import books, messages, reservations
from tael_ledger.drafts import Line
from tael_ledger.face import Face, key_of, read_line
from tael_ledger.reservations import Committing, Releasing, Reservation, Reserving
from tael_runtime import idempotency
from tael_runtime.fields import optional_date
from tael_runtime.paging import number_key, token


class Reservations(Face):
    """Two-phase posting."""

    async def Reserve(
        self, request: pb.ReserveRequest, context: grpc.ServicerContext
    ) -> pb.ReserveResponse:
        """Holds an entry's amounts."""
        await self.chart_of(request.book_id)
        wanted = Reservation(
            0,
            request.event,
            messages.read_day("expires_on", request.expires_on),
            request.source,
            request.narrative,
            [read_line(line) for line in request.lines],
        )
        reserving = Reserving(
            wanted,
            optional_date(request, "booking_date"),
            key=key_of("Reserve", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt = await self.post(request.book_id, reserving)
        # As it was reserved, whatever became of it since.
        made = replace(wanted, reservation_id=int(receipt.outcome))
        return pb.ReserveResponse(
            reservation=_message(made), anchor=messages.anchor(receipt.anchor)
        )

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: grpc.ServicerContext
    ) -> pb.CommitReservationResponse:
        """Posts what was held."""
        chart = await self.chart_of(request.book_id)
        committing = Committing(
            request.reservation_id,
            [read_line(line) for line in request.lines],
            messages.read_day("value_date", request.value_date)
            if request.HasField("value_date")
            else None,
            optional_date(request, "booking_date"),
            key=key_of("CommitReservation", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt, entries = await self.post_entries(request.book_id, committing)
        return pb.CommitReservationResponse(
            entry=messages.entry(entries[0], chart), anchor=messages.anchor(receipt.anchor)
        )

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: grpc.ServicerContext
    ) -> pb.ReleaseReservationResponse:
        """Gives back what was held."""
        await self.chart_of(request.book_id)
        releasing = Releasing(
            request.reservation_id,
            key=key_of("ReleaseReservation", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt = await self.post(request.book_id, releasing)
        released = await self._reservation(request.book_id, request.reservation_id)
        return pb.ReleaseReservationResponse(
            reservation=released, anchor=messages.anchor(receipt.anchor)
        )

    def GetReservation(
        self, request: pb.GetReservationRequest, context: grpc.ServicerContext
    ) -> pb.GetReservationResponse:
        """One reservation."""
        return pb.GetReservationResponse(
            reservation=self._read(request.book_id, request.reservation_id)
        )

    def ListReservations(
        self, request: pb.ListReservationsRequest, context: grpc.ServicerContext
    ) -> pb.ListReservationsResponse:
        """A page of reservations."""
        size = request.page_size or messages.DEFAULT_PAGE
        state = pb.ReservationState.Name(request.state).removeprefix("RESERVATION_STATE_")
        with self.database.read() as connection:
            books.get(connection, request.book_id)
            found = reservations.page(
                connection,
                request.book_id,
                request.account_number,
                "" if state == "UNSPECIFIED" else state,
                number_key(request.page_token),
                size + 1,
            )
        return pb.ListReservationsResponse(
            reservations=[_message(one) for one in found[:size]],
            next_page_token=token(found[size - 1].reservation_id) if len(found) > size else "",
        )

    async def _reservation(self, book_id: str, reservation_id: int) -> pb.Reservation:
        return await asyncio.to_thread(self._read, book_id, reservation_id)

    def _read(self, book_id: str, reservation_id: int) -> pb.Reservation:
        with self.database.read() as connection:
            return _message(reservations.get(connection, book_id, reservation_id))


def _message(value: Reservation) -> pb.Reservation:
    return pb.Reservation(
        reservation_id=value.reservation_id,
        state=pb.ReservationState.Value(f"RESERVATION_STATE_{value.state}"),
        event=value.event,
        expires_on=from_date(value.expires_on),
        lines=[_line(line) for line in value.lines],
        source=value.source,
        narrative=value.narrative,
        sequence=value.sequence,
    )


def _line(line: Line) -> pb.PostingLine:
    return pb.PostingLine(
        account_number=line.account_number,
        side=pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT,
        amount=line.debit or line.credit,
    )
